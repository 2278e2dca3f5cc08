"""Ports for peer programs, and knowing when they listen."""

import socket
import subprocess
from contextlib import closing, suppress
from pathlib import Path

LOOPBACK = "127.0.0.1"


def free_port(address: str = LOOPBACK) -> int:
    with closing(socket.socket()) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def until_it_listens(process: subprocess.Popen[bytes], log: Path, port: int, address: str = LOOPBACK) -> None:
    """Returns once something listens there; fails with the program's log when it has ended before."""
    while not _listens(address, port):
        # Its end is what we wait for between two looks: looking all the time would take the core that it starts on.
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            raise AssertionError(log.read_text(errors="replace"))


def _listens(address: str, port: int) -> bool:
    with closing(socket.socket()) as attempt:
        return attempt.connect_ex((address, port)) == 0
