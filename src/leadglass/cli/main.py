"""`leadglass`: the commands, and what an error turns into (a line on standard error and an exit code)."""

import sys
import traceback
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from leadglass import __version__
from leadglass.cli import (
    assess,
    certificate,
    device,
    fsck,
    importing,
    init,
    inspect,
    quarantine,
    reinspect,
    review,
    serve,
    token,
    user,
)
from leadglass.cli.process import harden
from leadglass.cli.text import printable
from leadglass.errors import LeadglassError

app = typer.Typer(
    name="leadglass",
    help="A picture archive that is closed by default.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("init")(init.init)
app.command("certificate")(certificate.certificate)
app.command("serve")(serve.serve)
app.command("import")(importing.import_)
app.command("fsck")(fsck.fsck)
app.command("inspect")(inspect.inspect)
app.command("reinspect")(reinspect.reinspect)
app.add_typer(assess.app, name="assess")
app.add_typer(device.app, name="device")
app.add_typer(user.app, name="user")
app.add_typer(token.app, name="token")
app.add_typer(review.app, name="review")
app.add_typer(quarantine.app, name="quarantine")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"leadglass {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """A picture archive that is closed by default."""


def main() -> None:
    harden()
    try:
        app()
    except LeadglassError as error:
        complain(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - its text and its locals may hold patient data: neither is shown
        where = traceback.extract_tb(error.__traceback__)[-1]
        complain(
            LeadglassError(
                f"A defect: {type(error).__name__} in {where.name}, line {where.lineno}.", "Please report this line."
            )
        )
        sys.exit(1)


def complain(error: LeadglassError) -> None:
    """What happened, and what to do next. A file's or a peer's text could carry markup or orders to the terminal."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]leadglass:[/] {escape(printable(error.message))}")
    if error.remedy:
        console.print(f"  {escape(printable(error.remedy))}")
