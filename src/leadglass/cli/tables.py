"""Tables for people and for scripts: never folded or cut to a terminal's width, since UIDs are copied out of them."""

from rich.console import Console
from rich.table import Table

_WIDE = 10_000


def show(table: Table) -> None:
    """Print a table as wide as its content."""
    Console(width=_WIDE, soft_wrap=True, markup=False, highlight=False).print(table)
