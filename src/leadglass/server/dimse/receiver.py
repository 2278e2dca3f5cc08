"""A receiving process. It has the associations that the listener hands it, and an archive of its own to read from; what
it stores and records goes to the one committer, by its link.

Python runs one thread of a process at a time, and most of what an object costs is Python: with a process for each
processor, several scanners store at once.
"""

import ctypes
import gc
import os
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from leadglass.archive.attached import AttachedArchive, Books, Opening
from leadglass.archive.directory import DataDirectory
from leadglass.archive.holdings import ArchiveConfig
from leadglass.archive.housekeeping import Housekeeping
from leadglass.archive.link import Link
from leadglass.crypto.keys import KeyDirectory
from leadglass.crypto.tls import CertificateChain
from leadglass.server.dimse.session import DoorConfig
from leadglass.server.dimse.sessions import Sessions

log = structlog.get_logger("dimse")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Premises:
    """What a receiving process is forked with."""

    data: Path
    keys: Path
    config: ArchiveConfig
    door: DoorConfig
    chains: Sequence[CertificateChain]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiving process as the listener sees it."""

    pid: int
    link: Link

    def kill(self) -> None:
        """Whatever it was doing is undone or never acknowledged. It is reaped by whoever waits for it."""
        os.kill(self.pid, signal.SIGKILL)


def fork_receivers(premises: Premises, number: int) -> tuple[Receiver, ...]:
    """So many, that wait to be opened. Before this process has threads, locks or the archive's own."""
    pairs = [socket.socketpair() for _ in range(number)]
    parent = os.getpid()
    receivers = []
    for mine, theirs in pairs:
        pid = os.fork()
        if not pid:
            # An end that a sibling held too would never be seen to be gone.
            for each in (end for pair in pairs for end in pair if end is not theirs):
                each.close()
            _live(premises, theirs, parent)
        receivers.append(Receiver(pid, Link(mine)))
    for _, theirs in pairs:
        theirs.close()
    return tuple(receivers)


def _live(premises: Premises, end: socket.socket, parent: int) -> None:
    """Never returns."""
    status = 1
    try:
        _end_with(parent)
        gc.freeze()
        # Each stored object makes some hundred short-lived tuples and no cycles.
        gc.set_threshold(20_000)
        _Receiving(premises, Link(end)).run()
        status = 0
    except Exception as error:  # noqa: BLE001 - said without its text, which may hold data
        log.critical("a receiving process failed", kind=type(error).__name__)
    finally:
        os._exit(status)


def _end_with(parent: int) -> None:
    """Nobody may write to a pack when the process that commits is gone: the next one repairs it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os._exit(1)  # it is gone already


class _Receiving:
    def __init__(self, premises: Premises, link: Link) -> None:
        self._premises = premises
        self._link = link
        self._apart = ThreadPoolExecutor(1, "drain")

    def run(self) -> None:
        """Until the listener closes the link."""
        self._link.serve({"open": self._open})
        self._link.run()

    def _open(self, lock: int, opening: Opening) -> None:
        """`lock` keeps the archive locked as long as this process lives."""
        premises, link = self._premises, self._link
        os.set_inheritable(lock, False)
        directory, root = DataDirectory.open(premises.data), KeyDirectory.open(premises.keys).root()
        archive = AttachedArchive(directory, root, premises.config, link, opening)
        sessions = Sessions(archive, premises.door, premises.chains, link)
        housekeeping = Housekeeping((archive.ledger.close_idle,))
        housekeeping.start()

        def learn(books: Books) -> None:
            archive.learn(books)
            sessions.look_again()

        def end() -> None:
            sessions.drain()
            housekeeping.close()
            archive.close()

        def drain() -> Future[None]:
            sessions.draining = True
            return self._apart.submit(end)

        link.serve({"begin": sessions.begin, "learn": learn, "drain": drain})
