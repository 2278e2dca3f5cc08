"""Frozen value types that all rooms share. Nothing here does input or output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NewType

#: A unique identifier after PS3.5 9.1, already checked: at most 64 characters of digits and dots.
Uid = NewType("Uid", str)

#: A decoded data set: tag → text (several values joined by a backslash, as in PS3.5 6.4) or items of a sequence.
Attributes = Mapping[int, "str | tuple[Attributes, ...]"]


class Sent:
    """A dataclass of two fields or more that is sent between processes for each object stored: pickled as its type and
    its values, at a third of what `dataclasses` makes of it."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        kind: Any = type(self)
        return kind, _values_of(kind)(self)


@cache
def _values_of(kind: Any) -> "attrgetter[tuple[Any, ...]]":
    return attrgetter(*kind.__match_args__)


class Role(StrEnum):
    MODALITY = "modality"
    CLINICIAN = "clinician"
    STEWARD = "steward"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Operation(StrEnum):
    ECHO = "echo"
    STORE = "store"
    QUERY = "query"
    RETRIEVE = "retrieve"
    IMPORT = "import"
    REVIEW = "review"
    QUARANTINE = "quarantine"
    SHARE = "share"
    ADMINISTER = "administer"
    AUDIT = "audit"
    MONITOR = "monitor"


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052), PS3.4 C.3."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


DEFAULT_SITE = "default"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody or something that has proved who it is. There is no anonymous one.

    `kind` is `device`, `user` (with exactly one role), `local` (an operating-system user at the command line) or
    `system` (the archive itself). `credential` is what proved it: a key fingerprint for devices, the session or token
    for users, the user id for local users.

    `account` is the user's number, 0 for others. `proved` is when a user last proved who it is, in µs since 1970 UTC;
    0 for a token, which proves possession only. `only` narrows its roles' rights to these operations, and `patients`
    what it may see to these (Patient ID, Issuer); None narrows nothing.
    """

    kind: str
    name: str
    roles: frozenset[Role]
    site: str = DEFAULT_SITE
    credential: str = ""
    person: str = ""
    issuer: str = ""
    may_revise: bool = False
    private_sop_classes: frozenset[str] = frozenset()
    account: int = 0
    proved: int = 0
    only: frozenset[Operation] | None = None
    patients: frozenset[tuple[str, str]] | None = None

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a principal may see, as a condition on studies: those of its sites (`None` means every site), and those
    shared with the account `shared_with` (0 means nobody) beyond the moment `at`, µs since 1970 UTC. Of these only the
    `patients` (Patient ID, Issuer), unless that is `None`."""

    sites: frozenset[str] | None
    shared_with: int = 0
    at: int = 0
    patients: frozenset[tuple[str, str]] | None = None


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AccessEvent:
    """One thing that happened, before it is numbered and chained. `detail` is sealed with the row, never logged."""

    action: str
    outcome: Outcome
    principal: str
    credential: str = ""
    person: str = ""
    study: str = ""
    peer: str = ""
    detail: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Matching:
    """What a search was asked to do beside literal matching: dates and times as one moment (PS3.4 C.2.2.2.5.4), person
    names by the words in them (C.2.2.2.1.1)."""

    combined_datetime: bool = False
    fuzzy_names: bool = False


LITERAL: Final = Matching()


@dataclass(frozen=True, slots=True)
class DataSetLimits:
    """Bounds on what a data set may declare (PS3.5); every reader takes one."""

    depth: int = 64
    elements: int = 2_000_000
    #: The largest value held in memory; longer ones are skipped over as bulk.
    inline_value: int = 64 * 1024
    #: Bytes that the reader may hold at once for one data set.
    held_bytes: int = 32 * 1024 * 1024
    total_bytes: int = 64 * 1024**3
    #: Inflated size of a deflated data set (PS3.5 A.5), and its ratio to what was received, beyond the bytes that are
    #: inflated whatever they took: deflate reaches 1032, real objects of some size do not.
    inflated_bytes: int = 4 * 1024**3
    inflate_ratio: int = 300
    inflated_freely: int = 16 * 1024**2
    fragments: int = 1_000_000


@dataclass(frozen=True, slots=True)
class AssociationLimits:
    """Bounds on what a peer may declare before and during an association (PS3.8 9.3)."""

    max_pdu: int = 131_072
    associate_pdu: int = 65_536
    presentation_contexts: int = 128
    transfer_syntaxes: int = 64
    user_information: int = 16_384
    command_bytes: int = 16_384
    identifier_bytes: int = 262_144
