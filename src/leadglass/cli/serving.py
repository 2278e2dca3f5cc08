"""The life of a serving process: open, ready, a signal, drained, closed."""

import gc
import logging
import os
import signal
import sys
from pathlib import Path

import structlog
import typer

from leadglass.archive.archive import open_archive
from leadglass.archive.provision import server_chains
from leadglass.cli.process import keep_buffers
from leadglass.config import load
from leadglass.crypto.keys import KeyDirectory, KeyFile, same_device
from leadglass.errors import NotAvailable
from leadglass.server.control import ControlDoor
from leadglass.server.dimse.listener import Listener
from leadglass.server.dimse.receiver import Premises, fork_receivers
from leadglass.server.selfaudit import SelfAudit
from leadglass.server.web.door import WebDoor
from leadglass.server.web.viewer import REMEDY, Bundle

log = structlog.get_logger("serve")
#: Unless configured. As many keep the one committer busy.
MOST_RECEIVERS = 8
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def configure_logging(as_json: bool) -> None:
    """Structured lines on standard error. Tracebacks show no local variables: those hold patient data."""
    shown: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def run(data: Path, keys: Path, config: Path | None, host: str, dimse_port: int, https_port: int) -> None:
    """Returns when a signal has ended it. Raises RefusedForSafety, NotAvailable and UsageError with a remedy."""
    keep_buffers()
    # Before any thread starts, so that all inherit it and the signal waits for us.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    settings = load(config)
    directory = KeyDirectory.open(keys)
    chains = server_chains(directory)
    directory.file(KeyFile.LOG)  # that it is gone would show only when the log is signed
    archive_config, door = settings.archive_config(), settings.dimse.config()
    # What is loaded by now stays: the collector need not look at it again and again, nor copy it after a fork.
    gc.freeze()
    premises = Premises(data, keys, archive_config, door, chains)
    processors = min(len(os.sched_getaffinity(0)), MOST_RECEIVERS)
    receivers = fork_receivers(premises, door.processes or processors)
    archive = open_archive(data, keys, archive_config)
    try:
        for repair in archive.repaired:
            log.warning("repaired", what=repair)
        if same_device(data, keys):
            log.warning("data and keys are on one device: whoever takes it has both")
        if Bundle.load() is None:
            log.warning("served without the viewer", remedy=REMEDY)
        gc.freeze()
        # Each stored object makes some hundred short-lived tuples and no cycles.
        gc.set_threshold(20_000)
        listener = Listener(archive, door, receivers, host, dimse_port)
        web = WebDoor(archive, settings.web.config(), chains, host, https_port)
        control = ControlDoor(archive, settings.dimse.drain_seconds)
        doors = (listener.address, web.address)
        audit = SelfAudit(archive, doors, settings.self_audit.every_hours * 3600)
        archive.enrolments.start_waiting()
        archive.housekeeping.start()
        listener.start()
        web.start()
        archive.https_port = web.address[1]
        control.start()
        audit.start()
        typer.echo(f"ready dimse-tls={_shown(listener.address)} https={_shown(web.address)}")
        sys.stdout.flush()
        received = signal.sigwait(_SIGNALS)
        log.info("stopping", signal=signal.Signals(received).name)
        audit.close()
        control.close()
        web.close()
        listener.close()
        if listener.failed.is_set():
            raise NotAvailable("A receiving process is gone.", "Start again; nothing acknowledged is lost.")
    finally:
        # A thread that outlasted its drain time may still write to a pack: only our end releases the lock.
        archive.settle()


def _shown(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
