"""C-STORE as SCP (PS3.4 Annex B, PS3.7 9.1.1)."""

import structlog

from leadglass.archive.store import Received, StoreSession, record_refused_store
from leadglass.dimse.message import CStoreRq, CStoreRsp
from leadglass.dimse.status import ELEMENTS_DISCARDED, SUCCESS
from leadglass.errors import LeadglassError, NotAvailable
from leadglass.server.dimse.exchange import Desk

log = structlog.get_logger("dimse.store")


class StoreExchange:
    """Passes the data set to the archive as it comes. After a refusal the rest is read and dropped, then answered."""

    def __init__(self, desk: Desk, context_id: int, request: CStoreRq) -> None:
        self._desk = desk
        self._context_id = context_id
        self._request = request
        self._session: StoreSession | None = None
        self._refusal: LeadglassError | None = None
        self._status = SUCCESS
        contexts = desk.association.contexts
        self._received = Received(
            request.sop_class,
            request.sop_instance,
            contexts[context_id].transfer_syntax,
            peer=desk.connection.peer,
        )
        try:
            self._session = StoreSession(desk.archive, desk.principal, self._received)
        except Exception as error:  # noqa: BLE001 - answered, and on record without its text
            self._refuse(error)

    def take(self, data: memoryview, last: bool) -> bool:
        session = self._session
        if session is not None and self._refusal is None:
            try:
                session.write(data)
                if last and session.finish().removed:
                    self._status = ELEMENTS_DISCARDED
            except Exception as error:  # noqa: BLE001 - answered, and on record without its text
                self._refuse(error)
                session.close()
        if last:
            self._answer()
        return last

    def give_up(self) -> None:
        if self._session is not None:
            self._session.close()

    def _refuse(self, error: Exception) -> None:
        """The disk and the index fail with errors of their own, whose texts may hold data."""
        if not isinstance(error, LeadglassError):
            log.error("a store failed", peer=self._received.peer, kind=type(error).__name__)
            error = NotAvailable("The archive could not process the object.", "See its log.")
        self._refusal = error

    def _answer(self) -> None:
        request, error = self._request, self._refusal
        status, comment = self._status, ""
        if error is not None:
            status, comment = error.dimse_status, error.message[:64]  # LO, PS3.7 C.4.2
            record_refused_store(self._desk.archive, self._desk.principal, self._received, error)
            log.warning("store refused", peer=self._received.peer, status=f"{status:04X}", reason=error.message)
        response = CStoreRsp(request.message_id, status, request.sop_class, request.sop_instance, comment)
        self._desk.reply(self._context_id, response)
