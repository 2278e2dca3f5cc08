"""Frozen value types that all rooms share. Nothing here does input or output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

#: A unique identifier after PS3.5 9.1, already checked: at most 64 characters of digits and dots.
Uid = NewType("Uid", str)

#: A decoded data set: tag → text (several values joined by a backslash, as in PS3.5 6.4) or items of a sequence.
Attributes = Mapping[int, "str | tuple[Attributes, ...]"]


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
    ADMINISTER = "administer"


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

    `kind` is `device`, `local` (an operating-system user at the command line) or `system` (the archive itself).
    `credential` is what proved it: a key fingerprint for devices, the user id for local users.
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

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a principal may see, as a condition on studies: `None` means every site."""

    sites: frozenset[str] | None


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
class DataSetLimits:
    """Bounds on what a data set may declare (PS3.5); every reader takes one."""

    depth: int = 64
    elements: int = 2_000_000
    #: The largest value held in memory; longer ones are skipped over as bulk.
    inline_value: int = 64 * 1024
    #: Bytes that the reader may hold at once for one data set.
    held_bytes: int = 32 * 1024 * 1024
    total_bytes: int = 64 * 1024**3
    #: Inflated size of a deflated data set (PS3.5 A.5), and its ratio to what was received.
    inflated_bytes: int = 4 * 1024**3
    inflate_ratio: int = 1100
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
