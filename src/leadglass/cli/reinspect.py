"""`leadglass reinspect`: everything in the archive by today's rules."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.text import printable


def reinspect(
    data: Data,
    keys: Keys,
    report_only: Annotated[bool, typer.Option("--report-only", help="Say what is found and leave it there.")] = False,
    rate: Annotated[int, typer.Option(min=1, help="MiB read in a second at most.")] = 64,
    anew: Annotated[bool, typer.Option("--anew", help="Begin again where an earlier run was interrupted.")] = False,
    config: Config = None,
) -> None:
    """Inspect everything in the archive, as after an update of the rules. What is found goes into quarantine. Exit
    code 1 with findings. Interrupted, it goes on from there the next time."""
    columns = (TextColumn("reinspecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    params = {"report_only": report_only, "rate": rate * 1024**2, "anew": anew}
    with verbs(data, keys, config) as archive, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("instances", total=None)
        result: dict[str, Any] = archive.call(
            "reinspect", params, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    for found in result["found"]:
        where = f"quarantine {found['quarantine']}" if found["quarantine"] else "left"
        typer.echo(f"FOUND     {printable(found['instance'])}: {', '.join(found['reasons'])} ({where})")
    if result["held_back"] > len(result["found"]):
        typer.echo(f"… and {result['held_back'] - len(result['found'])} more")
    for problem in result["problems"]:
        typer.echo(f"PROBLEM   {problem}")
    typer.echo(
        f"{result['instances']} instances, {result['octets']} bytes; {result['held_back']} with findings, "
        f"{len(result['problems'])} could not be inspected"
    )
    if result["held_back"] or result["problems"]:
        sys.exit(1)
