"""What was seen, as frozen values. Nothing here holds a patient's name, an identifier or a UID of the archive."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from functools import reduce
from types import MappingProxyType
from typing import Self

Fact = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address (never a name: names are resolved once, by the scope) and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Exchange:
    """What went over the wire. `sent` and `received` are blanked already: where patient data stood, asterisks stand.

    `at` is aware, in UTC. The digests are those of the blanked bytes: a digest of a name would give the name away.
    """

    at: datetime
    summary: str
    sent: bytes = field(repr=False)
    received: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 in hex of both, each after its length in 8 bytes."""
        digest = hashlib.sha256()
        for part in (self.sent, self.received):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


class ObservationKind(StrEnum):
    """Facts that each kind has are listed beside it; `tls` is `none`, `anonymous` (no client certificate shown) or
    `stranger` (a certificate made by ourselves was shown)."""

    #: tls, called_ae, calling_ae, called_ae_checked, calling_ae_checked, implementation_class_uid,
    #: implementation_version
    DIMSE_ACCEPTED = "dimse-accepted"
    #: tls, called_ae, calling_ae, result, source, reason (numbers of PS3.8 Table 9-21), meaning
    DIMSE_REJECTED = "dimse-rejected"
    #: tls, status
    DIMSE_ECHO = "dimse-echo"
    #: tls, model, answers, capped, split
    DIMSE_QUERY = "dimse-query"
    #: tls, status: a query was refused
    DIMSE_QUERY_REFUSED = "dimse-query-refused"
    #: tls, proposed, proven, tried
    DIMSE_RETRIEVE = "dimse-retrieve"
    #: tls: the peer would send to others; never used by us
    DIMSE_MOVE_INDICATED = "dimse-move-indicated"
    #: tls, sop_classes (names)
    DIMSE_STORE_INDICATED = "dimse-store-indicated"
    #: tls, status, found, deleted, sop_instance (ours)
    DIMSE_STORE_CONFIRMED = "dimse-store-confirmed"
    #: tls, outcome: `ignored`, `refused`, `confirmed`
    USER_IDENTITY = "user-identity"
    #: versions, weak_versions, cipher, weak_ciphers
    TLS_VERSIONS = "tls-versions"
    #: subject_is_issuer, expired, days_left, name_matches, trusted, key, bits, signature
    TLS_CERTIFICATE = "tls-certificate"
    #: demanded: `no`, `yes`, `asked`
    TLS_CLIENT_CERTIFICATE = "tls-client-certificate"
    #: protocol: what a service on a port of ours says it is; of web servers also server, redirects (never followed)
    OTHER_SERVICE = "other-service"
    #: signs
    HONEYPOT = "honeypot"
    #: interface (`dicomweb`, `orthanc`, `wado-uri`, `viewer`, `search`, `administration`), root (a path), access
    #: (`open`), administration, viewer, dicom_port (which belongs to the same product)
    WEB_SERVICE = "web-service"
    #: something medical answers over plain HTTP
    WEB_PLAINTEXT = "web-plaintext"
    #: interface, root, answers, capped, split
    WEB_QUERY = "web-query"
    #: interface, root, tried, proven
    WEB_RETRIEVE = "web-retrieve"
    #: interface, root
    WEB_STORE_INDICATED = "web-store-indicated"
    #: interface, root, found, deleted, study (ours)
    WEB_STORE_CONFIRMED = "web-store-confirmed"
    #: root, files, dicom_files, tried, proven, capped
    WEB_LISTING = "web-listing"
    #: interface, root: it asks for a login
    WEB_LOGIN = "web-login"
    #: product, user, accepted
    DEFAULT_CREDENTIALS = "default-credentials"
    #: root
    FTP_ANONYMOUS = "ftp-anonymous"
    #: as WEB_LISTING
    FTP_LISTING = "ftp-listing"


@dataclass(frozen=True, slots=True)
class Observation:
    kind: ObservationKind
    facts: Mapping[str, Fact]
    exchanges: tuple[Exchange, ...] = ()


class Bound(StrEnum):
    """How a number stands to the truth. Weakest last: an estimate may be wrong in both directions."""

    EXACT = "exact"
    LOWER = "lower"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class Count:
    value: int = 0
    bound: Bound = Bound.EXACT

    def __add__(self, other: "Count") -> "Count":
        order = tuple(Bound)
        return Count(self.value + other.value, max(self.bound, other.bound, key=order.index))


@dataclass(frozen=True, slots=True)
class Counters:
    """The report's counters. `images_indicated`: by negotiation; `images_proven`: began to arrive, one by one."""

    studies: Count = Count()
    patients: Count = Count()
    series: Count = Count()
    images_advertised: Count = Count()
    images_indicated: Count = Count()
    images_proven: Count = Count()
    ssns_formatted: Count = Count()
    ssns_bare: Count = Count()

    def __add__(self, other: Self) -> "Counters":
        return Counters(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def total(counters: tuple[Counters, ...]) -> Counters:
    return reduce(Counters.__add__, counters, Counters())


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """One door. `protocol`: `dicom`, `dicom-tls`, `http`, `https`, `ftp`, `ssh` …; `product`: "" when not known.

    `identifiers`: keywords (PS3.6) of the direct identifiers of patients that answers held. `unknowns`: what could not
    be found out, in words: a result too.
    """

    endpoint: Endpoint
    protocol: str
    product: str = ""
    counters: Counters = Counters()
    oldest: date | None = None
    newest: date | None = None
    identifiers: tuple[str, ...] = ()
    observations: tuple[Observation, ...] = ()
    unknowns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostResult:
    """All doors of one address. `counters` is no sum: a study that is seen through two doors counts once."""

    address: str
    names: tuple[str, ...] = ()
    services: tuple[ServiceResult, ...] = ()
    counters: Counters = Counters()
    open_ports: tuple[int, ...] = ()

    @property
    def products(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.product for each in self.services if each.product))

    @property
    def oldest(self) -> date | None:
        return min((each.oldest for each in self.services if each.oldest), default=None)

    @property
    def newest(self) -> date | None:
        return max((each.newest for each in self.services if each.newest), default=None)

    @property
    def identifiers(self) -> tuple[str, ...]:
        return tuple(sorted({word for each in self.services for word in each.identifiers}))


@dataclass(frozen=True, slots=True)
class Assessment:
    """A whole run. `totals` counts a study or patient once, on however many hosts; `scope_sha256` is of the file."""

    organisation: str
    authorised_by: str
    scope_sha256: str
    begun: datetime
    ended: datetime
    hosts: tuple[HostResult, ...]
    totals: Counters
    addresses: int
    ports: tuple[int, ...]
    interrupted: bool = False
    facts: Mapping[str, Fact] = field(default_factory=lambda: MappingProxyType({}))
