"""The report for code-scanning platforms: SARIF 2.1.0 (OASIS standard of 27 March 2020)."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from leadglass.assess.finding import Finding, Word
from leadglass.assess.observation import Endpoint
from leadglass.assess.report.json import counters
from leadglass.assess.report.model import Change, Changes, FormerFinding, Report
from leadglass.assess.rules import RULES

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {
    Word.CRITICAL: "error",
    Word.HIGH: "error",
    Word.MEDIUM: "warning",
    Word.LOW: "note",
    Word.INFORMATION: "note",
}
#: 3.27.24: how a result stands to the baseline.
_STATES: Final = {Change.NEW: "new", Change.STILL_OPEN: "unchanged"}
_FINGERPRINT: Final = "leadglass/finding/1"
_INDEX: Final = {str(rule.kind): number for number, rule in enumerate(RULES)}


def render(report: Report) -> bytes:
    """The report as SARIF in UTF-8, ready to be signed (sign.py)."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [_run(report)]}
    return json.dumps(log, indent=2, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _run(report: Report) -> dict[str, Any]:
    run = report.assessment
    results = [_result(each, report.changes) for each in report.findings]
    if report.changes is not None:
        results += [_absent(each) for each in report.changes.fixed if each.kind in _INDEX]
    return {
        "tool": {"driver": {"name": "leadglass", "version": report.version, "rules": _rules()}},
        "automationDetails": {"id": f"leadglass/exposure/{run.scope_sha256[:16]}/"},
        "invocations": [
            {
                "executionSuccessful": not run.interrupted,
                "startTimeUtc": _time(run.begun),
                "endTimeUtc": _time(run.ended),
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "message": {"text": each.words},
                        "locations": [_location(each.endpoint, "")],
                    }
                    for each in report.unknowns
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            "organisation": run.organisation,
            "authorisedBy": run.authorised_by,
            "scopeSha256": run.scope_sha256,
            "totals": counters(run.totals),
            "signingKey": report.key.fingerprint,
        },
    }


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": str(rule.kind),
            "name": "".join(part.capitalize() for part in rule.kind.split("-")),
            "shortDescription": {"text": f"{rule.title}."},
            "defaultConfiguration": {"level": _LEVELS[rule.severity.word], "rank": round(rule.severity.score * 10, 1)},
            "properties": {
                # What code-scanning platforms read the severity from.
                "security-severity": f"{rule.severity.score:.1f}",
                "cvss": rule.severity.vector,
                "tags": ["security", "dicom", *rule.paragraphs],
            },
        }
        for rule in RULES
    ]


def _result(finding: Finding, changes: Changes | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": str(finding.kind),
        "ruleIndex": _INDEX[finding.kind],
        "level": _LEVELS[finding.severity.word],
        "rank": round(finding.severity.score * 10, 1),
        "message": {"text": finding.exposure},
        "locations": [_location(finding.endpoint, finding.locator)],
        "partialFingerprints": {_FINGERPRINT: finding.fingerprint},
        "properties": {
            "product": finding.product,
            "remedy": list(finding.remedy),
            "evidence": [f"{each.summary} (SHA-256 {each.digest})" for each in finding.evidence],
        },
    }
    if changes is not None:
        result["baselineState"] = _STATES[changes.of(finding.fingerprint)]
    return result


def _absent(former: FormerFinding) -> dict[str, Any]:
    return {
        "ruleId": former.kind,
        "ruleIndex": _INDEX[former.kind],
        "kind": "pass",
        "level": "none",
        "message": {"text": f"Fixed: {former.title}."},
        "locations": [_location(former.endpoint, former.locator)],
        "partialFingerprints": {_FINGERPRINT: former.fingerprint},
        "baselineState": "absent",
    }


def _location(endpoint: Endpoint, locator: str) -> dict[str, Any]:
    where = str(endpoint)
    return {
        "physicalLocation": {"artifactLocation": {"uri": f"tcp://{where}"}},
        "logicalLocations": [{"fullyQualifiedName": f"{where}{locator}", "kind": "resource"}],
    }


def _time(moment: datetime) -> str:
    """3.9: UTC with a Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
