"""What goes into the index and comes out of it. Times are µs since 1970 UTC; texts are empty where nothing is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class InstanceState(IntEnum):
    """What became of one version of an instance; only VISIBLE ones answer queries and retrievals."""

    VISIBLE = 0
    UNVERIFIED = 1
    REVISION = 2
    CONFLICT = 3
    SUPERSEDED = 4
    REJECTED = 5
    WITHDRAWN = 6


@dataclass(frozen=True, slots=True)
class StudyFields:
    """What a data set says about its patient and study. `extra`: further texts by tag."""

    patient_name: str
    birth_date: str
    sex: str
    date: str
    time: str
    accession_number: str
    study_id: str
    description: str
    referring_physician: str
    extra: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class SeriesFields:
    """What a data set says about its series. `number` is None when it is missing or no number."""

    modality: str
    number: int | None
    description: str
    date: str
    time: str
    body_part: str
    protocol_name: str
    laterality: str
    station_name: str
    manufacturer: str
    institution_name: str
    step_date: str
    step_time: str
    extra: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class NewInstance:
    """One stored object: `offset` and `length` of the sealed object in its pack, `plain_length` and `digest` (SHA-256)
    of the data set as received."""

    uid: str
    series_id: int
    state: InstanceState
    pack: int
    offset: int
    length: int
    object_id: bytes
    plain_length: int
    digest: bytes
    sop_class: str
    transfer_syntax: str
    number: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    frames: int | None
    extra: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ObjectLocation:
    """Where a sealed object lies: pack number, byte offset, bytes."""

    pack: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One claim on a Study Instance UID. `instances` counts the visible ones."""

    id: int
    uid: str
    owner: bool
    patient_key: int
    patient_id: str
    issuer: str
    site: str
    wrapped_key: bytes
    instances: int


@dataclass(frozen=True, slots=True)
class SeriesRow:
    id: int
    study_id: int
    uid: str
    instances: int


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One version of one SOP Instance, with the UIDs and the site of what it belongs to. `claim_id` is the study that
    it arrived with, `study_id` unless a steward moved it."""

    id: int
    uid: str
    series_id: int
    series_uid: str
    study_id: int
    study_uid: str
    site: str
    state: InstanceState
    location: ObjectLocation
    object_id: bytes
    plain_length: int
    digest: bytes
    sop_class: str
    transfer_syntax: str
    number: int | None
    claim_id: int


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of the access log (docs/formats/log.md)."""

    id: int
    writer: int
    n: int
    time_us: int
    study_id: int | None
    action: str
    principal: str
    content: bytes
    leaf: bytes
    mac: bytes
    leaf_index: int | None


@dataclass(frozen=True, slots=True)
class WriterRow:
    """`closed_n` is how many events it wrote in all; None while its chain is open."""

    id: int
    closed_n: int | None


@dataclass(frozen=True, slots=True)
class NewDevice:
    name: str
    site: str
    roles: tuple[str, ...]
    aets: tuple[str, ...]
    issuer: str
    person: str
    may_revise: bool
    private_sop_classes: tuple[str, ...]
    destination: str


@dataclass(frozen=True, slots=True)
class NewDeviceKey:
    """`certificate` and `anchor` are DER; `anchor` is None when our own authority issued the certificate."""

    fingerprint: str
    certificate: bytes
    anchor: bytes | None
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class DeviceKeyRow:
    """A retired key serves until `retired_at`."""

    id: int
    fingerprint: str
    certificate: bytes
    anchor: bytes | None
    not_before: int
    not_after: int
    retired_at: int | None


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """`suspended`: since when it is shut out for what it sent (µs), and `resumed` when that was last lifted."""

    id: int
    name: str
    site: str
    roles: tuple[str, ...]
    aets: tuple[str, ...]
    issuer: str
    person: str
    may_revise: bool
    private_sop_classes: tuple[str, ...]
    destination: str
    disabled: bool
    created: int
    suspended: int | None
    resumed: int | None
    keys: tuple[DeviceKeyRow, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are, visible or not."""

    patients: int
    studies: int
    series: int
    instances: int
    events: int
