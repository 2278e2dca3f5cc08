"""C-GET as SCP, and C-STORE as SCU on the same association (PS3.4 C.4.3, C.5.3; PS3.7 9.1.3).

Objects go out as they are stored, on a context agreed for their SOP class and transfer syntax with the requestor as
SCP. One without such a context is a failed sub-operation, listed by its UID.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog

from leadglass.archive.query import QueryRequest
from leadglass.archive.retrieve import Retrieval, retrieve
from leadglass.dicom import tags
from leadglass.dicom.attributes import encode_attributes
from leadglass.dimse.events import CommandReceived
from leadglass.dimse.message import CGetRq, CGetRsp, CStoreRq, CStoreRsp
from leadglass.dimse.status import (
    CANCEL,
    PENDING,
    SUBOPERATIONS_WARNING,
    SUCCESS,
    UNABLE_TO_PERFORM_SUBOPERATIONS,
    is_warning,
)
from leadglass.errors import LeadglassError
from leadglass.model import Operation
from leadglass.server.dimse.acceptance import ROOTS
from leadglass.server.dimse.exchange import Desk, IdentifierExchange, is_cancel

log = structlog.get_logger("dimse.get")
_LAST_MESSAGE_ID = 0xFFFF
#: Most that a number of sub-operations can say (US, PS3.7 E.1-1): more are not told apart.
_MOST_COUNTED = 0xFFFF


@dataclass(slots=True)
class Tally:
    """Sub-operations so far (PS3.7 C.4.3.2)."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed: list[str] = field(default_factory=list)

    def fail(self, uid: str) -> None:
        self.remaining -= 1
        self.failed.append(uid)

    def response(self, request: CGetRq, status: int) -> CGetRsp:
        # Remaining is present only while more may come (PS3.7 9.1.3.1.6).
        remaining = min(self.remaining, _MOST_COUNTED) if status in (PENDING, CANCEL) else None
        return CGetRsp(
            request.message_id,
            status,
            request.sop_class,
            remaining=remaining,
            completed=min(self.completed, _MOST_COUNTED),
            failed=min(len(self.failed), _MOST_COUNTED),
            warning=min(self.warning, _MOST_COUNTED),
        )

    def status(self) -> int:
        if not self.failed and not self.warning:
            return SUCCESS
        nothing_arrived = not self.completed and not self.warning
        return UNABLE_TO_PERFORM_SUBOPERATIONS if nothing_arrived else SUBOPERATIONS_WARNING


class GetExchange(IdentifierExchange):
    def __init__(self, desk: Desk, context_id: int, request: CGetRq) -> None:
        super().__init__(desk, context_id, Operation.RETRIEVE)
        self._request = request

    def _answered(self) -> bytes:
        desk, request = self._desk, self._request
        root = ROOTS[desk.association.contexts[self._context_id].abstract_syntax]
        try:
            asked = QueryRequest(root, self._identifier(), peer=desk.connection.peer)
            retrieval = retrieve(desk.archive, desk.principal, asked)
        except LeadglassError as error:
            refusal = CGetRsp(
                request.message_id, error.dimse_status, request.sop_class, error_comment=error.message[:64]
            )
            return desk.association.reply(self._context_id, refusal)
        tally = Tally(len(retrieval.instances))
        with retrieval:
            cancelled = self._send_all(retrieval, tally)
        final = tally.response(request, CANCEL if cancelled else tally.status())
        return desk.association.reply(self._context_id, final, self._failed_list(tally))

    def _failed_list(self, tally: Tally) -> bytes | None:
        """Failed SOP Instance UID List, PS3.4 C.4.3.1.4.2."""
        if not tally.failed:
            return None
        listed = {tags.FAILED_SOP_INSTANCE_UID_LIST: "\\".join(tally.failed)}
        return encode_attributes(listed, self._desk.syntax(self._context_id), ())

    def _send_all(self, retrieval: Retrieval, tally: Tally) -> bool:
        """Send every instance; True when the peer cancelled."""
        pending = b""
        opened = self._open_all(retrieval, tally)
        current = next(opened, None)
        while current is not None:
            context_id, command, chunks = current
            self._send_one(context_id, command, chunks, pending)
            # The next one is opened while the peer is still busy with this one.
            current = next(opened, None)
            status, cancelled = self._await_response()
            self._count(tally, command.sop_instance, status)
            if cancelled or self._desk.cancelled(self._request.message_id):
                return True
            # Sent in one write with the next command, so that it costs no round trip.
            pending = self._desk.association.reply(self._context_id, tally.response(self._request, PENDING))
        return False

    def _open_all(self, retrieval: Retrieval, tally: Tally) -> Iterator[tuple[int, CStoreRq, Iterator[bytearray]]]:
        """Context, command and bytes of each instance that can be sent; the others are failed sub-operations."""
        for number, row in enumerate(retrieval.instances):
            context_id = self._desk.acceptance.retrieve_contexts.get((row.sop_class, row.transfer_syntax))
            if context_id is None:
                tally.fail(row.uid)
                continue
            try:
                chunks = retrieval.open(row)
            except LeadglassError as error:
                log.error("an instance could not be opened", instance=row.id, error=error.message)
                tally.fail(row.uid)
                continue
            yield context_id, CStoreRq(1 + number % _LAST_MESSAGE_ID, row.sop_class, row.uid), chunks

    def _count(self, tally: Tally, uid: str, status: int) -> None:
        if status == SUCCESS:
            tally.remaining -= 1
            tally.completed += 1
        elif is_warning(status):
            tally.remaining -= 1
            tally.warning += 1
        else:
            tally.fail(uid)

    def _send_one(self, context_id: int, command: CStoreRq, chunks: Iterator[bytearray], before: bytes) -> None:
        desk = self._desk
        desk.send(before + desk.association.command(context_id, command, True))
        for pdu in desk.association.data(context_id, chunks):
            desk.send(pdu)

    def _await_response(self) -> tuple[int, bool]:
        """The status of the sub-operation under way, and whether a C-CANCEL came meanwhile."""
        cancelled = False
        while True:
            for event in self._desk.read():
                if isinstance(event, CommandReceived) and isinstance(event.message, CStoreRsp):
                    return event.message.status, cancelled
                cancelled |= is_cancel(event, self._request.message_id)
