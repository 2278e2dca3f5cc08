"""The associations of one receiving process: a thread each, cut at once when their device or user may not be here."""

import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from leadglass.archive.admission import AssociationRefused
from leadglass.archive.attached import AttachedArchive
from leadglass.archive.link import Link
from leadglass.crypto.tls import CertificateChain, server_context
from leadglass.server.dimse.connection import Connection, Watchdog
from leadglass.server.dimse.session import DoorConfig, Session

log = structlog.get_logger("dimse")


class Sessions:
    """`link`: to the listener, which counts connections and admits no more devices than there may be."""

    def __init__(
        self, archive: AttachedArchive, config: DoorConfig, chains: Sequence[CertificateChain], link: Link
    ) -> None:
        self._archive = archive
        self._config = config
        self._chains = chains
        self._link = link
        self._lock = threading.Lock()
        self._sessions: dict[Session, tuple[int, threading.Thread]] = {}
        self._anchors: tuple[bytes, ...] = ()
        self._context = self._renewed()
        self._watchdog = Watchdog()
        self.draining = False

    def begin(self, descriptor: int, number: int, source: str) -> None:
        """Take over a TCP connection that the listener knows by `number`."""
        tcp = socket.socket(fileno=descriptor)
        try:
            connection = Connection(tcp, source)
        except OSError:  # the peer has reset it already
            tcp.close()
            self._link.tell("left", number)
            return
        session = Session(self._archive, self._config, connection, self)
        thread = threading.Thread(target=self._run, args=(session,), name="association", daemon=True)
        with self._lock:
            self._sessions[session] = number, thread
        self._watchdog.watch(connection)
        try:
            thread.start()
        except RuntimeError:  # there is no room for a thread
            log.error("cannot take a connection", peer=source, kind="RuntimeError")
            self._leave(session)

    def seat(self, session: Session, device: str) -> None:
        with self._lock:
            number, _ = self._sessions[session]
        self._link.ask("seat", number, device, session.fingerprint).result()

    def look_again(self) -> None:
        """Devices or users have changed: new trust anchors for new connections, and the end for associations whose key
        or user is not good any more."""
        self._context = self._renewed()
        now = time.time_ns() // 1000
        for session, _ in self._live():
            if not session.device:
                continue
            try:
                self._archive.devices.owner_of(session.fingerprint, now)
            except AssociationRefused as refused:
                log.warning("association cut", device=session.device, reason=refused.refusal.value)
                session.connection.cut()
            if not all(map(self._archive.people.stands, session.rests_on)):
                log.warning("association cut", device=session.device, reason="its user was disabled, reset or changed")
                session.connection.cut()

    def drain(self) -> None:
        """Let messages under way finish within the drain time, then cut what is left."""
        self.draining = True
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

    def _renewed(self) -> ssl.SSLContext:
        anchors = self._archive.devices.anchors
        if anchors == self._anchors:
            return self._context
        self._anchors = anchors
        return server_context(self._chains, anchors)

    def _live(self) -> list[tuple[Session, threading.Thread]]:
        with self._lock:
            return [(session, thread) for session, (_, thread) in self._sessions.items()]

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
            number, _ = self._sessions.pop(session)
        with suppress(OSError):  # the listener is gone, and with it what it counted
            self._link.tell("left", number)
