"""The report for whoever ran it: a screenful, the worst first. What peers say is text here, never markup or orders."""

from typing import Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from leadglass.assess.finding import Finding, Word
from leadglass.assess.report.model import Report
from leadglass.assess.sentences import amount

_STYLES: Final = {
    Word.CRITICAL: "bold white on red",
    Word.HIGH: "bold red",
    Word.MEDIUM: "yellow",
    Word.LOW: "cyan",
    Word.INFORMATION: "dim",
}
_MOST_FINDINGS: Final = 40


def show(report: Report, console: Console) -> None:
    """Print the summary; nothing is cut silently."""
    console.print(Panel(_head(report), title="leadglass assess exposure", border_style=_border(report)))
    if report.findings:
        console.print(_findings(report.findings[:_MOST_FINDINGS]))
    if len(report.findings) > _MOST_FINDINGS:
        console.print(Text(f"… and {len(report.findings) - _MOST_FINDINGS} more; the JSON, HTML and PDF have all."))
    for each in report.unknowns[:_MOST_FINDINGS]:
        console.print(Text(f"unknown  {each.endpoint}  {printable(each.words)}", style="dim"))
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


def _findings(findings: tuple[Finding, ...]) -> Table:
    table = Table("severity", "where", "product", "finding", box=None, padding=(0, 2, 0, 0))
    for each in findings:
        word = each.severity.word
        table.add_row(
            Text(str(word), style=_STYLES[word]),
            Text(f"{each.endpoint}{printable(each.locator)}", overflow="fold"),
            Text(printable(each.product)),
            Text(each.title),
        )
    return table


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
