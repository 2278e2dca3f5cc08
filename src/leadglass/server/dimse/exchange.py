"""What the services of one association share: who asks, over what, and how an answer is sent."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from leadglass.archive.holdings import Holdings
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

    archive: Holdings
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


class IdentifierExchange(ABC):
    """A request that is an identifier: gathered, its size bounded by the association, then answered at once."""

    def __init__(self, desk: Desk, context_id: int, operation: Operation) -> None:
        self._desk = desk
        self._context_id = context_id
        self._operation = operation
        self._bytes = bytearray()

    def take(self, data: memoryview, last: bool) -> bool:
        self._bytes += data
        if last:
            self._desk.send(self._answered())
        return last

    def give_up(self) -> None:
        self._bytes.clear()

    @abstractmethod
    def _answered(self) -> bytes:
        """Sends pending responses; returns what is still to be sent, the final one included."""

    def _identifier(self) -> Attributes:
        """Raises DataSetError, which is on record then: the archive never gets to see the request."""
        desk = self._desk
        try:
            return decode_attributes(bytes(self._bytes), desk.syntax(self._context_id), IDENTIFIER_LIMITS)
        except DataSetError as error:
            record_refusal(desk.archive.committer, desk.principal, self._operation, desk.connection.peer, error)
            raise
