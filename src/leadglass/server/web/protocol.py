"""HTTP/1.1 from strangers: uvicorn's protocol with bounds on how long a header may be and take, how slowly a body may
come and how many requests may come at once, and with an extension of ASGI for answers that are made while they go out.

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
from leadglass.server.web.transport import LEAST_RATE, TlsTransport

#: Request line and header fields together (RFC 9112 2.2, RFC 6585 5).
MAX_HEADER = 64 * 1024
MAX_FIELDS = 128
#: Requests that wait for the answers to those before them (RFC 9112 9.3.2); each takes kilobytes.
MAX_WAITING = 8
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
        self._header_bytes = self._body_bytes = 0
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
        self._header_bytes += len(data)
        self._body_bytes += len(data)
        super().data_received(data)
        if self._reading is not _Reading.NOTHING and self._header_bytes > MAX_HEADER:
            self._refuse(431)

    def on_message_begin(self) -> None:
        if self._reading is _Reading.NOTHING:  # behind the end of another one, in the same bytes
            self._begin_header()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is not to pass for a field of the header (RFC 9110 6.5.1), and nothing more comes of a refused one.
        if self._reading is _Reading.BODY or self.transport.is_closing():
            return
        super().on_header(name, value)
        if len(self.headers) > MAX_FIELDS:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._reading, self._header_bytes, self._body_bytes = _Reading.BODY, 0, 0
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
        if len(self.pipeline) > MAX_WAITING:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        self._header_bytes = 0  # what frames chunks, and trailers behind them, is counted from here
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
        await self.transport.send_made(executor, framed)

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
        """Whether what the peer sends keeps pace. Idle connections are uvicorn's to close."""
        self._watch = None
        if self.transport.is_closing() or self._reading is _Reading.NOTHING:
            return
        if not self.transport.is_reading():  # the door's own time
            self._was_slow, self._body_bytes = False, 0
            self._arm(self.bounds.stall_seconds)
        elif self._reading is _Reading.HEADER:
            self._refuse(408)
        else:
            self._look_at_body()

    def _look_at_body(self) -> None:
        """Too little of it, twice in a row, is no upload: we may have read for a part of the time only."""
        is_slow = self._body_bytes < LEAST_RATE * self.bounds.stall_seconds
        if is_slow and self._was_slow:
            self.transport.abort()
        else:
            self._was_slow, self._body_bytes = is_slow, 0
            self._arm(self.bounds.stall_seconds)

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
