"""Quarantine: what inspection holds back is kept sealed under a key of its own; no viewer, peer or search reaches it.

A steward sees why, and releases or destroys. Released is what was seen and nothing else: the object is inspected again
by today's rules, and a reason that was not on record holds it back still. Destroying forgets the key (the sealed bytes
are noise from then on); the row stays, so that the same bytes are not kept again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

from leadglass.archive.authorise import authorise, scope_of
from leadglass.archive.committer import Writing
from leadglass.archive.placing import settle, settling
from leadglass.archive.studykeys import open_wrapped
from leadglass.archive.suspension import watch
from leadglass.crypto.keys import RootKey
from leadglass.crypto.wrapping import unwrap_key, wrap_key
from leadglass.errors import NotFound, Quarantined, UsageError
from leadglass.index.held_rows import NewQuarantined, QuarantineRow
from leadglass.index.rows import ObjectLocation
from leadglass.inspection.inspector import Verdict
from leadglass.model import AccessEvent, Operation, Outcome, Principal, Scope
from leadglass.pack.format import Location, StudyKey
from leadglass.pack.reader import ObjectReader
from leadglass.pack.writer import ObjectWriter, StoredObject

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.archive.holdings import Holdings

#: Days after which an object that nobody has decided about is overdue.
DAYS_TO_DECIDE = 30
_DAY_US = 24 * 3600 * 1_000_000
_ID_BYTES = 8
_UNSAID = frozenset({"location", "object_id", "wrapped_key"})


class QuarantineKeys:
    """One random key for each object, wrapped under a key that derives from the root."""

    def __init__(self, root: RootKey, archive_id: bytes) -> None:
        self._kek = root.derive("quarantine-wrap")
        self._associated = b"leadglass quarantine" + archive_id

    def new(self) -> tuple[StudyKey, bytes]:
        """A key and what is kept of it."""
        key_id = os.urandom(_ID_BYTES)
        key = os.urandom(32)
        return StudyKey(_number(key_id), key), key_id + wrap_key(self._kek, key, self._associated + key_id)

    def open(self, row: QuarantineRow) -> StudyKey:
        """Raises NotFound for an object that was destroyed, VerificationFailed."""
        if row.wrapped_key is None:
            raise NotFound(f"Object {row.id} of the quarantine was destroyed.")
        key_id, wrapped = row.wrapped_key[:_ID_BYTES], row.wrapped_key[_ID_BYTES:]
        return StudyKey(_number(key_id), unwrap_key(self._kek, wrapped, self._associated + key_id))


def _number(key_id: bytes) -> int:
    return int.from_bytes(key_id, "big") >> 1


@dataclass(frozen=True, slots=True)
class Suspect:
    """An object that arrived and is to be held back: what it says it is, and whose it would be."""

    principal: Principal
    peer: str
    site: str
    issuer: str
    sop_class: str
    sop_instance: str
    study: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class SealedOriginal:
    """An object just as it arrived, sealed under a key of its own and durable. Nothing names it before the commit."""

    written: ObjectWriter
    stored: StoredObject
    key: StudyKey
    wrapped: bytes


def seal_original(archive: "Holdings", written: ObjectWriter, layout: bytes) -> SealedOriginal:
    key, wrapped = archive.quarantine_keys.new()
    stored = written.finish(key, layout)
    written.sync()
    return SealedOriginal(written, stored, key, wrapped)


def hold(archive: "Holdings", suspect: Suspect, verdict: Verdict, original: SealedOriginal) -> Quarantined:
    """Keep the object sealed, once however often it is sent; durable when this returns the error to be answered."""
    new = new_row(suspect, verdict, original)

    with settling(original.written):
        is_new = archive.committer.run(partial(_hold, new=new, suspect=suspect, reasons=verdict.reasons))
    settle(original.written, kept=is_new)
    if is_new:
        watch(archive, suspect.principal)
    return Quarantined(f"Quarantined: {', '.join(verdict.reasons[:3])}.", "A steward decides about it.")


def _hold(writing: Writing, new: NewQuarantined, suspect: Suspect, reasons: tuple[str, ...]) -> bool:
    """Whether it was not held back before."""
    known = writing.tx.quarantined(new.digest, new.site)
    if known is None:
        number = writing.tx.add_quarantined(new)
    else:
        number = known.id
        writing.tx.count_attempt(number)
    writing.record(_held(suspect, reasons, number, new.digest))
    return known is None


def new_row(suspect: Suspect, verdict: Verdict, original: SealedOriginal) -> NewQuarantined:
    stored = original.stored
    return NewQuarantined(
        stored.digest,
        suspect.site,
        suspect.issuer,
        suspect.sop_class,
        suspect.sop_instance,
        suspect.study,
        suspect.transfer_syntax,
        suspect.principal.label,
        suspect.peer,
        findings_json(verdict),
        ObjectLocation(stored.location.pack, stored.location.offset, stored.location.length),
        stored.object_id,
        stored.plain_length,
        original.wrapped,
    )


def is_pardoned(archive: "Holdings", site: str, digest: bytes) -> bool:
    """Whether a steward of the site has released these very bytes."""
    row = archive.index.quarantined(digest, site)
    return row is not None and row.state == "released"


def quarantined(archive: "Archive", principal: Principal, state: str = "held") -> Iterator[QuarantineRow]:
    """`state`: held, released, destroyed or disarmed. Nothing of a patient but UIDs."""
    authorise(principal, Operation.QUARANTINE)
    return archive.index.quarantine_rows(_scope(principal), state)


def quarantine_row(archive: "Archive", principal: Principal, number: int) -> QuarantineRow:
    """One object and why it is held. Raises NotFound."""
    authorise(principal, Operation.QUARANTINE)
    row = archive.index.quarantine_row(number, _scope(principal))
    if row is None:
        raise _unknown(number)
    return row


def open_quarantined(archive: "Holdings", row: QuarantineRow) -> ObjectReader:
    """For the verbs of this room only: release, fsck, re-inspection. Raises NotFound, VerificationFailed."""
    key = archive.quarantine_keys.open(row)
    location = Location(row.location.pack, row.location.offset, row.location.length)
    return archive.packs.reader(location, row.object_id, lambda wrapped: open_wrapped(key, wrapped))


def release(archive: "Archive", principal: Principal, number: int) -> None:
    """Store the object as if it had passed. Raises NotFound, UsageError when it is decided already, Quarantined when
    today's rules find what was not on record, and what a store raises."""
    # Imported here: the store verb holds back by this module.
    from leadglass.archive.store import Received, StoreSession

    row = quarantine_row(archive, principal, number)
    _check_undecided(row)
    seen = frozenset(finding["code"] for finding in json.loads(row.findings))
    received = Received(
        row.sop_class,
        row.sop_instance,
        row.transfer_syntax,
        peer=row.peer,
        operation=Operation.QUARANTINE,
        site=row.site,
        issuer=row.issuer,
        pardoned=seen,
        releases=number,
    )
    with StoreSession(archive, principal, received) as session:
        for chunk in open_quarantined(archive, row).chunks():
            session.write(chunk)
        session.finish()


def destroy(archive: "Archive", principal: Principal, number: int) -> None:
    """Forget its key, for good. Raises NotFound, UsageError when it is decided already."""
    authorise(principal, Operation.QUARANTINE)
    archive.committer.run(lambda writing: decide(writing, principal, number, "destroyed"))


def described(row: QuarantineRow) -> dict[str, Any]:
    """A row by the names of its fields, without where it lies and what opens it."""
    kept = {field.name: getattr(row, field.name) for field in fields(row) if field.name not in _UNSAID}
    due = row.created + DAYS_TO_DECIDE * _DAY_US
    return {**kept, "digest": row.digest.hex(), "findings": json.loads(row.findings), "due": due}


def findings_json(verdict: Verdict) -> str:
    """Codes, offsets, elements and blanked excerpts, as the verdict has them."""
    return json.dumps(
        [
            {
                "code": finding.reason.code,
                "meaning": finding.reason.meaning,
                "offset": finding.offset,
                "path": finding.path,
                "excerpt": finding.excerpt,
                "detail": finding.detail,
            }
            for finding in verdict.findings
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def decide(writing: Writing, principal: Principal, number: int, state: str) -> None:
    """Inside the transaction of what is decided: of two stewards only the first does. Raises NotFound, UsageError."""
    row = writing.tx.quarantine_row(number, _scope(principal))
    if row is None:
        raise _unknown(number)
    _check_undecided(row)
    writing.tx.decide_quarantined(number, state, principal.label)
    writing.record(
        AccessEvent(
            action=f"quarantine-{state}",
            outcome=Outcome.DONE,
            principal=principal.label,
            credential=principal.credential,
            person=principal.person,
            study=row.study,
            detail={"quarantine": number, "instance": row.sop_instance, "received": row.digest.hex()},
        )
    )


def _check_undecided(row: QuarantineRow) -> None:
    if row.state != "held":
        raise UsageError(f"Object {row.id} of the quarantine is {row.state} already.")


def _held(suspect: Suspect, reasons: tuple[str, ...], number: int, digest: bytes) -> AccessEvent:
    principal = suspect.principal
    return AccessEvent(
        action="quarantine",
        outcome=Outcome.REFUSED,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=suspect.study,
        peer=suspect.peer,
        detail={
            "quarantine": number,
            "instance": suspect.sop_instance,
            "received": digest.hex(),
            "reasons": list(reasons),
        },
    )


def _scope(principal: Principal) -> Scope:
    """A steward's own site; all of them at the command line."""
    return Scope(None) if principal.kind == "local" else Scope(scope_of(principal).sites)


def _unknown(number: int) -> NotFound:
    return NotFound(f"The quarantine has no object {number}.", "See `leadglass quarantine list`.")
