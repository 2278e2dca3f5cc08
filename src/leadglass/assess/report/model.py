"""A report before it takes a form: what was assessed, what was found, what changed, what stays unknown."""

from dataclasses import dataclass
from enum import StrEnum

from leadglass import __version__
from leadglass.assess.finding import Finding, Word
from leadglass.assess.observation import Assessment, Endpoint
from leadglass.assess.sentences import amount
from leadglass.crypto.signing import VerifyKey


class Change(StrEnum):
    """How a finding stands to the baseline. Fixed only if its door was reached and looked at again."""

    NEW = "new"
    STILL_OPEN = "still-open"
    FIXED = "fixed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FormerFinding:
    """A finding of the baseline, as far as later reports need it."""

    fingerprint: str
    kind: str
    title: str
    word: str
    score: float
    endpoint: Endpoint
    locator: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Against a baseline, by fingerprint. `unknown`: not found again, but not looked at well enough either."""

    baseline_sha256: str
    new: frozenset[str]
    still_open: frozenset[str]
    fixed: tuple[FormerFinding, ...]
    unknown: tuple[FormerFinding, ...]

    def of(self, fingerprint: str) -> Change:
        return Change.STILL_OPEN if fingerprint in self.still_open else Change.NEW


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something that could not be found out: a result too."""

    endpoint: Endpoint
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """`key`: with which the report will be signed."""

    assessment: Assessment
    findings: tuple[Finding, ...]
    changes: Changes | None
    key: VerifyKey
    version: str = __version__

    @property
    def unknowns(self) -> tuple[Unknown, ...]:
        services = (each for host in self.assessment.hosts for each in host.services)
        return tuple(Unknown(each.endpoint, words) for each in services for words in each.unknowns)

    @property
    def by_word(self) -> dict[Word, int]:
        """How many findings of each severity, zeros too, the worst first."""
        return {word: sum(each.severity.word is word for each in self.findings) for word in Word}

    @property
    def verdict(self) -> str:
        """The first sentence that a director reads."""
        totals = self.assessment.totals
        if totals.images_proven.value:
            return (
                f"Anyone can take images: {amount(totals.images_advertised)} are listed, and samples began to arrive."
            )
        if totals.studies.value:
            return f"Anyone can read patients’ records: {amount(totals.studies)} studies."
        if any(count for word, count in self.by_word.items() if word in (Word.CRITICAL, Word.HIGH)):
            return "Doors stand open that must be closed; no patient’s record was seen through them."
        if any(count for word, count in self.by_word.items() if word is not Word.INFORMATION):
            return "No patient’s record was seen. A few weaknesses remain."
        if self.unknowns or self.assessment.interrupted:
            return "No door gave anything to a stranger, but not everything could be looked at."
        return "Nothing to report: no door gave anything to a stranger."
