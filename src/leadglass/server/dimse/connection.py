"""One TLS connection: exact reads into one buffer, whole writes, and a deadline that a watchdog enforces.

Blocking sockets release the GIL in TLS and in the kernel. Time is kept by the watchdog and not by socket time-outs,
since those start anew with every byte that a slow peer drips in.
"""

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Sequence

from leadglass.dimse.association import Association
from leadglass.dimse.events import Event

DROPPED_AT_ONCE = 65_536
NEVER = float("inf")
PDU_HEADER_BYTES = 6


class ConnectionLost(Exception):
    """The peer closed or broke the connection, or the watchdog cut it: an end, not an error."""


class Connection:
    """`deadline` (monotonic seconds) is when the watchdog cuts whatever the connection is doing."""

    def __init__(self, tcp: socket.socket, peer: str) -> None:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = peer
        self.deadline = NEVER
        self.timed_out = False
        self._socket: socket.socket = tcp
        self._tls: ssl.SSLSocket | None = None
        self._buffer = memoryview(bytearray())
        self._header = memoryview(bytearray(PDU_HEADER_BYTES))

    def handshake(self, context: ssl.SSLContext) -> bytes:
        """Do the TLS handshake; returns the peer's certificate (DER), empty when it showed none. Raises ssl.SSLError,
        ConnectionLost."""
        try:
            # Fails without a handshake when the peer has reset the connection meanwhile.
            tls = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = self._tls = tls
            tls.do_handshake()
        except ssl.SSLError:
            raise
        except (OSError, ValueError) as error:
            raise ConnectionLost from error
        return tls.getpeercert(binary_form=True) or b""

    def allow(self, octets: int) -> None:
        """Make room for PDUs of this many bytes. Strangers get no more than an A-ASSOCIATE-RQ needs."""
        if len(self._buffer) < octets:
            self._buffer = memoryview(bytearray(octets))

    def read_pdu(self, association: Association, seconds: float) -> Sequence[Event]:
        """The events of the next PDU, which must be complete within `seconds`. Raises ConnectionLost, ProtocolError."""
        self.deadline = time.monotonic() + seconds
        header = self._header
        self._fill(header)
        length = association.begin_pdu(header)
        self.allow(length)
        body = self._buffer[:length]
        self._fill(body)
        self.deadline = NEVER
        return association.finish_pdu(body)

    def send(self, data: bytes | bytearray | memoryview, seconds: float) -> None:
        """Send all of it within `seconds`. Raises ConnectionLost."""
        self.deadline = time.monotonic() + seconds
        try:
            self._socket.sendall(data)
        except (OSError, ValueError) as error:
            raise ConnectionLost from error
        self.deadline = NEVER

    def readable(self) -> bool:
        """Whether the peer has sent something that is not read yet."""
        if self._tls is not None and self._tls.pending():
            return True
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def drain(self, seconds: float) -> None:
        """Say that nothing more comes, and drop what still arrives until the peer closes. Returns after `seconds` at
        the latest."""
        self.deadline = time.monotonic() + seconds
        try:
            # Below TLS: what comes now is not read by anybody.
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            while os.read(self._socket.fileno(), DROPPED_AT_ONCE):
                pass
        except OSError:
            return  # the peer broke the connection, which ends it as well

    def cut(self) -> None:
        """End the connection from another thread: whatever its own thread is doing fails at once."""
        try:
            # The base class's method: SSLSocket's own would drop the TLS object under the reading thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        self._socket.close()

    def _fill(self, view: memoryview) -> None:
        receive, option = self._socket.recv_into, self._socket.setsockopt
        at, end = 0, len(view)
        try:
            while at < end:
                # The kernel drops this after every receive. Without it a peer that leaves Nagle's algorithm on waits
                # 40 ms for our acknowledgement of each object's last segment (RFC 1122 4.2.3.2, 4.2.3.4).
                option(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                count = receive(view[at:])
                if not count:
                    raise ConnectionLost
                at += count
        except (OSError, ValueError) as error:
            raise ConnectionLost from error


class Watchdog:
    """One thread that cuts connections past their deadline."""

    EVERY_SECONDS = 0.5

    def __init__(self) -> None:
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
        self._thread.start()

    def watch(self, connection: Connection) -> None:
        with self._lock:
            self._connections.add(connection)

    def forget(self, connection: Connection) -> None:
        with self._lock:
            self._connections.discard(connection)

    def pause(self) -> None:
        """Wait for one round: by then a late connection may have given its descriptor back."""
        self._closing.wait(self.EVERY_SECONDS)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.wait(self.EVERY_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [connection for connection in self._connections if connection.deadline < now]
            for connection in late:
                connection.timed_out = True
                connection.cut()
