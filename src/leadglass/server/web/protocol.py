"""HTTP/1.1 from strangers: uvicorn's protocol with bounds on how long a header may be and take, how slowly a body may
come and an answer may be taken, and how many connections one source may hold.

uvicorn itself waits for ever for the end of a header.
"""

import asyncio
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from leadglass.server.web.configuration import WebConfig

#: Request line and header fields together (RFC 9112 2.2, RFC 6585 5).
MAX_HEADER = 64 * 1024
MAX_FIELDS = 128
#: Fewer bytes of a body a second than this are no upload (the door's own time aside, when it does not read).
LEAST_RATE = 512


class _Reading(Enum):
    """What the peer is to send next."""

    NOTHING = 0
    HEADER = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `config` and the rest are uvicorn's; `bounds` is set by `bounded`."""

    bounds: WebConfig

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading = _Reading.HEADER
        self._header_bytes = self._body_bytes = self._unsent = 0
        self._was_slow = False
        self._watch: asyncio.TimerHandle | None = None
        if self._held_by_source() > self.bounds.connections_per_source:
            transport.abort()
            return
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

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._reading = _Reading.NOTHING
        if not self.transport.is_closing():
            super().on_message_complete()

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

    def _held_by_source(self) -> int:
        source = self.client[0] if self.client else ""
        others = (each for each in self.connections if isinstance(each, BoundedProtocol) and each.client)
        return sum(1 for each in others if each.client and each.client[0] == source)


def bounded(bounds: WebConfig) -> type[BoundedProtocol]:
    """uvicorn makes protocols by class."""
    members: dict[str, Any] = {"bounds": bounds}
    return type("BoundedProtocol", (BoundedProtocol,), members)
