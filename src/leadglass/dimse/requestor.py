"""Asking another archive: a blocking requestor of C-ECHO, C-STORE, C-FIND and C-GET, one operation at a time."""

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar

from leadglass.dicom.attributes import decode_attributes, encode_attributes
from leadglass.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    TRANSFER_SYNTAXES,
    VERIFICATION,
)
from leadglass.dimse.association import AcceptedContext
from leadglass.dimse.connection import Connection
from leadglass.dimse.events import CommandReceived
from leadglass.dimse.items import (
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentity,
    UserInformation,
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
    Message,
)
from leadglass.dimse.pdu import AssociateAc, AssociateRq
from leadglass.dimse.status import is_pending
from leadglass.errors import NotAvailable, ProtocolError
from leadglass.model import AssociationLimits, Attributes, DataSetLimits

_Response = TypeVar("_Response", CEchoRsp, CStoreRsp, CFindRsp, CGetRsp)

#: Takes the request, the transfer syntax and the data set's fragments (each valid until the next); returns a status.
OnStore = Callable[[CStoreRq, str, Iterator[memoryview]], int]


class Requestor:
    """An association that we asked for. A context manager: releases at its end, aborts when an exception passes.

    Every operation raises NotAvailable when the network or the peer fails or the peer has not accepted the SOP class,
    AssociationAborted when it aborts, ProtocolError when it breaks PS3.7 or PS3.8, DataSetError for its data sets.
    """

    def __init__(self, connection: Connection, ac: AssociateAc) -> None:
        self._connection = connection
        self._ac = ac
        self._message_id = 0
        self._context_id = 0

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        *,
        calling_ae: str,
        called_ae: str,
        contexts: tuple[ProposedContext, ...],
        tls: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        roles: tuple[RoleSelection, ...] = (),
        extended: tuple[ExtendedNegotiation, ...] = (),
        user_identity: UserIdentity | None = None,
        timeout: float = 30,
        limits: AssociationLimits | None = None,
    ) -> Self:
        """Connects and negotiates; `timeout` in seconds bounds every wait. Raises AssociationRefused besides."""
        limits = limits or AssociationLimits()
        user = UserInformation(
            limits.max_pdu,
            IMPLEMENTATION_CLASS_UID,
            IMPLEMENTATION_VERSION_NAME,
            roles=roles,
            extended=extended,
            user_identity=user_identity,
        )
        connection = Connection(host, port, tls=tls, server_hostname=server_hostname, timeout=timeout, limits=limits)
        return cls(connection, connection.establish(AssociateRq(called_ae, calling_ae, contexts, user)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        else:
            self.abort()

    @property
    def accepted(self) -> AssociateAc:
        """What the peer answered to the association request."""
        return self._ac

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        return self._connection.association.contexts

    def echo(self) -> CEchoRsp:
        context_id = self._find_context(VERIFICATION)
        self._send(context_id, CEchoRq(self._next_id(), VERIFICATION))
        return self._response(CEchoRsp)[0]

    def store(
        self,
        sop_class: str,
        sop_instance: str,
        transfer_syntax: str,
        chunks: Iterable[bytes | bytearray | memoryview],
    ) -> CStoreRsp:
        """Sends the data set's bytes untouched; they must be in `transfer_syntax`."""
        context_id = self._find_context(sop_class, transfer_syntax)
        connection = self._connection
        rq = CStoreRq(self._next_id(), sop_class, sop_instance)
        connection.send(connection.association.command(context_id, rq, True))
        for pdu in connection.association.data(context_id, chunks):
            connection.send(pdu)
        return self._response(CStoreRsp)[0]

    def find(
        self, sop_class: str, identifier: Attributes, charsets: tuple[str, ...] = ()
    ) -> Iterator[tuple[int, Attributes]]:
        """Status and attributes of each match, last the final status with no attributes. `cancel` may be called between
        two; the iteration must still be taken to its end before another operation."""
        context_id = self._find_context(sop_class)
        syntax = TRANSFER_SYNTAXES[self.contexts[context_id].transfer_syntax]
        for response, data in self.find_encoded(sop_class, encode_attributes(identifier, syntax, charsets)):
            yield response.status, decode_attributes(data, syntax, DataSetLimits()) if data else {}

    def find_encoded(self, sop_class: str, identifier: bytes) -> Iterator[tuple[CFindRsp, bytes]]:
        """As `find`, with data sets in the accepted transfer syntax as they stand on the wire."""
        context_id = self._find_context(sop_class)
        self._send(context_id, CFindRq(self._next_id(), sop_class), identifier)
        pending = True
        while pending:
            response, data = self._response(CFindRsp)
            pending = is_pending(response.status)
            yield response, data

    def get(
        self, sop_class: str, identifier: Attributes, on_store: OnStore, charsets: tuple[str, ...] = ()
    ) -> tuple[CGetRsp, Attributes]:
        """The final response and its identifier (the failed SOP instances). The storage SOP classes must have been
        proposed with their SCP role. `on_store` need not take all fragments; it may call `cancel`."""
        context_id = self._find_context(sop_class)
        syntax = TRANSFER_SYNTAXES[self.contexts[context_id].transfer_syntax]
        self._send(context_id, CGetRq(self._next_id(), sop_class), encode_attributes(identifier, syntax, charsets))
        while True:
            event = self._connection.next_command()
            if isinstance(event.message, CStoreRq):
                self._take_store(event, event.message, on_store)
                continue
            response, data = self._take_response(event, CGetRsp)
            if not is_pending(response.status):
                return response, decode_attributes(data, syntax, DataSetLimits()) if data else {}

    def cancel(self) -> None:
        """C-CANCEL of the operation under way; its final response still comes."""
        self._send(self._context_id, CCancelRq(self._message_id))

    def release(self) -> None:
        self._connection.release()

    def abort(self) -> None:
        self._connection.abort()

    def _take_store(self, event: CommandReceived, rq: CStoreRq, on_store: OnStore) -> None:
        fragments = self._connection.next_data_set()
        status = on_store(rq, self.contexts[event.context_id].transfer_syntax, fragments)
        for _ in fragments:
            pass  # what `on_store` left over
        response = CStoreRsp(rq.message_id, status, rq.sop_class, rq.sop_instance)
        self._connection.send(self._connection.association.reply(event.context_id, response))

    def _find_context(self, sop_class: str, transfer_syntax: str | None = None) -> int:
        for context_id, context in self.contexts.items():
            if context.abstract_syntax == sop_class and transfer_syntax in (None, context.transfer_syntax):
                return context_id
        raise NotAvailable(f"The peer has not accepted SOP class {sop_class} in transfer syntax {transfer_syntax}.")

    def _next_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _send(self, context_id: int, message: Message, data: bytes | None = None) -> None:
        self._context_id = context_id
        self._connection.send(self._connection.association.reply(context_id, message, data))

    def _response(self, kind: type[_Response]) -> tuple[_Response, bytes]:
        return self._take_response(self._connection.next_command(), kind)

    def _take_response(self, event: CommandReceived, kind: type[_Response]) -> tuple[_Response, bytes]:
        """The response to the operation under way, and its data set (b"" if none)."""
        message = event.message
        if not isinstance(message, kind) or message.message_id != self._message_id:
            raise self._connection.violated(ProtocolError(f"a message that is no {kind.__name__} to our request"))
        data = b"".join(map(bytes, self._connection.next_data_set())) if event.has_data_set else b""
        return message, data
