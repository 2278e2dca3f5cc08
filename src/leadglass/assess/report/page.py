"""What the HTML page and the PDF show alike, as plain values: templates only lay it out."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from math import log10
from typing import Any, Final

from leadglass.assess.finding import Finding, Word
from leadglass.assess.observation import Bound, Count, Exchange, HostResult
from leadglass.assess.report.json import shown
from leadglass.assess.report.model import Change, Changes, FormerFinding, Report

_SIGNS: Final = {Bound.EXACT: "", Bound.LOWER: "≥ ", Bound.ESTIMATE: "≈ "}
_UNKNOWN_PRODUCT: Final = "Product unknown"
_FIRST_STEPS: Final = 5
_PRODUCTS: Final = 8
#: How the step begins that helps at once (remedies.toml).
_TODAY: Final = "Today: "
#: Lines and characters of an exchange that a person looks at; JSON has more of it.
_LINES: Final = 24
_CHARACTERS: Final = 2_000
_WIDTH: Final = 96


def page(report: Report) -> dict[str, Any]:
    """Text, numbers and shares between 0 and 1; nothing needs another look-up. `findings` is an iterator: a thousand
    doors have thousands, each with its evidence."""
    run = report.assessment
    words: dict[str, list[Word]] = {}
    for finding in report.findings:
        words.setdefault(finding.endpoint.address, []).append(finding.severity.word)
    return {
        "verdict": report.verdict,
        "tone": _tone(report),
        "organisation": run.organisation,
        "authorised_by": run.authorised_by,
        "day": _day(run.ended),
        "begun": _moment(run.begun),
        "ended": _moment(run.ended),
        "interrupted": run.interrupted,
        "looked": f"{_counted(run.addresses, 'address was', 'addresses were')} looked at from outside, as a stranger "
        f"would; {len(run.hosts):,} answered.",
        "ports": ", ".join(map(str, run.ports)),
        "scope_sha256": run.scope_sha256,
        "version": report.version,
        "key": report.key.fingerprint,
        "figures": _figures(report),
        "counters": _counters(report),
        "severities": _severities(report),
        "products": _products(report),
        "duties": _duties(report),
        "first": _first(report.findings),
        "findings": (_finding(number, each, report.changes) for number, each in enumerate(report.findings, 1)),
        "hosts": [_host(each, words.get(each.address, [])) for each in run.hosts],
        "unknowns": [{"where": str(each.endpoint), "words": each.words} for each in report.unknowns],
        "changes": _changes(report.changes),
    }


def _tone(report: Report) -> str:
    worst = next((word for word, count in report.by_word.items() if count), Word.INFORMATION)
    if worst in (Word.CRITICAL, Word.HIGH):
        return "bad"
    return "warn" if worst in (Word.MEDIUM, Word.LOW) or report.unknowns else "good"


def _figures(report: Report) -> list[dict[str, str]]:
    totals = report.assessment.totals
    figures = (
        ("Patients", totals.patients, "distinct, by identifier and birth date"),
        ("Studies", totals.studies, "examinations that anyone can list"),
        ("Images listed", totals.images_advertised, "what the servers say they hold"),
        ("Proven retrievable", totals.images_proven, "samples that began to arrive"),
        ("Social Security numbers", totals.ssns_formatted, "valid, written as such"),
        ("Possible SSNs", totals.ssns_bare, "nine bare digits, valid as such"),
    )
    return [
        {"label": label, "value": f"{count.value:,}", "bound": _bound(count), "note": note, "tone": _alarm(count)}
        for label, count, note in figures
    ]


def _counters(report: Report) -> list[dict[str, Any]]:
    """On a logarithmic scale: a hundred samples would vanish beside ten million images."""
    totals = report.assessment.totals
    rows = (
        ("Patients", totals.patients),
        ("Studies", totals.studies),
        ("Series", totals.series),
        ("Images listed", totals.images_advertised),
        ("Images indicated", totals.images_indicated),
        ("Images proven", totals.images_proven),
        ("SSNs", totals.ssns_formatted),
        ("Possible SSNs", totals.ssns_bare),
    )
    most = max(log10(count.value + 1) for _, count in rows) or 1
    return [
        {
            "label": label,
            "text": f"{_SIGNS[count.bound]}{count.value:,}",
            "share": log10(count.value + 1) / most,
            "open": count.bound != Bound.EXACT,
        }
        for label, count in rows
    ]


def _severities(report: Report) -> list[dict[str, Any]]:
    most = max(report.by_word.values()) or 1
    return [{"word": str(word), "count": count, "share": count / most} for word, count in report.by_word.items()]


def _products(report: Report) -> list[dict[str, Any]]:
    """Findings that are no mere information, by product; the rest of a long tail in one row."""
    weights: dict[str, dict[Word, int]] = {}
    for each in report.findings:
        if each.severity.word is not Word.INFORMATION:
            words = weights.setdefault(each.product or _UNKNOWN_PRODUCT, dict.fromkeys(Word, 0))
            words[each.severity.word] += 1
    ranked = sorted(weights.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    rows = ranked[:_PRODUCTS]
    if len(ranked) > _PRODUCTS:
        rest = {word: sum(words[word] for _, words in ranked[_PRODUCTS:]) for word in Word}
        rows = [*rows, (f"{len(ranked) - _PRODUCTS} others", rest)]
    most = max((sum(words.values()) for _, words in rows), default=1)
    return [
        {
            "name": name,
            "count": sum(words.values()),
            "parts": [{"word": str(word), "share": count / most} for word, count in words.items() if count],
        }
        for name, words in rows
    ]


def _duties(report: Report) -> list[str]:
    """What the HIPAA rules say to somebody who has just read the verdict."""
    totals = report.assessment.totals
    if not (totals.studies.value or totals.images_proven.value):
        return []
    notify = _day(report.assessment.ended + timedelta(days=60))
    return [
        "Unsecured records that anyone could reach are presumed breached unless a low probability of compromise is "
        "shown on four factors (45 CFR 164.402).",
        f"Individuals are told without unreasonable delay and within 60 days of discovery, which is {notify} at the "
        "latest for what this report shows (164.404). From 500 persons on the Secretary of HHS is told at the same "
        "time (164.408), and beyond 500 of one state its media too (164.406).",
        "Keep every access log of the servers below before anything is restarted: whether records were viewed is "
        "the first question.",
    ]


def _first(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """What to do first: one entry for each remedy, the worst first, with the doors that it closes."""
    groups: dict[tuple[str, tuple[str, ...]], list[Finding]] = {}
    for each in findings:
        if each.severity.word is not Word.INFORMATION:
            groups.setdefault((each.product, each.remedy), []).append(each)
    return [
        {
            "title": group[0].title,
            "product": product or _UNKNOWN_PRODUCT,
            "word": str(group[0].severity.word),
            "doors": f"{len({each.endpoint for each in group}):,}",
            "where": sorted({str(each.endpoint) for each in group})[:3],
            "steps": list(steps),
            # On the page for whoever decides there is room for one, and what helps today is said for all together.
            "then": next((step for step in steps if not step.startswith(_TODAY)), ""),
        }
        for (product, steps), group in list(groups.items())[:_FIRST_STEPS]
    ]


def _finding(number: int, finding: Finding, changes: Changes | None) -> dict[str, Any]:
    return {
        "number": number,
        "title": finding.title,
        "word": str(finding.severity.word),
        "score": f"{finding.severity.score:.1f}",
        "vector": finding.severity.vector,
        "where": f"{finding.endpoint}{finding.locator}",
        "product": finding.product or _UNKNOWN_PRODUCT,
        "exposure": finding.exposure,
        "paragraphs": list(finding.paragraphs),
        "remedy": list(finding.remedy),
        "fingerprint": finding.fingerprint,
        "change": "" if changes is None else _CHANGE_WORDS[changes.of(finding.fingerprint)],
        "evidence": [_exchange(each) for each in finding.evidence],
    }


_CHANGE_WORDS: Final = {Change.NEW: "new", Change.STILL_OPEN: "still open"}


def _exchange(exchange: Exchange) -> dict[str, str]:
    return {
        "at": f"{exchange.at:%Y-%m-%d %H:%M:%S}.{exchange.at.microsecond // 1000:03d} UTC",
        "summary": exchange.summary,
        "sent": _part(exchange.sent),
        "received": _part(exchange.received),
        "digest": exchange.digest,
    }


def _part(part: bytes) -> str:
    """Text as it is, anything else as a hex dump; cut with an ellipsis."""
    said = shown(part)
    lines = list(_folded(str(said["value"]))) if said["encoding"] == "text" else list(_dump(part))
    cut = "\n".join(lines[:_LINES])[:_CHARACTERS]
    return f"{cut}\n…" if len(lines) > _LINES or len("\n".join(lines)) > _CHARACTERS else cut


def _folded(text: str) -> Iterator[str]:
    """Lines no longer than paper is wide."""
    for line in text.splitlines():
        for start in range(0, max(len(line), 1), _WIDTH):
            yield line[start : start + _WIDTH]


def _dump(part: bytes) -> Iterator[str]:
    for offset in range(0, min(len(part), 16 * (_LINES + 1)), 16):
        row = part[offset : offset + 16]
        text = "".join(chr(each) if 0x20 <= each < 0x7F else "·" for each in row)
        yield f"{offset:04x}  {row.hex(' '):<47}  {text}"


def _host(host: HostResult, words: list[Word]) -> dict[str, Any]:
    numbers = host.counters
    return {
        "address": host.address,
        "names": ", ".join(host.names),
        "products": ", ".join(host.products),
        "doors": [f"{each.endpoint.port} {each.protocol}" for each in host.services],
        "studies": _cell(numbers.studies),
        "patients": _cell(numbers.patients),
        "images": _cell(numbers.images_advertised),
        "proven": _cell(numbers.images_proven),
        "ssns": _cell(numbers.ssns_formatted + numbers.ssns_bare),
        "dates": f"{host.oldest:%Y-%m} to {host.newest:%Y-%m}" if host.oldest and host.newest else "",
        "worst": str(next((word for word in Word if word in words), "")),
        "count": len(words),
    }


def _changes(changes: Changes | None) -> dict[str, Any] | None:
    if changes is None:
        return None
    return {
        "baseline": changes.baseline_sha256,
        "new": len(changes.new),
        "still_open": len(changes.still_open),
        "fixed": [_former(each) for each in changes.fixed],
        "unknown": [_former(each) for each in changes.unknown],
    }


def _former(each: FormerFinding) -> dict[str, str]:
    return {"title": each.title, "word": each.word, "where": f"{each.endpoint}{each.locator}"}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _cell(count: Count) -> str:
    """A number in a table; a question mark where nothing was told."""
    return "?" if not count.value and count.bound != Bound.EXACT else f"{_SIGNS[count.bound]}{count.value:,}"


def _bound(count: Count) -> str:
    return {Bound.EXACT: "", Bound.LOWER: "at least", Bound.ESTIMATE: "about"}[count.bound]


def _alarm(count: Count) -> str:
    return "bad" if count.value else "calm"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%-d %B %Y}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
