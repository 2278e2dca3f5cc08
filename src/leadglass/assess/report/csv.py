"""The report for spreadsheets: one line a finding (RFC 4180)."""

import csv
import io
from typing import Final

from leadglass.assess.finding import Finding
from leadglass.assess.observation import Counters, ServiceResult
from leadglass.assess.report.json import counters
from leadglass.assess.report.model import Changes, Report

#: What spreadsheets take for the beginning of a formula; a tab or line break before one does not stop them.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

_COLUMNS: Final = (
    "severity",
    "score",
    "vector",
    "kind",
    "title",
    "address",
    "port",
    "locator",
    "product",
    "exposure",
    "paragraphs",
    "remedy",
    "change",
    "fingerprint",
    "evidence_sha256",
)


def render(report: Report) -> bytes:
    """UTF-8 with a byte order mark, without which spreadsheets take it for something else."""
    doors = {each.endpoint: each for host in report.assessment.hosts for each in host.services}
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow((*_COLUMNS, *counters(Counters())))
    for each in report.findings:
        writer.writerow([_safe(cell) for cell in (*_cells(each, report.changes), *_numbers(doors.get(each.endpoint)))])
    return b"\xef\xbb\xbf" + written.getvalue().encode("utf-8", "replace")


def _cells(finding: Finding, changes: Changes | None) -> tuple[str, ...]:
    return (
        str(finding.severity.word),
        f"{finding.severity.score:.1f}",
        finding.severity.vector,
        str(finding.kind),
        finding.title,
        finding.endpoint.address,
        str(finding.endpoint.port),
        finding.locator,
        finding.product,
        finding.exposure,
        "; ".join(finding.paragraphs),
        " | ".join(finding.remedy),
        "" if changes is None else str(changes.of(finding.fingerprint)),
        finding.fingerprint,
        " ".join(each.digest for each in finding.evidence),
    )


def _numbers(service: ServiceResult | None) -> tuple[str, ...]:
    """The door's counters: a lower bound as `≥ 100`, an estimate as `≈ 100`."""
    before = {"exact": "", "lower": "≥ ", "estimate": "≈ "}
    numbers = counters(service.counters if service is not None else Counters())
    return tuple(f"{before[each['bound']]}{each['value']}" for each in numbers.values())


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
