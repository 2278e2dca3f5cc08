"""Tables for people and for scripts: never folded or cut to a terminal's width, since UIDs are copied out of them."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from leadglass.cli.text import printable

_WIDE = 10_000


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as its content."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*map(printable, row))
    Console(width=_WIDE, soft_wrap=True, markup=False, highlight=False).print(table)
