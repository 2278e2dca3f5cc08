"""HTTP/1.1 from strangers: uvicorn's protocol with bounds on how long a header may be and take, how slowly a body may
come and an answer may be taken, and with an extension of ASGI for answers that are made while they go out.

uvicorn itself waits for ever for the end of a header.
"""

import asyncio
from collections.abc import Iterable
from concurrent.futures import Executor
from enum import Enum
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.outgoing import Buffer, chunked, exactly
from leadglass.server.web.transport import TlsTransport

#: Request line and header fields together (RFC 9112 2.2, RFC 6585 5).
MAX_HEADER = 64 * 1024
MAX_FIELDS = 128
#: Fewer bytes of a body a second than this are no upload (the door's own time aside, when it does not read).
LEAST_RATE = 512
#: Among a scope's extensions: its `send` takes an executor and the buffers of a body, to be made and sent there.
MADE_BODY: Final = "leadglass.made_body"


class _Reading(Enum):
    """What the peer is to send next."""

    NOTHING = 0
    HEADER = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `config` and the rest are uvicorn's; `bounds` is set by `bounded`."""

    bounds: WebConfig
    transport: TlsTransport

    def connection_made(self, transport: TlsTransport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading = _Reading.HEADER
        self._header_bytes = self._body_bytes = self._unsent = 0
        self._was_slow = False
        self._watch: asyncio.TimerHandle | None = None
        self._arm(self.bounds.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._reading is _Reading.NOTHING:
            self._begin_header()
        if self._reading is _Reading.HEADER:
            self._header_bytes += len(data)
        else:
            self._body_bytes += len(data)
        super().data_received(data)
        if self._reading is _Reading.HEADER and self._header_bytes > MAX_HEADER:
            self._refuse(431)

    def on_message_begin(self) -> None:
        if self._reading is _Reading.NOTHING:  # behind the end of another one, in the same bytes
            self._begin_header()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MAX_FIELDS:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._reading, self._body_bytes = _Reading.BODY, 0
        if self.transport.is_closing():
            return
        lengths = [value for name, value in self.headers if name == b"content-length"]
        hosts = [value for name, value in self.headers if name == b"host"]
        coded = any(name == b"transfer-encoding" for name, _ in self.headers)
        # RFC 9112 3.2 and 6.3: two lengths, a length beside chunks, or not one host, are how requests are smuggled.
        if len(lengths) > 1 or (lengths and coded) or len(hosts) != 1:
            self._refuse(400)
            return
        self._was_slow = False
        self._arm(self.bounds.stall_seconds)
        super().on_headers_complete()
        made = partial(self._send_made, self.cycle)
        self.scope["extensions"] = {MADE_BODY: {"send": made}}

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = _Reading.NOTHING
        if not self.transport.is_closing():
            super().on_message_complete()

    async def _send_made(self, cycle: RequestResponseCycle, executor: Executor, buffers: Iterable[Buffer]) -> None:
        """The body of an answer whose start has been sent; an empty last `http.response.body` is to follow."""
        if cycle.disconnected:
            return
        if cycle.chunked_encoding:
            framed = chunked(buffers)
        else:
            framed = exactly(cycle.expected_content_length, buffers)
            cycle.expected_content_length = 0
        await self.transport.send_made(executor, framed, self.bounds.stall_seconds)

    def _begin_header(self) -> None:
        self._reading, self._header_bytes = _Reading.HEADER, 0
        self._arm(self.bounds.header_seconds)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _arm(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Whether the peer has kept pace since the last look. Idle connections are uvicorn's to close."""
        self._watch = None
        if self.transport.is_closing():
            return
        if self._reading is _Reading.HEADER:
            self._refuse(408)
        elif self._is_stuck():
            self.transport.abort()
        elif self._reading is _Reading.BODY or self._is_answering():
            self._arm(self.bounds.stall_seconds)

    def _is_stuck(self) -> bool:
        """It takes nothing of an answer, or twice in a row too little came of a body that we would have read."""
        waiting = self.transport.get_write_buffer_size()
        takes_nothing = waiting > 0 and waiting == self._unsent
        is_slow = (
            self._reading is _Reading.BODY
            and not self.flow.read_paused
            and self._body_bytes < LEAST_RATE * self.bounds.stall_seconds
        )
        stuck = takes_nothing or (is_slow and self._was_slow)
        self._unsent, self._body_bytes, self._was_slow = waiting, 0, is_slow
        return stuck

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer is under way, and part."""
        if self.transport.is_closing():
            return
        if self._is_answering():
            self.transport.abort()
            return
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def bounded(bounds: WebConfig) -> type[BoundedProtocol]:
    """uvicorn makes protocols by class."""
    members: dict[str, Any] = {"bounds": bounds}
    return type("BoundedProtocol", (BoundedProtocol,), members)
