"""What is wrong at one door, with its proof, its weight and its cure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from leadglass.assess.observation import Endpoint, Exchange


class Word(StrEnum):
    """The qualitative severity rating scale of CVSS 4.0, section 6; a score of zero informs."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFORMATION = "information"


_LEAST = ((9.0, Word.CRITICAL), (7.0, Word.HIGH), (4.0, Word.MEDIUM), (0.1, Word.LOW))


@dataclass(frozen=True, slots=True)
class Severity:
    """A CVSS 4.0 vector and its score. Each kind of finding has a fixed one: catalogue.py holds them as constants, and
    the tests compute every score again with another implementation."""

    vector: str
    score: float

    @property
    def word(self) -> Word:
        return next((word for least, word in _LEAST if self.score >= least), Word.INFORMATION)


class FindingKind(StrEnum):
    IMAGES_RETRIEVABLE = "images-retrievable"
    RECORDS_LISTED = "records-listed"
    SSNS_EXPOSED = "ssns-exposed"
    POSSIBLE_SSNS_EXPOSED = "possible-ssns-exposed"
    QUERY_OPEN = "query-open"
    RETRIEVE_INDICATED = "retrieve-indicated"
    MOVE_INDICATED = "move-indicated"
    WRITE_CONFIRMED = "write-confirmed"
    WRITE_INDICATED = "write-indicated"
    ADMINISTRATION_OPEN = "administration-open"
    DEFAULT_CREDENTIALS = "default-credentials"
    FILES_LISTED = "files-listed"
    FTP_ANONYMOUS = "ftp-anonymous"
    ARCHIVE_PAGE_OPEN = "archive-page-open"
    VIEWER_OPEN = "viewer-open"
    WADO_URI_OPEN = "wado-uri-open"
    ASSOCIATION_OPEN = "association-open"
    CLIENT_CERTIFICATE_NOT_DEMANDED = "client-certificate-not-demanded"
    DICOM_IN_PLAINTEXT = "dicom-in-plaintext"
    WEB_IN_PLAINTEXT = "web-in-plaintext"
    TLS_WEAK = "tls-weak"
    CERTIFICATE_INVALID = "certificate-invalid"
    USER_IDENTITY_IGNORED = "user-identity-ignored"
    HONEYPOT_SUSPECTED = "honeypot-suspected"


@dataclass(frozen=True, slots=True)
class Finding:
    """`locator` tells doors behind one port apart: a path, or "". `exposure`: what a stranger can do, in one sentence.
    `paragraphs` of 45 CFR; `remedy` in steps, for that very product where it is known."""

    kind: FindingKind
    endpoint: Endpoint
    locator: str
    product: str
    title: str
    exposure: str
    severity: Severity
    paragraphs: tuple[str, ...]
    remedy: tuple[str, ...]
    evidence: tuple[Exchange, ...]

    def __post_init__(self) -> None:
        if not self.evidence:
            raise ValueError("a finding without evidence is none")

    @property
    def fingerprint(self) -> str:
        """Equal for the same weakness at the same door in a later assessment: 32 hex digits. Numbers, wording, product
        version and severity may change; they do not enter."""
        named = f"leadglass/finding/1\n{self.kind}\n{self.endpoint}\n{self.locator}"
        return hashlib.sha256(named.encode()).hexdigest()[:32]
