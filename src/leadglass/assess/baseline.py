"""What an earlier report found, and what has become of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from leadglass.assess.finding import Finding, FindingKind
from leadglass.assess.observation import Endpoint, HostResult, ObservationKind, ServiceResult
from leadglass.assess.report.json import FORMAT, VERSION
from leadglass.assess.report.model import Changes, FormerFinding
from leadglass.assess.verify import verify
from leadglass.errors import FormatError

#: While one of these is found at the same port, the absence of the other says nothing: the door still opens so far.
_DOUBTS: Final[Mapping[FindingKind, frozenset[FindingKind]]] = {
    FindingKind.IMAGES_RETRIEVABLE: frozenset({FindingKind.RETRIEVE_INDICATED, FindingKind.FILES_LISTED}),
    FindingKind.WRITE_CONFIRMED: frozenset({FindingKind.WRITE_INDICATED}),
}
#: Looked for only where the scope allows it: without an observation nobody has looked.
_OPTIONAL: Final = {FindingKind.DEFAULT_CREDENTIALS: ObservationKind.DEFAULT_CREDENTIALS}


@dataclass(frozen=True, slots=True)
class Baseline:
    sha256: str
    findings: tuple[FormerFinding, ...]


def read_baseline(path: Path) -> Baseline:
    """The findings of a JSON report. NotFound, VerificationFailed (its signature must hold), or FormatError if it is
    no exposure report of this version."""
    verify(path)
    content = path.read_bytes()
    try:
        document = json.loads(content)
        if document["format"] != FORMAT or document["version"] != VERSION:
            raise ValueError
        findings = tuple(_former(each) for each in document["findings"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            "The baseline is no exposure report of this version.", "Give the JSON report of an earlier assessment."
        ) from None
    return Baseline(hashlib.sha256(content).hexdigest(), findings)


def compare(baseline: Baseline, findings: Iterable[Finding], hosts: Iterable[HostResult]) -> Changes:
    """New, still open, fixed, and what nobody can say."""
    now = {each.fingerprint: each for each in findings}
    before = {each.fingerprint for each in baseline.findings}
    gone = [each for each in baseline.findings if each.fingerprint not in now]
    doors = {each.endpoint: each for host in hosts for each in host.services}
    open_kinds = _kinds_by_endpoint(now.values())
    fixed = tuple(each for each in gone if _is_fixed(each, doors.get(each.endpoint), open_kinds))
    return Changes(
        baseline.sha256,
        frozenset(now) - before,
        frozenset(now) & before,
        fixed,
        tuple(each for each in gone if each not in fixed),
    )


def _is_fixed(
    former: FormerFinding, door: ServiceResult | None, open_kinds: Mapping[Endpoint, frozenset[FindingKind]]
) -> bool:
    """Whether the door was reached and looked at again, and no longer gives what it gave."""
    if door is None or door.unknowns or not any(each.exchanges for each in door.observations):
        return False
    try:
        kind = FindingKind(former.kind)
    except ValueError:
        return False  # a kind of another release: this one does not look for it
    needed = _OPTIONAL.get(kind)
    if needed is not None and not any(each.kind is needed for each in door.observations):
        return False
    return not (_DOUBTS.get(kind, frozenset()) & open_kinds.get(former.endpoint, frozenset()))


def _kinds_by_endpoint(findings: Iterable[Finding]) -> dict[Endpoint, frozenset[FindingKind]]:
    kinds: dict[Endpoint, frozenset[FindingKind]] = {}
    for each in findings:
        kinds[each.endpoint] = kinds.get(each.endpoint, frozenset()) | {each.kind}
    return kinds


def _former(entry: Mapping[str, Any]) -> FormerFinding:
    return FormerFinding(
        fingerprint=str(entry["fingerprint"]),
        kind=str(entry["kind"]),
        title=str(entry["title"]),
        word=str(entry["severity"]),
        score=float(entry["cvss"]["score"]),
        endpoint=Endpoint(str(entry["address"]), int(entry["port"])),
        locator=str(entry["locator"]),
    )
