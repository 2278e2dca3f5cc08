"""`leadglass serve`."""

import gc
import signal
import sys
from typing import Annotated

import structlog
import typer

from leadglass.archive.archive import open_archive
from leadglass.archive.provision import server_chains
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.process import configure_logging
from leadglass.config import load
from leadglass.crypto.keys import KeyDirectory, same_device
from leadglass.server.control import ControlDoor
from leadglass.server.dimse.listener import Listener

log = structlog.get_logger("serve")
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def serve(
    data: Data,
    keys: Keys,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    dimse_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of DICOM over TLS; 0 takes a free one.")
    ] = 2762,
    https_port: Annotated[int, typer.Option(help="Port of the web door.")] = 8443,  # noqa: ARG001 - the contract's
    config: Config = None,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log in JSON lines.")] = False,
) -> None:
    """Open the archive and its doors; prints one `ready` line when they accept. SIGTERM ends it."""
    configure_logging(log_json)
    # Before any thread starts, so that all inherit it and the signal waits for us.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    settings = load(config)
    chains = server_chains(KeyDirectory.open(keys))
    archive = open_archive(data, keys, settings.archive.config())
    try:
        for repair in archive.repaired:
            log.warning("repaired", what=repair)
        if same_device(data, keys):
            log.warning("data and keys are on one device: whoever takes it has both")
        # What is loaded by now stays: the collector need not look at it again and again.
        gc.freeze()
        # Each stored object makes some hundred short-lived tuples and no cycles.
        gc.set_threshold(20_000)
        listener = Listener(archive, settings.dimse.config(), chains, host, dimse_port)
        control = ControlDoor(archive)
        archive.housekeeping.start()
        listener.start()
        control.start()
        address, port = listener.address
        shown = f"[{address}]" if ":" in address else address
        typer.echo(f"ready dimse-tls={shown}:{port} https=-")
        sys.stdout.flush()
        received = signal.sigwait(_SIGNALS)
        log.info("stopping", signal=signal.Signals(received).name)
        control.close()
        listener.close()
    finally:
        archive.close()
