"""The DIMSE listener: accepts TCP connections, counts them, and hands each to a receiving process."""

import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import structlog

from leadglass.archive.admission import AssociationRefused, Refusal
from leadglass.archive.archive import Archive
from leadglass.archive.attachments import Attachment, books_of, openings
from leadglass.archive.refusals import RefusedPeer
from leadglass.errors import LeadglassError, NotAvailable, RefusedForSafety
from leadglass.server.dimse.receiver import Receiver
from leadglass.server.dimse.session import DoorConfig

log = structlog.get_logger("dimse")
BACKLOG = 512
#: After a failed accept: by then a connection may have given its descriptor back.
PAUSE_SECONDS = 0.5
#: A receiver that has not taken a change in for so long is ended, so that the change bites.
LEARNT_SECONDS = 10.0


@dataclass(slots=True)
class _Connection:
    """`device` is empty until the peer is admitted."""

    receiver: Receiver
    source: str
    device: str = ""


class Listener:
    """One TLS port. `start` opens the receivers and accepts; `close` ends every association and the receivers."""

    def __init__(
        self, archive: Archive, config: DoorConfig, receivers: Sequence[Receiver], host: str, port: int
    ) -> None:
        self._archive = archive
        self._config = config
        self._receivers = receivers
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._connections: dict[int, _Connection] = {}
        self._telling = threading.Lock()
        self._closing = threading.Event()
        #: Set when a receiver is gone that nobody ended.
        self.failed = threading.Event()
        self._socket = _listen(host, port)
        self._links = [self._attach(receiver) for receiver in receivers]
        archive.registry.subscribe(lambda _: self._teach())
        archive.users.subscribe(lambda _: self._teach())
        self._thread = threading.Thread(target=self._accept, name="dimse-listener", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        name = self._socket.getsockname()
        return name[0], name[1]

    def start(self) -> None:
        """Raises NotAvailable when a receiver cannot be opened."""
        lock = self._archive.directory.locked_by
        opened = [
            receiver.link.ask("open", opening, descriptors=(lock,))
            for receiver, opening in zip(self._receivers, openings(self._archive, len(self._receivers)), strict=True)
        ]
        for each in opened:
            _ready(each)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, let messages under way finish within the drain time, then cut what is left."""
        self._closing.set()
        # Closing alone would leave the accepting thread blocked.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        drained = {receiver.link.ask("drain"): receiver for receiver in self._receivers}
        # Messages under way have their time, and what was cut then has as much to end.
        _, late = wait(drained, 2 * self._config.drain_seconds + LEARNT_SECONDS)
        for each in late:
            drained[each].kill()
        for receiver, link in zip(self._receivers, self._links, strict=True):
            receiver.link.close()
            link.join()
            os.waitpid(receiver.pid, 0)

    def _attach(self, receiver: Receiver) -> threading.Thread:
        attachment = Attachment(self._archive)
        receiver.link.serve({**attachment.verbs(), "seat": self._seat, "left": self._left})
        run = partial(self._run, receiver, attachment)
        thread = threading.Thread(target=run, name="receiver", daemon=True)
        thread.start()
        return thread

    def _run(self, receiver: Receiver, attachment: Attachment) -> None:
        receiver.link.run()
        if not self._closing.is_set():
            log.critical("a receiving process is gone", pid=receiver.pid)
            self.failed.set()
            # As if a signal had come from outside: `serve` drains what is left, and ends.
            os.kill(os.getpid(), signal.SIGTERM)
        attachment.close()

    def _seat(self, number: int, device: str, fingerprint: str) -> None:
        """Count an admitted peer in. Raises AssociationRefused when the device or the archive has too many."""
        with self._lock:
            seated = Counter(each.device for each in self._connections.values() if each.device)
            if seated.total() >= self._config.associations or seated[device] >= self._config.associations_per_device:
                raise AssociationRefused(Refusal.TOO_MANY, device)
            # It may have been disabled since its admission. When the registry changes after this, it is cut.
            self._archive.devices.owner_of(fingerprint, time.time_ns() // 1000)
            self._connections[number].device = device

    def _left(self, number: int) -> None:
        with self._lock:
            del self._connections[number]

    def _teach(self) -> None:
        """Every receiver knows of the change, and has cut whom it concerns, when this returns."""
        with self._telling:
            books = books_of(self._archive)
            learnt = {receiver.link.ask("learn", books): receiver for receiver in self._receivers}
            _, late = wait(learnt, LEARNT_SECONDS)
        for each in late:
            log.critical("a receiving process hangs and is ended", pid=learnt[each].pid)
            learnt[each].kill()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                tcp, address = self._socket.accept()
            except OSError as error:
                if self._closing.is_set():
                    return
                log.error("cannot accept a connection", error=error.strerror)
                self._closing.wait(PAUSE_SECONDS)
                continue
            with tcp:
                try:
                    self._hand_over(tcp, address[0])
                except (OSError, LeadglassError) as error:
                    # The receiver is gone, or the refusal cannot be recorded: never the end.
                    log.error("cannot take a connection", peer=address[0], kind=type(error).__name__)

    def _hand_over(self, tcp: socket.socket, source: str) -> None:
        number = next(self._numbers)
        with self._lock:
            strangers = Counter(each.source for each in self._connections.values() if not each.device)
            # No single source may take every place and keep the others out.
            is_one_too_many = (
                strangers.total() >= self._config.strangers or strangers[source] >= self._config.strangers_per_source
            )
            if not is_one_too_many:
                busy = Counter(each.receiver.pid for each in self._connections.values())
                receiver = min(self._receivers, key=lambda each: busy[each.pid])
                self._connections[number] = _Connection(receiver, source)
        if is_one_too_many:
            self._archive.refuse(RefusedPeer(Refusal.TOO_MANY, source))
            return
        try:
            receiver.link.tell("begin", number, source, descriptors=(tcp.fileno(),))
        except OSError:
            self._left(number)
            raise


def _ready(opened: "Future[Any]") -> None:
    try:
        opened.result()
    except LeadglassError:
        raise
    except Exception as error:
        raise NotAvailable("A receiving process did not start.", "See the log.") from error


def _listen(host: str, port: int) -> socket.socket:
    """Raises RefusedForSafety when the address cannot be had."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    except OSError as error:
        raise RefusedForSafety(
            f"Cannot listen on {host}:{port}: {error.strerror or 'not an address'}.",
            "Choose another --dimse-port or --host, or stop what uses it.",
        ) from None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
