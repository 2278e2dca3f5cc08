"""The report for whoever ran it: a screenful, the worst first. What peers say is text here, never markup or orders."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from leadglass.assess.finding import Finding, Word
from leadglass.assess.report.model import Report, Unknown
from leadglass.assess.sentences import amount

_STYLES: Final = {
    Word.CRITICAL: "bold white on red",
    Word.HIGH: "bold red",
    Word.MEDIUM: "yellow",
    Word.LOW: "cyan",
    Word.INFORMATION: "dim",
}
#: Entries of each list: what fits a screen or two.
_MOST: Final = 20


def show(report: Report, console: Console) -> None:
    """Print the summary; nothing is cut silently."""
    console.print(Panel(_head(report), title="leadglass assess exposure", border_style=_border(report)))
    for line in _listed(_findings(report.findings), "findings"):
        console.print(line)
    for line in _listed(_unknowns(report.unknowns), "unknown matters"):
        console.print(line)
    if report.changes is not None:
        console.print(_changes(report))
    console.print(Text(f"signing key {report.key.fingerprint}", style="dim"), soft_wrap=True)


def printable(text: str) -> str:
    """`text` without what gives orders to a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _head(report: Report) -> RenderableType:
    run, totals = report.assessment, report.assessment.totals
    table = Table.grid(padding=(0, 3))
    for name, count in (
        ("studies", totals.studies),
        ("patients", totals.patients),
        ("images listed", totals.images_advertised),
        ("proven retrievable", totals.images_proven),
        ("Social Security numbers", totals.ssns_formatted),
        ("nine digits", totals.ssns_bare),
    ):
        table.add_row(Text(name), Text(amount(count), style="bold"))
    looked = f"{run.addresses:,} {'address' if run.addresses == 1 else 'addresses'}"
    scope = f"{printable(run.organisation)} · {looked} · {len(run.hosts):,} answered"
    return Group(Text(report.verdict, style="bold"), Text(scope, style="dim"), Text(), table)


def _listed(entries: list[Text], what: str) -> Iterator[Text]:
    yield from entries[:_MOST]
    if len(entries) > _MOST:
        yield Text(f"… and {len(entries) - _MOST} more {what}; the JSON, HTML and PDF have all.")


def _findings(findings: tuple[Finding, ...]) -> list[Text]:
    """An entry for each weakness of a product, the worst first, however many doors have it."""
    doors: dict[tuple[Word, str, str], list[str]] = {}
    for each in findings:
        at = doors.setdefault((each.severity.word, each.title, each.product), [])
        at.append(f"{each.endpoint}{printable(each.locator)}")
    return [
        Text.assemble(
            (f"{word:<12}", _STYLES[word]),
            title,
            "\n",
            (" " * 12 + _where(printable(product), at), "dim"),
            overflow="fold",
        )
        for (word, title, product), at in doors.items()
    ]


def _unknowns(unknowns: tuple[Unknown, ...]) -> list[Text]:
    doors: dict[str, list[str]] = {}
    for each in unknowns:
        doors.setdefault(each.words, []).append(str(each.endpoint))
    return [
        Text(f"{'unknown':<12}{printable(words)}\n{' ' * 12}{_where('', at)}", style="dim")
        for words, at in doors.items()
    ]


def _where(product: str, doors: list[str]) -> str:
    others = f" and {len(doors) - 1:,} more" if len(doors) > 1 else ""
    return f"{product}{' at ' if product else 'at '}{doors[0]}{others}"


def _changes(report: Report) -> Text:
    changes = report.changes
    if changes is None:
        return Text()
    return Text(
        f"since the baseline: {len(changes.new)} new, {len(changes.still_open)} still open, "
        f"{len(changes.fixed)} fixed, {len(changes.unknown)} unknown",
        style="bold",
    )


def _border(report: Report) -> str:
    worst = next((word for word, count in report.by_word.items() if count), Word.INFORMATION)
    return "red" if worst in (Word.CRITICAL, Word.HIGH) else "yellow" if worst is Word.MEDIUM else "green"
