"""What commands about something that waits for a steward have in common: list, show, and one for each decision."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.tables import show as show_table
from leadglass.cli.text import printable

Row = dict[str, Any]
Number = Annotated[int, typer.Argument(help="Its number, from `list`.")]


@dataclass(frozen=True, slots=True)
class Decision:
    """`done` is what is said afterwards, before the number."""

    verb: str
    done: str
    help: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits. Names of its verbs begin with `noun`; it waits in the first of `states`; `columns` tell a
    row of the list by their heads, `lines` one of them in full."""

    noun: str
    help: str
    states: tuple[str, ...]
    columns: Mapping[str, Callable[[Row], str]]
    lines: Callable[[Row], Iterable[str]]
    show_help: str
    decisions: tuple[Decision, ...]

    def commands(self) -> typer.Typer:
        app = typer.Typer(help=self.help, no_args_is_help=True)
        self._add_list(app)
        self._add_show(app)
        for decision in self.decisions:
            self._add_decision(app, decision)
        return app

    def _add_list(self, app: typer.Typer) -> None:
        states = f"{', '.join(self.states[:-1])} or {self.states[-1]}"

        @app.command("list")
        def list_(
            data: Data,
            keys: Keys,
            state: Annotated[str, typer.Option(help=states)] = self.states[0],
            config: Config = None,
        ) -> None:
            """What waits for a decision, and why."""
            with verbs(data, keys, config) as archive:
                rows: list[Row] = archive.call(f"{self.noun}-list", {"state": state})
            if not rows:
                typer.echo(f"Nothing is {state}.")
                return
            show_table(tuple(self.columns), (tuple(cell(row) for cell in self.columns.values()) for row in rows))

    def _add_show(self, app: typer.Typer) -> None:
        @app.command(help=self.show_help)
        def show(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
            with verbs(data, keys, config) as archive:
                row: Row = archive.call(f"{self.noun}-show", {"id": number})
            for line in self.lines(row):
                typer.echo(printable(line))

    def _add_decision(self, app: typer.Typer, decision: Decision) -> None:
        @app.command(decision.verb, help=decision.help)
        def decide(number: Number, data: Data, keys: Keys, config: Config = None) -> None:
            with verbs(data, keys, config) as archive:
                archive.call(f"{self.noun}-{decision.verb}", {"id": number})
            typer.echo(f"{decision.done} {number}")


def fields(row: Row, shown: Callable[[str, Any], str] = lambda _, value: str(value)) -> Iterable[str]:
    """A line for each field."""
    return (f"{name.replace('_', ' '):24} {shown(name, value)}" for name, value in row.items())
