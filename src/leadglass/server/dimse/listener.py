"""The DIMSE listener: accepts TCP connections, counts them, and gives each a thread and a session."""

import socket
import threading
import time
from collections import Counter

import structlog

from leadglass.archive.admission import AssociationRefused, DeviceBook, Refusal
from leadglass.archive.archive import Archive
from leadglass.archive.refusals import RefusedPeer
from leadglass.archive.users import UserBook
from leadglass.crypto.tls import CertificateChain, server_context
from leadglass.errors import LeadglassError, RefusedForSafety
from leadglass.server.dimse.connection import Connection, Watchdog
from leadglass.server.dimse.session import DoorConfig, Session

log = structlog.get_logger("dimse")
BACKLOG = 512


class Listener:
    """One TLS port. `serve` runs in its own thread; `close` ends it and every association."""

    def __init__(
        self, archive: Archive, config: DoorConfig, chains: tuple[CertificateChain, ...], host: str, port: int
    ) -> None:
        self._archive = archive
        self._config = config
        self._chains = chains
        self._lock = threading.Lock()
        self._sessions: dict[Session, threading.Thread] = {}
        self._per_device: Counter[str] = Counter()
        self._anchors = archive.registry.book.anchors
        self._context = server_context(chains, self._anchors)
        self._watchdog = Watchdog()
        self.draining = False
        self._socket = _listen(host, port)
        archive.registry.subscribe(self._on_registry_change)
        archive.users.subscribe(self._on_users_change)
        self._thread = threading.Thread(target=self._accept, name="dimse-listener", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        name = self._socket.getsockname()
        return name[0], name[1]

    def start(self) -> None:
        self._thread.start()

    def seat(self, session: Session, device: str) -> None:
        """Count an admitted session in. Raises AssociationRefused when the device or the archive has too many."""
        with self._lock:
            seated = sum(self._per_device.values())
            if seated >= self._config.associations or self._per_device[device] >= self._config.associations_per_device:
                raise AssociationRefused(Refusal.TOO_MANY, device)
            # It may have been disabled since its admission. When the registry changes after this, it cuts the session.
            self._archive.registry.book.owner_of(session.fingerprint, time.time_ns() // 1000)
            self._per_device[device] += 1

    def close(self) -> None:
        """Stop accepting, let messages under way finish within the drain time, then cut what is left."""
        self.draining = True
        # Closing alone would leave the accepting thread blocked.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for session, _ in self._live():
            if session.between_messages:
                session.connection.cut()
        self._await_the_end()
        for session, _ in self._live():
            session.connection.cut()
        self._await_the_end()
        self._watchdog.close()

    def _await_the_end(self) -> None:
        """Of all associations, for one drain time together, however many there are."""
        deadline = time.monotonic() + self._config.drain_seconds
        for _, thread in self._live():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _live(self) -> list[tuple[Session, threading.Thread]]:
        with self._lock:
            return list(self._sessions.items())

    def _accept(self) -> None:
        while not self.draining:
            try:
                tcp, address = self._socket.accept()
            except OSError as error:
                if self.draining:
                    return
                log.error("cannot accept a connection", error=error.strerror)
                self._watchdog.pause()
                continue
            try:
                self._begin(tcp, address[0])
            except (OSError, LeadglassError, RuntimeError) as error:
                # The peer is gone, the refusal cannot be recorded, or there is no room for a thread: never the end.
                log.error("cannot take a connection", peer=address[0], kind=type(error).__name__)
                tcp.close()

    def _begin(self, tcp: socket.socket, source: str) -> None:
        connection = Connection(tcp, source)
        with self._lock:
            strangers = Counter(each.connection.peer for each in self._sessions if not each.device)
        # No single source may take every place and keep the others out.
        if strangers.total() >= self._config.strangers or strangers[source] >= self._config.strangers_per_source:
            connection.close()
            self._archive.refusals.record(RefusedPeer(Refusal.TOO_MANY, source))
            return
        session = Session(self._archive, self._config, connection, self)
        thread = threading.Thread(target=self._run, args=(session,), name="association", daemon=True)
        with self._lock:
            self._sessions[session] = thread
        self._watchdog.watch(connection)
        try:
            thread.start()
        except RuntimeError:
            self._leave(session)
            raise

    def _run(self, session: Session) -> None:
        try:
            session.run(self._context)
        except Exception as error:  # noqa: BLE001 - one association must never end the others; its text may hold data
            log.error("association ended by a defect", kind=type(error).__name__, peer=session.connection.peer)
        finally:
            self._leave(session)

    def _leave(self, session: Session) -> None:
        self._watchdog.forget(session.connection)
        session.connection.close()
        with self._lock:
            del self._sessions[session]
            if session.device:
                self._per_device[session.device] -= 1
                self._per_device += Counter()  # drops devices that have none left

    def _on_registry_change(self, book: DeviceBook) -> None:
        """New trust anchors for new connections; the end for associations whose key is not good any more."""
        if book.anchors != self._anchors:
            self._anchors = book.anchors
            self._context = server_context(self._chains, book.anchors)
        now = time.time_ns() // 1000
        for session, _ in self._live():
            if not session.device:
                continue
            try:
                book.owner_of(session.fingerprint, now)
            except AssociationRefused as refused:
                log.warning("association cut", device=session.device, reason=refused.refusal.value)
                session.connection.cut()

    def _on_users_change(self, book: UserBook) -> None:
        """The end for associations of users who were disabled, reset or changed."""
        for session, _ in self._live():
            if not all(map(book.stands, session.rests_on)):
                log.warning("association cut", device=session.device, reason="its user was disabled, reset or changed")
                session.connection.cut()


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
