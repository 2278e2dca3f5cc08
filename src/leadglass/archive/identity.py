"""Where an arriving object belongs, and whether it may stand there. Runs inside the committer's transaction.

Two questions are answered. Whose study is it? A study belongs to the first claim on its UID; an object that claims it
for another patient or site is kept but unverified, and so is one whose series is known under another study: never
first-writer-wins, a steward reconciles. And: is the SOP Instance UID known already? Then the bytes decide (PS3.4 B.2.3
leaves this to the SCP): the same bytes are stored once, another header is kept beside, other pixels are refused and
kept for comparison. They are compared with what the sender's site is shown. Nothing is ever overwritten.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from leadglass.archive.committer import Writing
from leadglass.archive.incoming import Incoming, Relation
from leadglass.archive.studykeys import Claim, claim_of
from leadglass.errors import NotAvailable
from leadglass.index.attributes import instance_from, series_from, study_from
from leadglass.index.rows import InstanceRow, InstanceState, NewInstance, StudyRow
from leadglass.model import AccessEvent, Outcome, Sent


class Placement(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    REVISED = "revised"
    BESIDE = "kept beside"
    UNVERIFIED = "unverified"
    REFUSED = "refused: other pixels"


@dataclass(frozen=True, slots=True)
class Placed(Sent):
    """What became of an object. `keeps_bytes` is false when the sealed copy is to be given up, `keeps_original` true
    when its original was put into quarantine too. `disarmed`: something was cut away; `removed`: elements among it."""

    placement: Placement
    keeps_bytes: bool
    study_id: int
    instance_id: int
    disarmed: bool = False
    removed: tuple[str, ...] = ()
    keeps_original: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """The decision needs the content of these kept versions; ask again with how they relate."""

    versions: tuple[InstanceRow, ...]


def place(writing: Writing, incoming: Incoming, relations: Mapping[int, Relation]) -> Placed | Compare:
    """Put an object into the index with its event, or say what must be compared first."""
    known = _known(writing, incoming)
    if twin := _identical(writing, known, incoming):
        return _again(writing, incoming, twin)
    unknown = tuple(row for row in known if row.id not in relations)
    if unknown:
        return Compare(unknown)
    for row in known:
        if relations[row.id] is Relation.SAME:
            return _again(writing, incoming, row)
    shown = [row for row in known if _is_shown(row, incoming)]
    return _add(writing, incoming, shown, {relations[row.id] for row in shown})


def _known(writing: Writing, incoming: Incoming) -> list[InstanceRow]:
    """The versions that an object is compared with, the one shown first: what its site is shown, and what arrived under
    the same claim, wherever a steward moved it. What came under another claim and is hidden cannot block this one, nor
    can what was withdrawn, unless it is this very object."""
    tx = writing.tx
    versions = tx.instances(incoming.sop_instance)
    if not versions:
        return []
    own = _claimed(tx.studies(incoming.claim.study), incoming.claim)
    rows = [
        row
        for row in versions
        if _is_shown(row, incoming) or (own is not None and row.claim_id == own.id and _may_block(row, incoming))
    ]
    return sorted(rows, key=lambda row: row.state)


def _is_shown(row: InstanceRow, incoming: Incoming) -> bool:
    return row.state is InstanceState.VISIBLE and row.site == incoming.claim.site


def _may_block(row: InstanceRow, incoming: Incoming) -> bool:
    return row.state is not InstanceState.WITHDRAWN or row.digest == incoming.stored.digest


def _identical(writing: Writing, known: list[InstanceRow], incoming: Incoming) -> InstanceRow | None:
    """The version that arrived, or is stored, with these very bytes."""
    for row in known:
        if row.transfer_syntax != incoming.transfer_syntax:
            continue
        if row.digest == incoming.stored.digest or writing.tx.received_as(row.id) == incoming.received:
            return row
    return None


def _again(writing: Writing, incoming: Incoming, row: InstanceRow) -> Placed:
    """The same object once more: stored once, answered as the first time."""
    refused = row.state is InstanceState.CONFLICT
    placement = Placement.REFUSED if refused else Placement.DUPLICATE
    _record(writing, incoming, placement, row.study_id, row.digest)
    return Placed(placement, keeps_bytes=False, study_id=row.study_id, instance_id=row.id)


def _add(writing: Writing, incoming: Incoming, shown: list[InstanceRow], against: Set[Relation]) -> Placed:
    """`against`: how the object relates to the versions that its site is shown."""
    tx = writing.tx
    study, is_owner = _study_for(writing, incoming)
    series_id, series_is_free = _series_for(writing, incoming, study)
    placement, state = _standing(incoming, is_owner, series_is_free, against)
    if placement is Placement.REVISED:
        for row in shown:
            tx.set_state(row.id, InstanceState.SUPERSEDED)
        described = incoming.described()
        tx.update_study(study.id, study_from(described.attributes))
        tx.update_series(series_id, series_from(described.attributes))
    instance_id = tx.add_instance(_instance(incoming, series_id, state))
    if state is not InstanceState.VISIBLE:
        tx.add_review(instance_id, _reason(placement, is_owner, series_is_free, against))
    _record(writing, incoming, placement, study.id, incoming.stored.digest)
    return Placed(placement, keeps_bytes=True, study_id=study.id, instance_id=instance_id)


def _standing(
    incoming: Incoming, is_owner: bool, series_is_free: bool, against: Set[Relation]
) -> tuple[Placement, InstanceState]:
    # Only the study's owner is told of other pixels: for others it would say what somebody else holds.
    if is_owner and Relation.PIXELS_DIFFER in against:
        return Placement.REFUSED, InstanceState.CONFLICT
    if not (is_owner and series_is_free):
        return Placement.UNVERIFIED, InstanceState.UNVERIFIED
    if not against:
        return Placement.STORED, InstanceState.VISIBLE
    if incoming.sender.may_revise and against == {Relation.HEADER_DIFFERS}:
        return Placement.REVISED, InstanceState.VISIBLE
    return Placement.BESIDE, InstanceState.REVISION


def _reason(placement: Placement, is_owner: bool, series_is_free: bool, against: Set[Relation]) -> str:
    if placement is Placement.REFUSED:
        return "other-pixels"
    if not is_owner:
        return "study-of-another-patient-or-site"
    if not series_is_free:
        return "series-of-another-study"
    return "other-encoding" if Relation.UNDECIDED in against else "other-header"


def _claimed(rows: Iterable[StudyRow], claim: Claim) -> StudyRow | None:
    return next((row for row in rows if claim_of(row) == claim), None)


def _study_for(writing: Writing, incoming: Incoming) -> tuple[StudyRow, bool]:
    """The study row of this claim, made when it is new, and whether the claim owns the Study Instance UID.
    Raises NotAvailable when the object is sealed under another key than the one on record."""
    tx, claim = writing.tx, incoming.claim
    rows = tx.studies(claim.study)
    if row := _claimed(rows, claim):
        if row.wrapped_key != incoming.wrapped_key:
            raise NotAvailable("The object is sealed under a key that its study does not have.", "Send it again.")
        return row, row.owner
    owner = not any(row.owner for row in rows)
    patient = tx.patient(claim.patient_id, claim.issuer)
    study_id = tx.add_study(
        study_from(incoming.described().attributes),
        uid=claim.study,
        owner=owner,
        patient_key=patient,
        site=claim.site,
        wrapped_key=incoming.wrapped_key,
        log_salt=writing.salts.new(),
    )
    return tx.study(study_id), owner


def _series_for(writing: Writing, incoming: Incoming, study: StudyRow) -> tuple[int, bool]:
    """The series row under this study, and whether the Series Instance UID is free of other studies' claims."""
    rows = writing.tx.series(incoming.series)
    for row in rows:
        if row.study_id == study.id:
            return row.id, row.instances > 0 or not any(other.instances for other in rows)
    free = not any(row.instances for row in rows)
    described = incoming.described()
    series_id = writing.tx.add_series(
        study.id, series_from(described.attributes), uid=incoming.series, requests=described.requests
    )
    return series_id, free


def _instance(incoming: Incoming, series_id: int, state: InstanceState) -> NewInstance:
    stored = incoming.stored
    return NewInstance(
        uid=incoming.sop_instance,
        series_id=series_id,
        state=state,
        pack=stored.location.pack,
        offset=stored.location.offset,
        length=stored.location.length,
        object_id=stored.object_id,
        plain_length=stored.plain_length,
        digest=stored.digest,
        sop_class=incoming.sop_class,
        transfer_syntax=incoming.transfer_syntax,
        **instance_from(incoming.attributes),
    )


def _record(writing: Writing, incoming: Incoming, placement: Placement, study_id: int, stored: bytes) -> None:
    """`stored`: SHA-256 of what is kept of it."""
    sender = incoming.sender
    detail: dict[str, object] = {
        "instance": incoming.sop_instance,
        "received": incoming.received.hex(),
        "placement": placement.value,
    }
    if stored != incoming.received:
        detail["stored"] = stored.hex()
    if incoming.findings:
        detail["findings"] = list(incoming.findings)
    writing.record(
        AccessEvent(
            action="security-other-pixels" if placement is Placement.REFUSED else "store",
            outcome=Outcome.REFUSED if placement is Placement.REFUSED else Outcome.DONE,
            principal=sender.label,
            credential=sender.credential,
            person=sender.person,
            study=incoming.claim.study,
            peer=sender.peer,
            detail=detail,
        ),
        study_id,
    )
