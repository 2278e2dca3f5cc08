"""`leadglass init`."""

from pathlib import Path
from typing import Annotated

import typer

from leadglass.cli.access import verbs
from leadglass.cli.options import Data, Keys
from leadglass.cli.user import setup_link
from leadglass.model import DEFAULT_SITE


def init(
    data: Data,
    keys: Keys,
    hostname: Annotated[
        list[str] | None, typer.Option("--hostname", help="Name or address that devices will use. May be repeated.")
    ] = None,
) -> None:
    """Make an empty archive: its keys, a local certificate authority and server certificates."""
    from leadglass.archive.archive import create_archive
    from leadglass.archive.provision import LOCAL_NAMES, authority_certificate
    from leadglass.crypto.certificates import certificate_fingerprint
    from leadglass.crypto.keys import same_device

    made = create_archive(data, keys, tuple(hostname or ()))
    fingerprint = certificate_fingerprint(authority_certificate(made))
    typer.echo(f"archive       {data}")
    typer.echo(f"keys          {keys}   (back these up apart from the data: without them nothing can be opened)")
    typer.echo(f"authority     SHA-256 {':'.join(fingerprint[i : i + 2] for i in range(0, 64, 2)).upper()}")
    typer.echo(f"names         {', '.join(dict.fromkeys([*(hostname or ()), *LOCAL_NAMES]))}")
    typer.echo(f"sign in       {setup_link(keys, *_first_administrator(data, keys))}")
    typer.echo(
        "              as `admin`, once, within 24 hours from the first `leadglass serve`; it is not shown again"
    )
    typer.echo("next          leadglass device add NAME --aet AET --role modality --out DIR, then leadglass serve")
    if same_device(data, keys):
        typer.secho(
            "warning: data and keys are on one device. Whoever takes it has both; the HHS guidance on secured data "
            "wants keys kept on a separate one.",
            err=True,
            fg=typer.colors.YELLOW,
        )


def _first_administrator(data: Path, keys: Path) -> tuple[str, int]:
    """A user with a link that waits for the first `serve`; nobody can sign in before."""
    params = {
        "name": "admin",
        "roles": ["administrator"],
        "site": DEFAULT_SITE,
        "person": "First administrator",
        "password": "",
        "waits": True,
    }
    with verbs(data, keys, None) as archive:
        secret, port = archive.call("user-add", params)
    return secret, port
