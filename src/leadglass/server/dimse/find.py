"""C-FIND as SCP (PS3.4 C.4.1, PS3.7 9.1.2)."""

from collections.abc import Iterator

from leadglass.archive.query import QueryRequest, level_of, query, supported_keys
from leadglass.dicom import tags
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.charset import choose_charset, parse_charsets
from leadglass.dimse.message import CFindRq, CFindRsp
from leadglass.dimse.status import CANCEL, PENDING, PENDING_UNSUPPORTED_KEYS, SUCCESS
from leadglass.errors import LeadglassError
from leadglass.model import LITERAL, Attributes, Operation
from leadglass.server.dimse.acceptance import ROOTS
from leadglass.server.dimse.exchange import Desk, IdentifierExchange

#: Answers are gathered up to this many bytes, then sent in one write; between writes a C-CANCEL is looked for.
SEND_BYTES = 32 * 1024


class FindExchange(IdentifierExchange):
    def __init__(self, desk: Desk, context_id: int, request: CFindRq) -> None:
        super().__init__(desk, context_id, Operation.QUERY)
        self._request = request

    def _answered(self) -> bytes:
        try:
            request = self._query_request()
            rows = query(self._desk.archive, self._desk.principal, request)
        except LeadglassError as error:
            return self._final(error.dimse_status, error.message)
        pending = bytearray()
        try:
            for answer in self._encoded(rows, request):
                pending += answer
                if len(pending) >= SEND_BYTES:
                    self._desk.send(pending)
                    pending.clear()
                    if self._desk.cancelled(self._request.message_id):
                        return self._final(CANCEL, "")
        except LeadglassError as error:
            return bytes(pending) + self._final(error.dimse_status, error.message)
        return bytes(pending) + self._final(SUCCESS, "")

    def _query_request(self) -> QueryRequest:
        sop_class = self._desk.association.contexts[self._context_id].abstract_syntax
        return QueryRequest(
            root=ROOTS[sop_class],
            identifier=self._identifier(),
            matching=self._desk.acceptance.matching.get(sop_class, LITERAL),
            peer=self._desk.connection.peer,
        )

    def _encoded(self, rows: Iterator[Attributes], request: QueryRequest) -> Iterator[bytes]:
        level = level_of(request.identifier, request.root)
        unsupported = set(request.identifier) - supported_keys(self._desk.archive, level) - _HOUSEKEEPING
        # FF01H: some optional key was not supported (PS3.4 Table C.4-1).
        status = PENDING_UNSUPPORTED_KEYS if unsupported else PENDING
        response = CFindRsp(self._request.message_id, status, self._request.sop_class)
        syntax = self._desk.syntax(self._context_id)
        asked = request.identifier.get(tags.SPECIFIC_CHARACTER_SET, "")
        preferred = parse_charsets(asked) if isinstance(asked, str) else ()
        own = {tags.QUERY_RETRIEVE_LEVEL: level.value, tags.RETRIEVE_AE_TITLE: self._desk.own_title}
        for row in rows:
            answer = {**row, **own}
            charsets = choose_charset(_texts(answer), preferred)
            data = encode_attributes(answer, syntax, charsets)
            yield self._desk.association.reply(self._context_id, response, data)

    def _final(self, status: int, comment: str) -> bytes:
        response = CFindRsp(self._request.message_id, status, self._request.sop_class, comment[:64])
        return self._desk.association.reply(self._context_id, response)


#: Keys that steer a query and are not matched.
_HOUSEKEEPING = frozenset(
    {
        tags.QUERY_RETRIEVE_LEVEL,
        tags.SPECIFIC_CHARACTER_SET,
        tags.TIMEZONE_OFFSET_FROM_UTC,
        tags.RETRIEVE_AE_TITLE,
        tags.INSTANCE_AVAILABILITY,
    }
)


def _texts(attributes: Attributes) -> Iterator[str]:
    for value in attributes.values():
        if isinstance(value, str):
            yield value
        else:
            for item in value:
                yield from _texts(item)
