"""Reconciliation: objects that are kept but not shown until a steward decides.

Accepting shows an object; a version shown before under the same UID becomes superseded, and stays. Rejecting hides it
for good. Neither changes or removes a stored byte.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from leadglass.archive.authorise import authorise, scope_of
from leadglass.archive.committer import Writing
from leadglass.archive.freshness import require_fresh
from leadglass.archive.header import stored_elements
from leadglass.archive.retrieve import DECODER_FAILED
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import NotFound, UsageError
from leadglass.index.attributes import WANTED_TAGS, series_from, study_from
from leadglass.index.held_rows import ListedReview, ReviewRow
from leadglass.index.rows import InstanceRow, InstanceState
from leadglass.model import AccessEvent, Operation, Outcome, Principal, Scope

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

__all__ = ["REASONS", "ListedReview", "ReviewRow", "accept", "reject", "review", "reviews"]

#: Why an object waits, in words.
REASONS = {
    "other-header": "the same pixels under another header",
    "other-encoding": "another encoding that cannot be compared without decoding",
    "other-pixels": "other pixels under a known SOP Instance UID; the sender was refused",
    "study-of-another-patient-or-site": "its Study Instance UID belongs to another patient or site",
    "series-of-another-study": "its Series Instance UID belongs to another study",
    DECODER_FAILED: "a decoder came to grief over its pixels; it is shown until somebody rejects it",
}


def reviews(archive: "Archive", principal: Principal, state: str = "open") -> Iterator[ListedReview]:
    """Nothing of a patient: that is for `review`, which leaves an event."""
    authorise(principal, Operation.REVIEW)
    return archive.index.reviews(review_scope(principal), state)


def review(archive: "Archive", principal: Principal, review_id: int) -> ReviewRow:
    """With what the object itself says, which its study's row need not: the header may be all that differs. The event
    that says who saw it is durable before this returns. Raises NotFound, VerificationFailed."""
    found, arrived = located(archive, principal, review_id)
    claimed = study_from(_read_attributes(archive, arrived))
    archive.committer.record(review_event(principal, "review-shown", found), arrived.study_id).result()
    return replace(
        found,
        patient_name=claimed.patient_name,
        birth_date=claimed.birth_date,
        sex=claimed.sex,
        study_date=claimed.date,
        accession_number=claimed.accession_number,
        study_description=claimed.description,
    )


def accept(archive: "Archive", principal: Principal, review_id: int) -> None:
    """Show the object of an open review: a grant, like all that lets somebody see. Raises NotFound, ProofTooOld,
    UsageError when it is decided already."""
    arrived = located(archive, principal, review_id)[1]
    require_fresh(principal, archive.clock())
    attributes = _read_attributes(archive, arrived)

    def write(writing: Writing) -> None:
        tx = writing.tx
        found = _open_review(writing, principal, review_id)
        arrived = tx.instance(found.instance_id)
        target = _series_to_show_in(writing, arrived)
        # The site that will see it, which after a move is not the one that sent it.
        site = tx.study(tx.series_row(target).study_id).site
        for other in tx.instances(arrived.uid):
            if other.state is InstanceState.VISIBLE and other.site == site:
                tx.set_state(other.id, InstanceState.SUPERSEDED)
        if target != arrived.series_id:
            tx.move_instance(arrived.id, target)
        elif arrived.state in (InstanceState.REVISION, InstanceState.CONFLICT):
            tx.update_study(arrived.study_id, study_from(attributes))
            tx.update_series(target, series_from(attributes))
        tx.set_state(arrived.id, InstanceState.VISIBLE)
        _decide(writing, principal, found, "accepted")

    archive.committer.run(write)


def reject(archive: "Archive", principal: Principal, review_id: int) -> None:
    """Keep the object hidden. Raises NotFound, UsageError when it is decided already."""
    authorise(principal, Operation.REVIEW)

    def write(writing: Writing) -> None:
        found = _open_review(writing, principal, review_id)
        arrived = writing.tx.instance(found.instance_id)
        # Other pixels stay a conflict, so that a re-send of the same forgery is refused again.
        if arrived.state is not InstanceState.CONFLICT:
            writing.tx.set_state(arrived.id, InstanceState.REJECTED)
        _decide(writing, principal, found, "rejected")

    archive.committer.run(write)


def review_scope(principal: Principal) -> Scope:
    """A steward's own site, unless at the command line, where reviews between sites are decided."""
    return Scope(None) if principal.kind == "local" else scope_of(principal)


def located(archive: "Archive", principal: Principal, review_id: int) -> tuple[ReviewRow, InstanceRow]:
    authorise(principal, Operation.REVIEW)
    found = archive.index.review(review_id, review_scope(principal))
    if found is None:
        raise _no_review(review_id)
    return found, archive.index.instance(found.instance_id)


def _open_review(writing: Writing, principal: Principal, review_id: int) -> ReviewRow:
    """Inside the transaction that decides it: of two stewards only the first does."""
    found = writing.tx.review(review_id, review_scope(principal))
    if found is None:
        raise _no_review(review_id)
    if found.state != "open":
        raise UsageError(f"Review {review_id} is {found.state} already.")
    if writing.tx.instance(found.instance_id).state is InstanceState.WITHDRAWN:
        raise UsageError(
            "Its object was withdrawn into quarantine.", "Decide there first: `leadglass quarantine list`."
        )
    return found


def _no_review(review_id: int) -> NotFound:
    return NotFound(f"There is no review {review_id}.", "See `leadglass review list`.")


def _series_to_show_in(writing: Writing, arrived: InstanceRow) -> int:
    """An accepted object joins the study that owns its Study Instance UID, since answers show only one under it."""
    tx = writing.tx
    claimed = tx.study(arrived.study_id)
    owner = tx.owner_study(claimed.uid)
    if claimed.owner or owner is None:
        return arrived.series_id
    series = tx.series_row(arrived.series_id)
    for row in tx.series(series.uid):
        if row.study_id == owner.id:
            return row.id
    return tx.copy_series(arrived.series_id, owner.id)


def _read_attributes(archive: "Archive", row: InstanceRow) -> dict[int, str]:
    reader = archive.open(row)
    syntax = TRANSFER_SYNTAXES[row.transfer_syntax]
    elements = stored_elements(reader, syntax, archive.limits, WANTED_TAGS)
    return decode_elements(elements, syntax.little_endian)


def _decide(writing: Writing, principal: Principal, found: ReviewRow, decision: str) -> None:
    writing.tx.decide_review(found.id, decision, principal.label)
    study_id = writing.tx.instance(found.instance_id).study_id
    writing.record(review_event(principal, f"review-{decision}", found), study_id)


def review_event(principal: Principal, action: str, found: ReviewRow) -> AccessEvent:
    return AccessEvent(
        action=action,
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=found.study_uid,
        detail={"review": found.id, "instance": found.sop_instance_uid, "reason": found.reason},
    )
