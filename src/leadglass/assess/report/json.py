"""The report for programs: exposure-report.schema.json, version 2, is what it promises."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date, datetime
from importlib.resources import files
from io import BytesIO
from typing import Any, Final

from leadglass.assess.finding import Finding
from leadglass.assess.observation import Counters, Exchange, HostResult, ServiceResult
from leadglass.assess.report.model import Changes, FormerFinding, Report

FORMAT: Final = "leadglass-exposure-report"
VERSION: Final = 2
#: The longest part of an exchange that is shown; its digest is that of the whole.
_SHOWN: Final = 16_384
_TEXT: Final = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) that each report keeps to."""
    text = files("leadglass.assess.report").joinpath("exposure-report.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def render(report: Report) -> bytes:
    """The report as JSON in UTF-8, ready to be signed (sign.py)."""
    encoded = BytesIO()
    for piece in _pieces(report):
        encoded.write(piece.encode("utf-8", "replace"))
    return encoded.getvalue()


def document(report: Report) -> dict[str, Any]:
    """The report as plain values; nothing in it is a patient's."""
    return {name: list(value) if isinstance(value, Iterator) else value for name, value in _members(report)}


def _pieces(report: Report) -> Iterator[str]:
    """Text that ends in `}` and a line break. Lists come an entry a line, each made when it is written: the values of a
    thousand hosts would need ten times the memory of their text."""
    before = "{"
    for name, value in _members(report):
        yield f'{before}\n  "{name}": '
        before = ","
        if isinstance(value, Iterator):
            yield from _lines(value)
        else:
            yield json.dumps(value, ensure_ascii=False)
    yield "\n}\n"


def _lines(entries: Iterator[Any]) -> Iterator[str]:
    before = "["
    for entry in entries:
        yield f"{before}\n    {json.dumps(entry, ensure_ascii=False)}"
        before = ","
    yield "[]" if before == "[" else "\n  ]"


def _members(report: Report) -> Iterator[tuple[str, Any]]:
    """Name and value of each, in order; iterators for the lists that may be long."""
    run, changes = report.assessment, report.changes
    yield "format", FORMAT
    yield "version", VERSION
    yield "generator", {"name": "leadglass", "version": report.version}
    yield "assessment", _assessment(report)
    yield "verdict", report.verdict
    yield "totals", counters(run.totals)
    yield "severities", {str(word): count for word, count in report.by_word.items()}
    yield "hosts", (_host(each) for each in run.hosts)
    yield "findings", (_finding(each, changes) for each in report.findings)
    yield "evidence", _evidence(report)
    yield (
        "unknowns",
        (
            {"address": each.endpoint.address, "port": each.endpoint.port, "what": each.words}
            for each in report.unknowns
        ),
    )
    yield "changes", None if changes is None else _changes(changes)
    yield (
        "signing_key",
        {"algorithm": "Ed25519", "public": report.key.raw.hex(), "fingerprint": report.key.fingerprint},
    )


def _evidence(report: Report) -> Iterator[dict[str, Any]]:
    """Each exchange that observations name, once: a knock is the same at a thousand doors, and proves several things at
    each."""
    seen: set[str] = set()
    services = (service for host in report.assessment.hosts for service in host.services)
    for exchange in (
        each for service in services for seen_there in service.observations for each in seen_there.exchanges
    ):
        digest = exchange.digest
        if digest not in seen:
            seen.add(digest)
            yield {"sha256": digest, "sent": shown(exchange.sent), "received": shown(exchange.received)}


def counters(each: Counters) -> dict[str, dict[str, Any]]:
    """The eight counters by name: value and bound."""
    named = {field.name: getattr(each, field.name) for field in fields(each)}
    return {name: {"value": count.value, "bound": str(count.bound)} for name, count in named.items()}


def shown(part: bytes) -> Mapping[str, Any]:
    """One side of an exchange: as text where it is plain ASCII, else in hex; cut where it is long."""
    piece = part[:_SHOWN]
    plain = _TEXT.issuperset(piece)
    return {
        "encoding": "text" if plain else "hex",
        "value": piece.decode("ascii") if plain else piece.hex(),
        "bytes": len(part),
    }


def _assessment(report: Report) -> dict[str, Any]:
    run = report.assessment
    return {
        "organisation": run.organisation,
        "authorised_by": run.authorised_by,
        "scope_sha256": run.scope_sha256,
        "begun": _time(run.begun),
        "ended": _time(run.ended),
        "addresses": run.addresses,
        "ports": list(run.ports),
        "interrupted": run.interrupted,
        "facts": _facts(run.facts),
    }


def _host(host: HostResult) -> dict[str, Any]:
    return {
        "address": host.address,
        "names": list(host.names),
        "products": list(host.products),
        "open_ports": list(host.open_ports),
        "counters": counters(host.counters),
        "oldest_study": _day(host.oldest),
        "newest_study": _day(host.newest),
        "identifiers": list(host.identifiers),
        "services": [_service(each) for each in host.services],
    }


def _service(service: ServiceResult) -> dict[str, Any]:
    return {
        "port": service.endpoint.port,
        "protocol": service.protocol,
        "product": service.product,
        "counters": counters(service.counters),
        "oldest_study": _day(service.oldest),
        "newest_study": _day(service.newest),
        "identifiers": list(service.identifiers),
        "observations": [
            {
                "kind": str(each.kind),
                "facts": _facts(each.facts),
                "evidence": [exchange.digest for exchange in each.exchanges],
            }
            for each in service.observations
        ],
        "unknowns": list(service.unknowns),
    }


def _finding(finding: Finding, changes: Changes | None) -> dict[str, Any]:
    return {
        "fingerprint": finding.fingerprint,
        "kind": str(finding.kind),
        "title": finding.title,
        "severity": str(finding.severity.word),
        "cvss": {"vector": finding.severity.vector, "score": finding.severity.score},
        "address": finding.endpoint.address,
        "port": finding.endpoint.port,
        "locator": finding.locator,
        "product": finding.product,
        "exposure": finding.exposure,
        "paragraphs": list(finding.paragraphs),
        "remedy": list(finding.remedy),
        "change": None if changes is None else str(changes.of(finding.fingerprint)),
        "evidence": [_exchange(each) for each in finding.evidence],
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {"at": _time(exchange.at), "summary": exchange.summary, "sha256": exchange.digest}


def _changes(changes: Changes) -> dict[str, Any]:
    return {
        "baseline_sha256": changes.baseline_sha256,
        "new": sorted(changes.new),
        "still_open": sorted(changes.still_open),
        "fixed": [_former(each) for each in changes.fixed],
        "unknown": [_former(each) for each in changes.unknown],
    }


def _former(each: FormerFinding) -> dict[str, Any]:
    return {
        "fingerprint": each.fingerprint,
        "kind": each.kind,
        "title": each.title,
        "severity": each.word,
        "score": each.score,
        "address": each.endpoint.address,
        "port": each.endpoint.port,
        "locator": each.locator,
    }


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
