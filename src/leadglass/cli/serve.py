"""`leadglass serve`: its options. What it does is in `serving`, loaded only by it."""

from typing import Annotated

import typer

from leadglass.cli.options import Config, Data, Keys


def serve(
    data: Data,
    keys: Keys,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    dimse_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of DICOM over TLS; 0 takes a free one.")
    ] = 2762,
    https_port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of HTTPS; 0 takes a free one.")] = 8443,
    config: Config = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in JSON lines.")] = False,
) -> None:
    """Open the archive and its doors; prints one `ready` line when they accept. SIGTERM ends it."""
    from leadglass.cli.serving import configure_logging, run

    configure_logging(log_json)
    run(data, keys, config, host, dimse_port, https_port)
