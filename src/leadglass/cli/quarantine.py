"""`leadglass quarantine`: what inspection holds back until a steward decides."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from leadglass.cli.deciding import Decision, Row, Waiting, fields


def _lines(row: Row) -> Iterator[str]:
    findings = row.pop("findings")
    yield from fields(row, lambda name, value: _day(value) if name in _MOMENTS and value else str(value))
    for finding in findings:
        yield ""
        yield f"{finding['code']}: {finding['meaning']}"
        where = f"{finding['path'] or 'object'} at byte {finding['offset']}"
        yield "  " + "  ".join(filter(None, (where, finding["detail"], finding["excerpt"])))


_MOMENTS = ("created", "due", "decided")


def _day(microseconds: Any) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


app = Waiting(
    noun="quarantine",
    help="Objects that inspection holds back: list, show, release, destroy.",
    states=("held", "released", "destroyed", "disarmed"),
    columns={
        "number": lambda row: str(row["id"]),
        "arrived": lambda row: _day(row["created"]),
        "due": lambda row: _day(row["due"]),
        "times": lambda row: str(row["attempts"]),
        "from": lambda row: str(row["principal"]),
        "SOP instance": lambda row: str(row["sop_instance"]),
        "reasons": lambda row: ", ".join(dict.fromkeys(finding["code"] for finding in row["findings"])),
    },
    lines=_lines,
    show_help="One object: where it came from, and each thing that was found, with what could be text blanked.",
    decisions=(
        Decision(
            "release",
            "released",
            "Store the object after all; it is inspected again, and what was not on record holds it back still.",
        ),
        Decision("destroy", "destroyed", "Forget its key, for good."),
    ),
).commands()
