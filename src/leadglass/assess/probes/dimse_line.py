"""A stranger's association over a connection that the reach has opened, and a blanked record of what went over it.

Every wait has an end, every PDU a bound; what the peer sends is booked on its budget. Answers are read in large pieces
and taken apart in place, so that the peer's speed counts and not ours.
"""

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from struct import Struct
from types import TracebackType
from typing import Final, Self, TypeVar

from leadglass.assess.observation import Endpoint, Exchange
from leadglass.assess.probes.dimse_record import Record
from leadglass.assess.reach import Reach
from leadglass.dimse.association import AcceptedContext, Association, State
from leadglass.dimse.connection import AssociationAborted, AssociationRefused
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
from leadglass.dimse.message import (
    CCancelRq,
    CEchoRq,
    CEchoRsp,
    CFindRq,
    CFindRsp,
    CGetRq,
    CGetRsp,
    CStoreRq,
    CStoreRsp,
)
from leadglass.dimse.pdata import COMMAND, LAST
from leadglass.dimse.pdu import P_DATA_TF, PDU_HEADER_BYTES, AssociateAc, AssociateRq
from leadglass.dimse.status import is_pending
from leadglass.errors import NotAvailable, ProtocolError
from leadglass.model import AssociationLimits

LIMITS: Final = AssociationLimits(max_pdu=32_768, associate_pdu=32_768)
_BUFFER: Final = 2 * 32_768 + 64
#: An answer's identifier is kilobytes at most.
_LARGEST_IDENTIFIER: Final = 1 << 20
#: A response to a query is a hundred bytes or so.
_LONGEST_COMMAND: Final = 1024
#: The headers of a PDU with one presentation data value (PS3.8 9.3.5), and in it the control header (PS3.8 E.2).
_DATA_HEADERS: Final = Struct(">BxIIBB")
_CONTROL: Final = 11
_WHOLE_COMMAND: Final = bytes((COMMAND | LAST,))

_Response = TypeVar("_Response", CEchoRsp, CFindRsp, CStoreRsp)
_Error = TypeVar("_Error", bound=NotAvailable)


class Silence(NotAvailable):
    """The peer said nothing, or too little, in the time it had."""


class HungUp(NotAvailable):
    """The peer closed the connection. `reason`: OpenSSL's word for it where TLS was spoken, such as
    `TLSV13_ALERT_CERTIFICATE_REQUIRED`."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class Line:
    """A context manager: closes at its end, without ceremony. `patience`: seconds for each PDU to be complete.

    Whatever goes wrong raises Silence, HungUp, AssociationAborted, ProtocolError or BudgetSpent, and the line is over.
    """

    def __init__(self, connection: socket.socket, endpoint: Endpoint, reach: Reach, patience: float) -> None:
        self._socket = connection
        self._endpoint = endpoint
        self._reach = reach
        self.patience = patience
        self._association = Association.requestor(LIMITS)
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0
        self._events: deque[Event] = deque()
        self._record = Record()
        self._message_id = 0
        #: The last PDU, if it is short; and the one that brought the last command, if it brought nothing else.
        self._pdu = self._command_pdu = b""

    @classmethod
    def open(cls, reach: Reach, endpoint: Endpoint, patience: float, tls: ssl.SSLContext | None = None) -> Self:
        """Raises NotAvailable besides; Silence or HungUp also when the TLS handshake does not come about."""
        connection = reach.connect(endpoint, patience)
        if tls is not None:
            connection = handshake(reach, connection, tls)
        return cls(connection, endpoint, reach, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        return self._association.contexts

    @property
    def over(self) -> bool:
        """Whether no association stands on it, not yet or no more."""
        return self._association.state is not State.STA6

    @property
    def first_bytes(self) -> bytes:
        """What the peer sent first, up to 16 bytes: a protocol that is none of DICOM's shows itself there."""
        return self._record.first

    def exchange(self, summary: str) -> Exchange:
        """What went over the line since the last call, blanked."""
        return self._record.take(summary)

    def accepts(self, abstract_syntax: str) -> int | None:
        """The identifier of the context that was accepted for it."""
        found = (number for number, context in self.contexts.items() if context.abstract_syntax == abstract_syntax)
        return next(found, None)

    def associate(self, rq: AssociateRq) -> AssociateAc:
        """Raises AssociationRefused besides."""
        self._send(self._association.request(rq))
        event = self._next_event()
        if isinstance(event, AssociationAccepted):
            return event.ac
        if isinstance(event, AssociationRejected):
            raise AssociationRefused(event.rj)
        raise self._violated(ProtocolError("an A-ASSOCIATE-RQ was answered by something else"))

    def echo(self, context_id: int) -> int:
        """The status of a C-ECHO."""
        sop_class = self.contexts[context_id].abstract_syntax
        self._send(self._association.reply(context_id, CEchoRq(self._next_id(), sop_class)))
        response, _ = self._response(CEchoRsp)
        return response.status

    def find(self, context_id: int, identifier: bytes) -> Iterator[tuple[int, bytes]]:
        """Status and encoded identifier of each answer, the final one last. `cancel` may be called between two."""
        sop_class = self.contexts[context_id].abstract_syntax
        request = CFindRq(self._next_id(), sop_class)
        self._send(self._association.reply(context_id, request, identifier), data=identifier)
        pending = True
        while pending:
            response, data = self._response(CFindRsp)
            pending = is_pending(response.status)
            yield response.status, data
            if pending:
                for alike in self._alike(context_id):
                    yield response.status, alike

    def cancel(self, context_id: int) -> None:
        """C-CANCEL of the operation under way (PS3.7 9.3.2.3); its `rest` still has to be awaited."""
        self._send(self._association.reply(context_id, CCancelRq(self._message_id)))

    def rest(self) -> Iterator[int]:
        """The statuses of what still comes of a query, the final one last."""
        pending = True
        while pending:
            response, _ = self._response(CFindRsp)
            pending = is_pending(response.status)
            yield response.status

    def get(self, context_id: int, identifier: bytes) -> CStoreRq | CGetRsp:
        """C-GET up to the first sub-operation's command: that request, of whose data set nothing was read, or the final
        response when there was none. Abort afterwards."""
        sop_class = self.contexts[context_id].abstract_syntax
        request = CGetRq(self._next_id(), sop_class)
        self._send(self._association.reply(context_id, request, identifier), data=identifier)
        while True:
            message = self._command().message
            if isinstance(message, CStoreRq):
                return message
            if not isinstance(message, CGetRsp):
                raise self._violated(ProtocolError("a C-GET was answered by something else"))
            if not is_pending(message.status):
                return message

    def store(self, context_id: int, sop_instance: str, data_set: bytes) -> int:
        """The status of a C-STORE."""
        request = CStoreRq(self._next_id(), self.contexts[context_id].abstract_syntax, sop_instance)
        self._send(self._association.reply(context_id, request, data_set))
        response, _ = self._response(CStoreRsp)
        return response.status

    def release(self) -> None:
        """In order if the peer does its part; it is no matter when it does not."""
        if self.over:
            self.close()
            return
        with suppress(NotAvailable, ProtocolError):
            self._send(self._association.release())
            while not isinstance(event := self._next_event(), Released):
                if isinstance(event, ReleaseRequested):
                    self._send(self._association.release_reply())
        self.close()

    def abort(self) -> None:
        # Nothing confirms an A-ABORT (PS3.8 7.3).
        with suppress(NotAvailable):
            self._send(self._association.abort())
        self.close()

    def close(self) -> None:
        self._socket.close()

    def _next_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _alike(self, context_id: int) -> Iterator[bytes]:
        """The identifiers of answers that come in two PDUs, of which the first is byte for byte the one that brought
        the last command: what that means is known. Ends before any other, which is read with care."""
        command, buffer = self._command_pdu, self._buffer
        size, largest = len(command), LIMITS.max_pdu
        while command:
            # Waited for is only what has to come: a PDU, and after this command one with a data set.
            if self._end - self._start < size:
                self._await(PDU_HEADER_BYTES)
                if not buffer.startswith(command[:PDU_HEADER_BYTES], self._start):
                    return
                self._await(size)
            if not buffer.startswith(command, self._start):
                return
            if self._end - self._start < size + _DATA_HEADERS.size:
                self._await(size + _DATA_HEADERS.size)
            kind, length, value_length, context, control = _DATA_HEADERS.unpack_from(buffer, self._start + size)
            whole = size + PDU_HEADER_BYTES + length
            alone = kind == P_DATA_TF and length == value_length + 4 and context == context_id and control == LAST
            if not alone or length > largest:
                return
            if self._end - self._start < whole:
                self._await(whole)
            start, stop = self._start, self._start + whole
            if not self._record.is_full:
                self._record.received(self._view[start : start + size])
                self._record.received(self._view[start + size : stop])
            self._start = stop
            yield bytes(self._view[start + size + _DATA_HEADERS.size : stop])

    def _await(self, wanted: int) -> None:
        self._fill(wanted, time.monotonic() + self.patience)

    def _response(self, kind: type[_Response]) -> tuple[_Response, bytes]:
        command = self._command()
        message = command.message
        if not isinstance(message, kind) or message.message_id != self._message_id:
            raise self._violated(ProtocolError(f"a message that is no {kind.__name__} to our request"))
        return message, self._data_set() if command.has_data_set else b""

    def _command(self) -> CommandReceived:
        event = self._next_event()
        if isinstance(event, CommandReceived):
            # Of a PDU that brought more, or less, than one whole command, nothing can be said by its bytes alone.
            alone = not self._events and self._pdu[_CONTROL : _CONTROL + 1] == _WHOLE_COMMAND
            self._command_pdu = self._pdu if alone else b""
            return event
        if isinstance(event, ReleaseRequested):
            raise HungUp("The peer released the association before it had answered.")
        raise self._violated(ProtocolError("a data set that nobody waits for"))

    def _data_set(self) -> bytes:
        event = self._next_event()
        if isinstance(event, DataReceived) and event.last:
            return bytes(event.data)
        parts = bytearray()
        while isinstance(event, DataReceived):
            parts += event.data
            if len(parts) > _LARGEST_IDENTIFIER:
                raise self._violated(ProtocolError("an identifier without end"))
            if event.last:
                return bytes(parts)
            event = self._next_event()
        raise self._violated(ProtocolError("a data set was cut short"))

    def _next_event(self) -> Event:
        while not self._events:
            self._events.extend(self._read_pdu())
        event = self._events.popleft()
        if isinstance(event, Aborted):
            self.close()
            raise AssociationAborted(event.source, event.reason)
        return event

    def _read_pdu(self) -> tuple[Event, ...]:
        deadline = time.monotonic() + self.patience
        try:
            self._fill(PDU_HEADER_BYTES, deadline)
            header = self._view[self._start : self._start + PDU_HEADER_BYTES]
            length = self._association.begin_pdu(header)
            whole = PDU_HEADER_BYTES + length
            self._fill(whole, deadline)
            pdu = self._view[self._start : self._start + whole]
            self._start += whole
            self._pdu = bytes(pdu) if whole <= _LONGEST_COMMAND else b""
            self._record.received(pdu)
            return tuple(self._association.finish_pdu(pdu[PDU_HEADER_BYTES:]))
        except ProtocolError as error:
            self._record.unreadable(self._view[self._start : self._end])
            raise self._violated(error) from None

    def _fill(self, wanted: int, deadline: float) -> None:
        """Until `wanted` bytes lie in the buffer; it is longer than any PDU that is let in."""
        while self._end - self._start < wanted:
            if self._start + wanted > _BUFFER or self._start == self._end:
                left = self._end - self._start
                self._view[:left] = bytes(self._view[self._start : self._end])
                self._start, self._end = 0, left
            count = self._receive(deadline)
            self._reach.spend(self._endpoint.address, count)
            self._end += count

    def _receive(self, deadline: float) -> int:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._over(Silence("The peer did not answer in time."))
        try:
            self._socket.settimeout(left)
            count = self._socket.recv_into(self._view[self._end :])
        except TimeoutError:
            self._record.unreadable(self._view[self._start : self._end])
            raise self._over(Silence("The peer did not answer in time.")) from None
        except OSError as error:
            raise self._over(HungUp(f"The connection failed: {error.strerror}.", _reason_of(error))) from None
        if count == 0:
            self._record.unreadable(self._view[self._start : self._end])
            raise self._over(HungUp("The peer closed the connection."))
        return count

    def _send(self, pdus: bytes, data: bytes = b"") -> None:
        """`data`: an identifier at the end of `pdus` that the record blanks."""
        self._record.sent(pdus, data)
        try:
            self._socket.settimeout(self.patience)
            self._socket.sendall(pdus)
        except TimeoutError:
            raise self._over(Silence("The peer did not take what we sent.")) from None
        except OSError as error:
            # What the peer said before it hung up may still be there, and says more than the error does.
            with suppress(OSError):
                self._socket.settimeout(0.2)
                self._end += self._socket.recv_into(self._view[self._end :])
                self._record.unreadable(self._view[self._start : self._end])
            raise self._over(HungUp(f"The connection failed: {error.strerror}.", _reason_of(error))) from None

    def _violated(self, error: ProtocolError) -> ProtocolError:
        with suppress(OSError):
            self._socket.sendall(self._association.abort_for(error))
        self.close()
        return error

    def _over(self, error: _Error) -> _Error:
        self.close()
        self._association.connection_closed()
        return error


def handshake(reach: Reach, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """Raises Silence or HungUp; the connection is closed then. No name is sent: addresses are all we know."""
    try:
        return reach.secured(connection, tls)
    except TimeoutError:
        raise Silence("The TLS handshake was not answered in time.") from None
    except OSError as error:
        reason = _reason_of(error)
        raise HungUp(f"The TLS handshake failed: {reason}.", reason) from None


def _reason_of(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or "closed")
