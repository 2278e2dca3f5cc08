"""Where an arriving object belongs, and whether it may stand there. Runs inside the committer's transaction.

Two questions are answered. Whose study is it? A study belongs to the first claim on its UID; an object that claims it
for another patient or site is kept but unverified, and so is one whose series is known under another study: never
first-writer-wins, a steward reconciles. And: is the SOP Instance UID known already? Then the bytes decide (PS3.4 B.2.3
leaves this to the SCP): the same bytes are stored once, another header is kept beside, other pixels are refused and
kept for comparison. Nothing is ever overwritten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from leadglass.archive.committer import Writing
from leadglass.archive.incoming import Incoming, Relation
from leadglass.archive.studykeys import Salts
from leadglass.index.attributes import instance_from, series_from, study_from
from leadglass.index.rows import InstanceRow, InstanceState, NewInstance, StudyRow
from leadglass.model import AccessEvent, Outcome


class Placement(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    REVISED = "revised"
    BESIDE = "kept beside"
    UNVERIFIED = "unverified"
    REFUSED = "refused: other pixels"


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an object. `keeps_bytes` is false when the sealed copy is to be given up."""

    placement: Placement
    keeps_bytes: bool
    study_id: int | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """The decision needs the content of these kept versions; ask again with how they relate."""

    versions: tuple[InstanceRow, ...]


def place(writing: Writing, incoming: Incoming, relations: Mapping[int, Relation], salts: Salts) -> Placed | Compare:
    """Put an object into the index with its event, or say what must be compared first."""
    known = [row for row in writing.tx.instances(incoming.sop_instance) if row.site == incoming.claim.site]
    if twin := _identical(known, incoming):
        return _again(writing, incoming, twin)
    unknown = tuple(row for row in known if row.id not in relations)
    if unknown:
        return Compare(unknown)
    for row in known:
        if relations[row.id] is Relation.SAME:
            return _again(writing, incoming, row)
    return _add(writing, incoming, known, relations, salts)


def _identical(known: list[InstanceRow], incoming: Incoming) -> InstanceRow | None:
    for row in known:
        if row.digest == incoming.stored.digest and row.transfer_syntax == incoming.syntax.uid:
            return row
    return None


def _again(writing: Writing, incoming: Incoming, row: InstanceRow) -> Placed:
    """The same object once more: stored once, answered as the first time."""
    refused = row.state is InstanceState.CONFLICT
    placement = Placement.REFUSED if refused else Placement.DUPLICATE
    _record(writing, incoming, placement, row.study_id)
    return Placed(placement, keeps_bytes=False, study_id=row.study_id)


def _add(
    writing: Writing,
    incoming: Incoming,
    known: list[InstanceRow],
    relations: Mapping[int, Relation],
    salts: Salts,
) -> Placed:
    tx = writing.tx
    study, is_owner = _study_for(writing, incoming, salts)
    series_id, series_is_free = _series_for(writing, incoming, study)
    verified = is_owner and series_is_free
    current = [row for row in known if row.state is InstanceState.VISIBLE]
    placement, state = _standing(incoming, verified, current, known, relations)
    if placement is Placement.REVISED:
        for row in current:
            tx.set_state(row.id, InstanceState.SUPERSEDED)
        described = incoming.described()
        tx.update_study(study.id, study_from(described))
        tx.update_series(series_id, series_from(described))
    instance_id = tx.add_instance(_instance(incoming, series_id, state))
    if state is not InstanceState.VISIBLE:
        tx.add_review(instance_id, _reason(placement, is_owner, series_is_free, relations))
    _record(writing, incoming, placement, study.id)
    return Placed(placement, keeps_bytes=True, study_id=study.id)


def _standing(
    incoming: Incoming,
    verified: bool,
    current: list[InstanceRow],
    known: list[InstanceRow],
    relations: Mapping[int, Relation],
) -> tuple[Placement, InstanceState]:
    # Compared with what is shown; where nothing is, with all versions.
    against = {relations[row.id] for row in (current or known)}
    if Relation.PIXELS_DIFFER in against:
        return Placement.REFUSED, InstanceState.CONFLICT
    if not verified:
        return Placement.UNVERIFIED, InstanceState.UNVERIFIED
    if not known:
        return Placement.STORED, InstanceState.VISIBLE
    if incoming.principal.may_revise and current and against == {Relation.HEADER_DIFFERS}:
        return Placement.REVISED, InstanceState.VISIBLE
    return Placement.BESIDE, InstanceState.REVISION


def _reason(placement: Placement, is_owner: bool, series_is_free: bool, relations: Mapping[int, Relation]) -> str:
    if placement is Placement.REFUSED:
        return "other-pixels"
    if not is_owner:
        return "study-of-another-patient-or-site"
    if not series_is_free:
        return "series-of-another-study"
    return "other-encoding" if Relation.UNDECIDED in relations.values() else "other-header"


def _study_for(writing: Writing, incoming: Incoming, salts: Salts) -> tuple[StudyRow, bool]:
    """The study row of this claim, made when it is new, and whether the claim owns the Study Instance UID."""
    tx, claim = writing.tx, incoming.claim
    rows = tx.studies(claim.study)
    for row in rows:
        if (row.patient_id, row.issuer, row.site) == (claim.patient_id, claim.issuer, claim.site):
            return row, row.owner
    owner = not any(row.owner for row in rows)
    patient = tx.patient(claim.patient_id, claim.issuer)
    study_id = tx.add_study(
        study_from(incoming.described()),
        uid=claim.study,
        owner=owner,
        patient_key=patient,
        site=claim.site,
        wrapped_key=incoming.keyed.wrapped,
        log_salt=salts.new(),
    )
    return tx.study(study_id), owner


def _series_for(writing: Writing, incoming: Incoming, study: StudyRow) -> tuple[int, bool]:
    """The series row under this study, and whether the Series Instance UID is free of other studies' claims."""
    rows = writing.tx.series(incoming.series)
    for row in rows:
        if row.study_id == study.id:
            return row.id, row.instances > 0 or not any(other.instances for other in rows)
    free = not any(row.instances for row in rows)
    series_id = writing.tx.add_series(
        study.id, series_from(incoming.described()), uid=incoming.series, requests=incoming.request_attributes()
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
        transfer_syntax=incoming.syntax.uid,
        **instance_from(incoming.attributes),
    )


def _record(writing: Writing, incoming: Incoming, placement: Placement, study_id: int) -> None:
    principal = incoming.principal
    writing.record(
        AccessEvent(
            action="store",
            outcome=Outcome.REFUSED if placement is Placement.REFUSED else Outcome.DONE,
            principal=principal.label,
            credential=principal.credential,
            person=principal.person,
            study=incoming.claim.study,
            peer=incoming.peer,
            detail={
                "instance": incoming.sop_instance,
                "received": incoming.stored.digest.hex(),
                "placement": placement.value,
            },
        ),
        study_id,
    )
