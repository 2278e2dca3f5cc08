"""`leadglass quarantine`: what inspection holds back until a steward decides."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.cli.text import printable

app = typer.Typer(help="Objects that inspection holds back: list, show, release, destroy.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="Number of the object, from `quarantine list`.")]


@app.command("list")
def list_(
    data: Data,
    keys: Keys,
    state: Annotated[str, typer.Option(help="held, released, destroyed or disarmed")] = "held",
    config: Config = None,
) -> None:
    """What is kept apart, and why."""
    with verbs(data, keys, config) as archive:
        rows: list[dict[str, Any]] = archive.call("quarantine-list", {"state": state})
    if not rows:
        typer.echo(f"Nothing is {state}.")
        return
    show_table(
        ("number", "arrived", "due", "times", "from", "SOP instance", "reasons"),
        (
            (
                str(row["id"]),
                _day(row["created"]),
                _day(row["due"]),
                str(row["attempts"]),
                row["principal"],
                row["sop_instance"],
                ", ".join(dict.fromkeys(finding["code"] for finding in row["findings"])),
            )
            for row in rows
        ),
    )


@app.command()
def show(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """One object: where it came from, and each thing that was found, with what could be text blanked."""
    with verbs(data, keys, config) as archive:
        row: dict[str, Any] = archive.call("quarantine-show", {"id": number})
    findings = row.pop("findings")
    for name, value in row.items():
        shown = _day(value) if name in ("created", "due", "decided") and value else str(value)
        typer.echo(f"{name.replace('_', ' '):16} {printable(shown)}")
    for finding in findings:
        typer.echo("")
        typer.echo(printable(f"{finding['code']}: {finding['meaning']}"))
        where = f"{finding['path'] or 'object'} at byte {finding['offset']}"
        typer.echo(printable("  " + "  ".join(filter(None, (where, finding["detail"], finding["excerpt"])))))


@app.command()
def release(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """Store the object after all; it is inspected again, and what was not on record holds it back still."""
    with verbs(data, keys, config) as archive:
        archive.call("quarantine-release", {"id": number})
    typer.echo(f"released {number}")


@app.command()
def destroy(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """Forget its key, for good."""
    with verbs(data, keys, config) as archive:
        archive.call("quarantine-destroy", {"id": number})
    typer.echo(f"destroyed {number}")


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M")
