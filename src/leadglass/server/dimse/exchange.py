"""What the services of one association share: who asks, over what, and how an answer is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from leadglass.archive.archive import Archive
from leadglass.archive.refusals import record_refusal
from leadglass.dicom.attributes import decode_attributes
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.dimse.association import Association
from leadglass.dimse.events import Aborted, CommandReceived, Event, Released, ReleaseRequested
from leadglass.dimse.message import CCancelRq, Message
from leadglass.errors import DataSetError, ProtocolError
from leadglass.model import Attributes, DataSetLimits, Operation, Principal
from leadglass.server.dimse.acceptance import Acceptance
from leadglass.server.dimse.connection import Connection, ConnectionLost

#: Identifiers are small; a peer may not make us hold more of one.
IDENTIFIER_LIMITS = DataSetLimits(depth=8, elements=4096)


class Exchange(Protocol):
    """One message with its data set and what it leads to."""

    def take(self, data: memoryview, last: bool) -> bool:
        """The next fragment of the data set. True when the message is answered."""

    def give_up(self) -> None:
        """The association ended before the message was complete."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The association as its services see it."""

    archive: Archive
    principal: Principal
    association: Association
    connection: Connection
    acceptance: Acceptance
    own_title: str
    idle_seconds: float
    send_seconds: float

    def read(self) -> Sequence[Event]:
        return self.connection.read_pdu(self.association, self.idle_seconds)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        self.connection.send(data, self.send_seconds)

    def reply(self, context_id: int, message: Message, data: bytes | None = None) -> None:
        """One write a reply: a second one would wait for the peer's delayed acknowledgement."""
        self.send(self.association.reply(context_id, message, data))

    def syntax(self, context_id: int) -> TransferSyntax:
        return TRANSFER_SYNTAXES[self.association.contexts[context_id].transfer_syntax]

    def cancelled(self, message_id: int) -> bool:
        """Whether the peer has sent C-CANCEL for this message (PS3.7 9.3.2.3). Does not wait.

        Raises ConnectionLost when it has left instead, ProtocolError when it sent anything else."""
        while self.connection.readable():
            for event in self.read():
                if is_cancel(event, message_id):
                    return True
        return False


def is_cancel(event: Event, message_id: int) -> bool:
    match event:
        case CommandReceived(message=CCancelRq() as cancel):
            return cancel.message_id == message_id
        case Aborted() | Released() | ReleaseRequested():
            raise ConnectionLost
        case _:
            raise ProtocolError("a message while an operation is under way and no asynchronous window was agreed", 2)


class IdentifierReader:
    """Gathers a request's identifier; its size is bounded by the association."""

    def __init__(self, desk: Desk, context_id: int, operation: Operation) -> None:
        self._desk = desk
        self._operation = operation
        self._syntax = desk.syntax(context_id)
        self._bytes = bytearray()

    def add(self, data: memoryview) -> None:
        self._bytes += data

    def attributes(self) -> Attributes:
        """Raises DataSetError, which is on record then: the archive never gets to see the request."""
        try:
            return decode_attributes(bytes(self._bytes), self._syntax, IDENTIFIER_LIMITS)
        except DataSetError as error:
            desk = self._desk
            record_refusal(desk.archive.committer, desk.principal, self._operation, desk.connection.peer, error)
            raise
