"""`leadglass init`."""

from typing import Annotated

import typer

from leadglass.cli.options import Data, Keys


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
    typer.echo("next          leadglass device add NAME --aet AET --role modality --out DIR, then leadglass serve")
    if same_device(data, keys):
        typer.secho(
            "warning: data and keys are on one device. Whoever takes it has both; the HHS guidance on secured data "
            "wants keys kept on a separate one.",
            err=True,
            fg=typer.colors.YELLOW,
        )
