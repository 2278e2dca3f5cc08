"""Everything in the archive once more, by today's rules. What is held back now is withdrawn: a copy under a key of its
own goes into quarantine, and in the same transaction the instance answers no query and no retrieval any more.

It reads at a bounded rate, since it runs while the archive serves, and goes on where an interrupted run has come to.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Writing
from leadglass.archive.placing import settle, settling
from leadglass.archive.quarantine import SealedOriginal, Suspect, new_row, seal_original
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, VerificationFailed
from leadglass.index.held_rows import NewQuarantined
from leadglass.index.rows import InstanceRow, InstanceState
from leadglass.inspection.inspector import Inspector, Verdict, VerdictKind
from leadglass.model import AccessEvent, Operation, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: Instances between two notes of how far it has come.
_NOTED_EVERY: Final = 256
#: What is found is told of one by one up to here, and counted beyond.
_TOLD: Final = 1000


@dataclass(frozen=True, slots=True)
class Request:
    """`report_only`: nothing is withdrawn. `rate`: bytes read in a second. `anew`: from the beginning, and not from
    where an earlier run was interrupted."""

    report_only: bool
    rate: int
    anew: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An instance that today's rules hold back. `quarantine`: its number there, 0 when it was only reported."""

    instance: str
    reasons: tuple[str, ...]
    quarantine: int


@dataclass(slots=True)
class Reinspected:
    """What was looked at and found. `problems`: instances that could not be read, in words."""

    instances: int = 0
    octets: int = 0
    held_back: int = 0
    found: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, found: Found) -> None:
        self.held_back += 1
        if len(self.found) < _TOLD:
            self.found.append(found)


def reinspect(
    archive: "Archive", principal: Principal, request: Request, progress: Callable[[int, int], None]
) -> Reinspected:
    """`progress` is told instances done and in all. Raises NotAvailable when an engine that is configured cannot say:
    the run goes on from there another time."""
    authorise(principal, Operation.QUARANTINE)
    result = Reinspected()
    total = archive.index.counts().instances
    pace = _Pace(request.rate)
    for row in archive.index.all_instances(0 if request.anew else archive.index.reinspected()):
        if row.state is not InstanceState.WITHDRAWN:
            _look_at(archive, principal, request, row, result)
            pace.keep(row.plain_length)
        result.instances += 1
        result.octets += row.plain_length
        if result.instances % _NOTED_EVERY == 0:
            last = row.id
            archive.committer.run(lambda writing: writing.tx.set_reinspected(last))  # noqa: B023 - run at once
            progress(result.instances, total)
    archive.committer.run(lambda writing: _complete(writing, principal, request, result))
    progress(total, total)
    return result


def _look_at(archive: "Archive", principal: Principal, request: Request, row: InstanceRow, result: Reinspected) -> None:
    try:
        verdict = _verdict(archive, row)
        if not _is_held_back(archive, row, verdict):
            return
        number = 0 if request.report_only else _withdraw(archive, principal, row, verdict)
    except (DataSetError, VerificationFailed) as error:
        result.problems.append(f"instance {row.id} in pack {row.location.pack}: {error.message}")
        return
    result.add(Found(row.uid, verdict.reasons, number))


def _verdict(archive: "Archive", row: InstanceRow) -> Verdict:
    syntax = TRANSFER_SYNTAXES[row.transfer_syntax]
    inspector = Inspector(syntax, archive.limits, wanted=frozenset(), inflated=lambda part: scans.feed(part))
    scans = archive.engines.start(inspector.findings)
    try:
        for chunk in archive.open(row).chunks():
            view = memoryview(chunk)
            inspector.feed(view)
            if not syntax.deflated:
                scans.feed(view)
        scans.finish()
    finally:
        scans.close()
    return inspector.finish()


def _is_held_back(archive: "Archive", row: InstanceRow, verdict: Verdict) -> bool:
    """Not what a steward has released in view of these reasons."""
    heavy = verdict.heavy(VerdictKind.QUARANTINE) | verdict.heavy(VerdictKind.REJECT)
    if not heavy:
        return False
    received = archive.index.received_as(row.id) or row.digest
    known = archive.index.quarantined(received, row.site)
    if known is None or known.state != "released":
        return True
    return not heavy <= {finding["code"] for finding in json.loads(known.findings)}


def _withdraw(archive: "Archive", principal: Principal, row: InstanceRow, verdict: Verdict) -> int:
    """Raises DataSetError, VerificationFailed; the instance is then left as it is."""
    archive.disk.check()
    written = archive.packs.begin()
    try:
        reader = archive.open(row)
        for chunk in reader.chunks():
            written.write(chunk)
        original = seal_original(archive, written, reader.layout)
    except BaseException:
        written.abandon()
        raise
    new = new_row(_suspect(archive, principal, row), verdict, original)
    return _moved(archive, row, new, original, _event(principal, row, verdict))


def _moved(
    archive: "Archive", row: InstanceRow, new: NewQuarantined, original: SealedOriginal, event: AccessEvent
) -> int:
    def write(writing: Writing) -> tuple[int, bool]:
        known = writing.tx.quarantined(new.digest, new.site)
        number = writing.tx.add_quarantined(new) if known is None else known.id
        if known is not None and known.state == "released":
            writing.tx.hold_again(number, new.findings)
        writing.tx.add_withdrawn(row.id, number, writing.tx.instance(row.id).state)
        writing.tx.set_state(row.id, InstanceState.WITHDRAWN)
        writing.record(event, row.study_id)
        return number, known is None

    with settling(original.written):
        number, is_new = archive.committer.run(write)
    settle(original.written, kept=is_new)
    return number


def restore(writing: Writing, instance_id: int) -> None:
    """In the transaction that releases it: a withdrawn instance is again what it was; beside another that is shown by
    now it waits for a steward."""
    state = writing.tx.take_withdrawn(instance_id)
    if state is None:
        return
    row = writing.tx.instance(instance_id)
    if state is InstanceState.VISIBLE and any(
        each.state is InstanceState.VISIBLE and each.site == row.site for each in writing.tx.instances(row.uid)
    ):
        state = InstanceState.REVISION
        writing.tx.add_review(instance_id, "other-header")
    writing.tx.set_state(instance_id, state)


def _suspect(archive: "Archive", principal: Principal, row: InstanceRow) -> Suspect:
    """Under the claim that it arrived with, so that a release finds it again."""
    claim = archive.index.study(row.claim_id)
    return Suspect(
        principal=principal,
        peer="reinspection",
        site=claim.site,
        issuer=claim.issuer,
        sop_class=row.sop_class,
        sop_instance=row.uid,
        study=claim.uid,
        transfer_syntax=row.transfer_syntax,
    )


def _event(principal: Principal, row: InstanceRow, verdict: Verdict) -> AccessEvent:
    return AccessEvent(
        action="withdraw",
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=row.study_uid,
        detail={"instance": row.uid, "stored": row.digest.hex(), "reasons": list(verdict.reasons)},
    )


def _complete(writing: Writing, principal: Principal, request: Request, result: Reinspected) -> None:
    writing.tx.set_reinspected(0)
    writing.record(
        AccessEvent(
            action="reinspect",
            outcome=Outcome.FAILED if result.problems else Outcome.DONE,
            principal=principal.label,
            credential=principal.credential,
            person=principal.person,
            detail={
                "instances": result.instances,
                "held_back": result.held_back,
                "problems": len(result.problems),
                "report_only": request.report_only,
            },
        )
    )


class _Pace:
    """No more than so many bytes in a second, on average since the start."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._due = time.monotonic()

    def keep(self, octets: int) -> None:
        now = time.monotonic()
        self._due = max(self._due, now - 1.0) + octets / self._rate
        if self._due > now:
            time.sleep(self._due - now)
