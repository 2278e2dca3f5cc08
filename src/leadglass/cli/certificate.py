"""`leadglass certificate`."""

from typing import Annotated

import typer

from leadglass.cli.options import Keys


def certificate(
    keys: Keys,
    hostname: Annotated[
        list[str] | None,
        typer.Option("--hostname", help="Name or address, in place of those it has. May be repeated."),
    ] = None,
) -> None:
    """Make new server certificates: before the present ones expire, or for other names. Devices notice nothing, since
    the authority stays."""
    from leadglass.archive.provision import renew_servers
    from leadglass.crypto.keys import KeyDirectory

    names, until = renew_servers(KeyDirectory.open(keys), tuple(hostname or ()))
    typer.echo(f"names  {', '.join(names)}")
    typer.echo(f"until  {until:%Y-%m-%d}")
    typer.echo("`leadglass serve` has them once it is started again.")
