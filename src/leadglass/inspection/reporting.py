"""What `leadglass inspect` writes: JSON lines, CSV that no spreadsheet runs, SARIF 2.1.0. No patient data in any."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final, TextIO
from urllib.parse import quote

from leadglass import __version__
from leadglass.inspection.media import Inspected
from leadglass.inspection.reasons import BY_CODE, Reason, Weight
from leadglass.inspection.verdict import Finding

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {
    Weight.NOTE: "note",
    Weight.FINDING: "warning",
    Weight.DISARM: "warning",
    Weight.QUARANTINE: "error",
    Weight.REJECT: "error",
}
_COLUMNS: Final = ("path", "verdict", "reason", "weight", "offset", "element", "detail", "excerpt")


def is_finding(reason: Reason) -> bool:
    """Whether it counts against a folder: notes do not, nor does a file that is not DICOM at all."""
    return reason.weight > Weight.NOTE and reason is not Reason.NOT_DICOM


def has_findings(record: Mapping[str, Any]) -> bool:
    return any(is_finding(BY_CODE[code]) for code in record["counts"] if code in BY_CODE)


def record_of(inspected: Inspected, options: str) -> dict[str, Any]:
    """One line of JSON. A path is text: bytes of a name that are none are escaped. `options`: what was looked for."""
    report = inspected.report
    return {
        "path": _text(inspected.path),
        "size": inspected.size,
        "modified": inspected.modified,
        "options": options,
        "octets": report.octets,
        "verdict": report.kind.value,
        "counts": dict(report.counts),
        "findings": [_finding(each) for each in report.findings],
    }


def _text(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _finding(finding: Finding) -> dict[str, Any]:
    said = {
        "reason": finding.reason.code,
        "offset": finding.offset,
        "element": finding.path,
        "detail": finding.detail,
        "excerpt": finding.excerpt,
    }
    return {key: value for key, value in said.items() if value != ""}


def write_json_line(file: TextIO, record: Mapping[str, Any]) -> None:
    file.write(json.dumps(record, ensure_ascii=True, separators=(",", ":")) + "\n")


def read_json_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Records written before; a last line that a crash cut short is left out."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"path", "size", "modified", "verdict", "counts", "findings"} <= record.keys():
            yield record


class CsvWriter:
    """A row a finding, one without reason for a file that has none."""

    def __init__(self, file: TextIO) -> None:
        self._rows = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._rows.writerow(_COLUMNS)

    def add(self, record: Mapping[str, Any]) -> None:
        findings: list[Mapping[str, Any]] = record["findings"] or [{}]
        for each in findings:
            reason = BY_CODE.get(each.get("reason", ""))
            weight = reason.weight.name.lower() if reason else ""
            row = (
                *(record["path"], record["verdict"], each.get("reason", ""), weight, str(each.get("offset", ""))),
                *(each.get("element", ""), each.get("detail", ""), each.get("excerpt", "")),
            )
            self._rows.writerow([_safe(cell) for cell in row])


def _safe(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula (OWASP, CSV injection), nor a terminal for an order."""
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in cell)
    return f"'{shown}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else shown


class SarifLog:
    """Findings as a SARIF log (OASIS SARIF 2.1.0). Notes and clean files are left out."""

    def __init__(self) -> None:
        self._results: list[dict[str, Any]] = []

    def add(self, record: Mapping[str, Any]) -> None:
        for each in record["findings"]:
            reason = BY_CODE.get(each["reason"])
            if reason is not None and is_finding(reason):
                self._results.append(_result(record["path"], reason, each))

    def write(self, file: TextIO, *, complete: bool) -> None:
        """`complete`: whether the run reached its end."""
        log = {
            "$schema": _SCHEMA,
            "version": "2.1.0",
            "runs": [
                {
                    "tool": {"driver": _driver()},
                    "columnKind": "unicodeCodePoints",
                    "invocations": [{"executionSuccessful": complete}],
                    "results": self._results,
                }
            ],
        }
        json.dump(log, file, ensure_ascii=True, indent=1)
        file.write("\n")


def _driver() -> dict[str, Any]:
    rules = [
        {
            "id": reason.code,
            "shortDescription": {"text": reason.meaning},
            "defaultConfiguration": {"level": _LEVELS[reason.weight]},
        }
        for reason in Reason
        if is_finding(reason)
    ]
    return {"name": "leadglass inspect", "semanticVersion": __version__, "rules": rules}


def _result(path: str, reason: Reason, finding: Mapping[str, Any]) -> dict[str, Any]:
    said = " ".join(part for part in (finding.get("element", ""), finding.get("detail", "")) if part)
    place = {
        "artifactLocation": {"uri": _uri(path)},
        "region": {"byteOffset": max(0, finding["offset"])},
    }
    return {
        "ruleId": reason.code,
        "level": _LEVELS[reason.weight],
        "message": {"text": f"{reason.meaning} {said}".strip()},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())
