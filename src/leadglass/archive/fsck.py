"""Checking that what is on record is there and whole. Reads only: a crash is repaired when an archive opens."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadglass.archive.authorise import authorise
from leadglass.archive.incoming import Layout
from leadglass.archive.quarantine import open_quarantined
from leadglass.archive.writers import verify_chain
from leadglass.errors import LeadglassError, VerificationFailed
from leadglass.index.rows import InstanceRow
from leadglass.model import AccessEvent, Operation, Outcome, Principal, Scope
from leadglass.pack.reader import ObjectReader

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

PROGRESS_EVERY = 256


@dataclass(frozen=True, slots=True)
class Checked:
    """What fsck looked at, and what it found, in words without patient data."""

    instances: int
    octets: int
    events: int
    problems: tuple[str, ...]
    repaired: tuple[str, ...]


def fsck(archive: "Archive", principal: Principal, *, deep: bool, progress: Callable[[int, int], None]) -> Checked:
    """Check index, chains of events and objects; `deep` opens every object to its last byte and compares its digest.
    `progress` is told instances done and in all."""
    authorise(principal, Operation.ADMINISTER)
    problems = list(archive.index.integrity_check())
    events, broken = _check_chains(archive)
    problems += broken
    total = archive.index.counts().instances
    instances = octets = 0
    for row in archive.index.all_instances():
        problem = _check_instance(archive, row, deep)
        if problem:
            problems.append(problem)
        instances += 1
        octets += row.plain_length
        if instances % PROGRESS_EVERY == 0:
            progress(instances, total)
    progress(instances, instances)
    problems += _check_quarantine(archive, deep)
    checked = Checked(instances, octets, events, tuple(problems), archive.repaired)
    _record(archive, principal, checked, deep)
    return checked


def _check_chains(archive: "Archive") -> tuple[int, list[str]]:
    """On readers, while stores go on: what is added to the open chain meanwhile is walked too."""
    count, broken = 0, []
    salt_of = archive.salts.on_record(archive.index)
    for writer in archive.index.writers():
        try:
            count += verify_chain(archive.index, writer, archive.mac_key, salt_of).n
        except LeadglassError as error:
            broken.append(error.message)
    return count, broken


def _check_instance(archive: "Archive", row: InstanceRow, deep: bool) -> str:
    try:
        reader = archive.open(row)
        Layout.decode(reader.layout)
        if deep:
            _compare(reader, row.digest)
    except LeadglassError as error:
        return f"instance {row.id} in pack {row.location.pack} at {row.location.offset}: {error.message}"
    return ""


def _check_quarantine(archive: "Archive", deep: bool) -> list[str]:
    """Originals of released and disarmed objects too. Nothing opens a destroyed one."""
    problems = []
    for state in ("held", "released", "disarmed"):
        for row in archive.index.quarantine_rows(Scope(None), state):
            try:
                reader = open_quarantined(archive, row)
                Layout.decode(reader.layout)
                if deep:
                    _compare(reader, row.digest)
            except LeadglassError as error:
                where = f"in pack {row.location.pack} at {row.location.offset}"
                problems.append(f"object {row.id} of the quarantine {where}: {error.message}")
    return problems


def _compare(reader: ObjectReader, digest: bytes) -> None:
    """Raises VerificationFailed unless the opened bytes have this SHA-256."""
    found = hashlib.sha256()
    for chunk in reader.chunks():
        found.update(chunk)
    if not hmac.compare_digest(found.digest(), digest):
        raise VerificationFailed("its bytes are not those that were received.")


def _record(archive: "Archive", principal: Principal, checked: Checked, deep: bool) -> None:
    event = AccessEvent(
        action="fsck",
        outcome=Outcome.FAILED if checked.problems else Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        detail={"deep": deep, "instances": checked.instances, "problems": len(checked.problems)},
    )
    archive.committer.record(event).result()
