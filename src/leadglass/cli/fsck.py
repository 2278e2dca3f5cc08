"""`leadglass fsck`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys


def fsck(
    data: Data,
    keys: Keys,
    deep: Annotated[bool, typer.Option("--deep", help="Open every object to its last byte.")] = False,
    config: Config = None,
) -> None:
    """Check that what is on record is there and whole. Exit code 1 when it is not."""
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with verbs(data, keys, config) as archive, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("instances", total=None)
        checked = archive.call(
            "fsck", {"deep": deep}, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    for repair in checked["repaired"]:
        typer.echo(f"repaired  {repair}")
    for problem in checked["problems"]:
        typer.echo(f"PROBLEM   {problem}")
    how = "opened and compared" if deep else "located and unsealed at their ends"
    typer.echo(
        f"{checked['instances']} instances {how}, {checked['octets']} bytes; {checked['events']} events in unbroken "
        f"chains; {len(checked['problems'])} problems"
    )
    if checked["problems"]:
        sys.exit(1)
