"""What waits for a steward: objects to reconcile and objects in quarantine."""

from dataclasses import dataclass

from leadglass.index.rows import ObjectLocation


@dataclass(frozen=True, slots=True)
class ListedReview:
    """What waits for a steward, without a word about the patient."""

    id: int
    reason: str
    state: str
    created: int
    sop_instance_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """What a steward must see: the object, what it claims, and what the owner of its Study Instance UID says."""

    id: int
    reason: str
    state: str
    created: int
    decided: int | None
    decided_by: str
    instance_id: int
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    site: str
    patient_id: str
    issuer: str
    patient_name: str
    birth_date: str
    sex: str
    study_date: str
    accession_number: str
    study_description: str
    owner_site: str
    owner_patient_id: str
    owner_issuer: str
    owner_patient_name: str
    owner_birth_date: str
    owner_sex: str
    owner_study_date: str
    owner_accession_number: str
    owner_study_description: str


@dataclass(frozen=True, slots=True)
class NewQuarantined:
    """What inspection holds back. `findings` is JSON, without a patient's text; `digest` the SHA-256 as received."""

    digest: bytes
    site: str
    issuer: str
    sop_class: str
    sop_instance: str
    study: str
    transfer_syntax: str
    principal: str
    peer: str
    findings: str
    location: ObjectLocation
    object_id: bytes
    plain_length: int
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """`state` is held, released, destroyed or, for the original of an instance that was disarmed, disarmed; `attempts`
    counts how often it arrived; times in µs since 1970 UTC."""

    id: int
    digest: bytes
    site: str
    issuer: str
    sop_class: str
    sop_instance: str
    study: str
    transfer_syntax: str
    principal: str
    peer: str
    findings: str
    state: str
    location: ObjectLocation
    object_id: bytes
    plain_length: int
    wrapped_key: bytes | None
    attempts: int
    created: int
    decided: int | None
    decided_by: str
