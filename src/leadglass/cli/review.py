"""`leadglass review`: what is kept but not shown until a steward decides."""

from collections.abc import Iterator
from typing import Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.deciding import Decision, Number, Row, Waiting, fields
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table

app = Waiting(
    noun="review",
    help="Unverified and revised objects: list, show, compare, accept, reject.",
    states=("open", "accepted", "rejected"),
    columns={
        "number": lambda row: str(row["id"]),
        "SOP instance": lambda row: str(row["sop_instance_uid"]),
        "study": lambda row: str(row["study_uid"]),
        "reason": lambda row: str(row["what"]),
    },
    lines=fields,
    show_help="One object: what it claims, and what is on record.",
    decisions=(
        Decision("accept", "accepted", "Show the object; a version shown before under its UID stays, superseded."),
        Decision("reject", "rejected", "Keep the object hidden."),
    ),
).commands()


@app.command()
def compare(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
    """Which elements and which pixels differ from what is shown under the same UID; neither values nor pictures."""
    with verbs(data, keys, config) as archive:
        found: Row = archive.call("review-compare", {"id": number})
    for line in _pixels(found["pixels"], found["pixels_problem"]):
        typer.echo(line)
    if not found["elements"]:
        typer.echo(found["elements_problem"] or "No element differs.")
        return
    show_table(
        ("element", "keyword", "shown", "arrived"),
        ((each["path"], each["keyword"], _value(each["kept"]), _value(each["arrived"])) for each in found["elements"]),
    )


def _pixels(pixels: Row | None, problem: str) -> Iterator[str]:
    if pixels is None:
        yield f"Pixels are not compared: {problem}"
        return
    shown, arrived = pixels["frames"]
    if shown != arrived:
        yield f"What is shown has {shown} frames, what arrived {arrived}."
    for frame in pixels["differing"]:
        box = frame["box"]
        yield (
            f"frame {frame['number']}: {frame['pixels']} of {frame['of']} pixels differ by up to {frame['largest']:g}, "
            f"in columns {box['left']} to {box['right']}, rows {box['top']} to {box['bottom']}"
        )
    if not pixels["differing"]:
        yield f"No pixel differs in {pixels['compared']} of {shown} frames."


def _value(value: dict[str, Any] | None) -> str:
    if value is None:
        return "absent"
    length = "" if value["length"] is None else f" {value['length']} {'items' if value['vr'] == 'SQ' else 'bytes'}"
    return f"{value['vr']}{length}"
