"""`leadglass review`: what is kept but not shown until a steward decides."""

from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.cli.text import printable

app = typer.Typer(help="Unverified and revised objects: list, show, accept, reject.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="Number of the review, from `review list`.")]

REASONS = {
    "other-header": "the same pixels under another header",
    "other-encoding": "another encoding that cannot be compared without decoding",
    "other-pixels": "OTHER PIXELS under a known SOP Instance UID; the sender was refused",
    "study-of-another-patient-or-site": "its Study Instance UID belongs to another patient or site",
    "series-of-another-study": "its Series Instance UID belongs to another study",
}


@app.command("list")
def list_(
    data: Data,
    keys: Keys,
    state: Annotated[str, typer.Option(help="open, accepted or rejected")] = "open",
    config: Config = None,
) -> None:
    """What waits for a decision."""
    with verbs(data, keys, config) as archive:
        rows: list[dict[str, Any]] = archive.call("review-list", {"state": state})
    if not rows:
        typer.echo(f"Nothing is {state}.")
        return
    show_table(
        ("number", "SOP instance", "study", "reason"),
        ((str(row["id"]), row["sop_instance_uid"], row["study_uid"], REASONS[row["reason"]]) for row in rows),
    )


@app.command()
def show(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """One object: what it claims, and what is on record."""
    with verbs(data, keys, config) as archive:
        row: dict[str, Any] = archive.call("review-show", {"id": number})
    for name, value in row.items():
        typer.echo(f"{name.replace('_', ' '):24} {printable(str(value))}")


@app.command()
def accept(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """Show the object; a version shown before under its UID stays, superseded."""
    with verbs(data, keys, config) as archive:
        archive.call("review-accept", {"id": number})
    typer.echo(f"accepted {number}")


@app.command()
def reject(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """Keep the object hidden."""
    with verbs(data, keys, config) as archive:
        archive.call("review-reject", {"id": number})
    typer.echo(f"rejected {number}")
