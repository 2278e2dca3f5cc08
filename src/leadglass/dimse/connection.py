"""A blocking connection that carries an association out: the thin shell under `requestor`."""

import socket
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from leadglass.dimse.association import Association
from leadglass.dimse.events import (
    Aborted,
    AssociationAccepted,
    AssociationRejected,
    CommandReceived,
    DataReceived,
    Event,
    Released,
    ReleaseRequested,
)
from leadglass.dimse.pdu import PDU_HEADER_BYTES, AssociateAc, AssociateRj, AssociateRq
from leadglass.errors import NotAuthorised, NotAvailable, ProtocolError, UsageError
from leadglass.model import AssociationLimits


class AssociationRefused(NotAuthorised):
    """The peer answered with A-ASSOCIATE-RJ; `rj` says how (PS3.8 Table 9-21)."""

    def __init__(self, rj: AssociateRj) -> None:
        super().__init__(f"The peer rejected us: result {rj.result}, source {rj.source}, reason {rj.reason}.")
        self.rj = rj


class AssociationAborted(NotAvailable):
    """The peer, or the network, ended the association; `source` and `reason` as in PS3.8 Table 9-26."""

    def __init__(self, source: int, reason: int) -> None:
        super().__init__(f"The association was aborted: source {source}, reason {reason}.")
        self.source = source
        self.reason = reason


class Connection:
    """One TCP or TLS connection and its association. `timeout` is in seconds and bounds each wait for the peer.

    What goes wrong raises NotAvailable (network, time-out), AssociationRefused, AssociationAborted or ProtocolError;
    after any of them the connection is closed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        server_hostname: str | None,
        timeout: float,
        limits: AssociationLimits,
    ) -> None:
        self._association = Association.requestor(limits)
        self._buffer = memoryview(bytearray(max(limits.max_pdu, limits.associate_pdu)))
        self._header = bytearray(PDU_HEADER_BYTES)
        self._events: deque[Event] = deque()
        try:
            self._socket = socket.create_connection((host, port), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise NotAvailable(f"{host}:{port} does not answer: {error}.") from error
        if tls is not None:
            try:
                self._socket = tls.wrap_socket(self._socket, server_hostname=server_hostname or host)
            except OSError as error:
                self._socket.close()
                raise NotAvailable(f"TLS with {host}:{port} failed: {error}.") from error

    @property
    def association(self) -> Association:
        return self._association

    def establish(self, rq: AssociateRq) -> AssociateAc:
        try:
            pdu = self._association.request(rq)
        except UsageError:
            self._socket.close()
            raise
        self.send(pdu)
        event = self.next_event()
        if isinstance(event, AssociationAccepted):
            return event.ac
        if isinstance(event, AssociationRejected):
            self._socket.close()
            raise AssociationRefused(event.rj)
        raise self.violated(ProtocolError("an A-ASSOCIATE-RQ was answered by something else"))

    def send(self, data: bytes | bytearray | memoryview) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from error

    def next_event(self) -> Event:
        """The next event that does not end the association; that raises AssociationAborted."""
        while not self._events:
            self._events.extend(self._read_pdu())
        event = self._events.popleft()
        if isinstance(event, Aborted):
            self._socket.close()
            raise AssociationAborted(event.source, event.reason)
        return event

    def next_command(self) -> CommandReceived:
        event = self.next_event()
        if isinstance(event, CommandReceived):
            return event
        if isinstance(event, ReleaseRequested):
            self.send(self._association.release_reply())
            self._socket.close()
            raise NotAvailable("The peer released the association before it had answered.")
        raise self.violated(ProtocolError("a data set that nobody waits for"))

    def next_data_set(self) -> Iterator[memoryview]:
        """The fragments of the data set after a command; each is valid until the next is asked for."""
        last = False
        while not last:
            event = self.next_event()
            if not isinstance(event, DataReceived):
                raise self.violated(ProtocolError("a data set was cut short"))
            last = event.last
            yield event.data

    def release(self) -> None:
        """Ends the association in order; messages under way are let go (PS3.8 AR-6)."""
        self.send(self._association.release())
        event = self.next_event()
        while not isinstance(event, Released):
            if isinstance(event, ReleaseRequested):
                self.send(self._association.release_reply())  # AR-9, collision
            event = self.next_event()
        self._socket.close()

    def abort(self) -> None:
        self._close_with(self._association.abort())

    def violated(self, error: ProtocolError) -> ProtocolError:
        """Aborts because of what the peer sent; returns the error to raise."""
        self._close_with(self._association.abort_for(error))
        return error

    def _close_with(self, abort: bytes) -> None:
        # Nothing confirms an A-ABORT (PS3.8 7.3): a peer that is gone already must not hide why we abort.
        with suppress(OSError):
            self._socket.sendall(abort)
        self._socket.close()

    def _read_pdu(self) -> Iterator[Event]:
        try:
            self._read_exactly(memoryview(self._header))
            length = self._association.begin_pdu(self._header)
            body = self._buffer[:length]
            self._read_exactly(body)
            return iter(self._association.finish_pdu(body))
        except ProtocolError as error:
            raise self.violated(error) from None

    def _read_exactly(self, target: memoryview) -> None:
        try:
            while target:
                count = self._socket.recv_into(target)
                if count == 0:
                    raise ConnectionResetError("closed by the peer")
                target = target[count:]
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> NotAvailable:
        self._socket.close()
        self._association.connection_closed()
        return NotAvailable(f"The connection failed: {error}.")
