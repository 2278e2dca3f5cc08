"""Bodies that are made while they go out: read ahead by one piece in a thread of their own pool, so that the next piece
is opened while the last one is encrypted for the wire. A slow client holds no thread, only its turn.
"""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope, Send

Buffer = bytes | bytearray | memoryview

#: What goes out after one thread switch.
Piece = list[Buffer]
#: Bytes of a piece: each costs two thread switches.
PIECE: Final = 1024 * 1024
#: Bytes of buffers that are put together: each that goes out costs a record of TLS and a few system calls.
SMALL: Final = 64 * 1024
#: Seconds that a client may take for one piece.
PATIENCE: Final = 60.0


class Ready:
    """An ASGI response of buffers that are all there."""

    def __init__(self, buffers: Iterable[Buffer], headers: Mapping[str, str], status: int) -> None:
        self._pieces = list(pieces(buffers))
        self._headers = encoded(headers)
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        for piece in self._pieces:
            await _send_buffers(send, piece)
        await send({"type": "http.response.body"})


class Sending:
    """An ASGI response. `close` is called once, whatever happens: when all is sent, the client is gone or making a
    piece fails. What fails before the first piece is raised before anything goes out."""

    def __init__(
        self,
        executor: Executor,
        buffers: Iterable[Buffer],
        headers: Mapping[str, str],
        *,
        status: int = 200,
        close: Callable[[], None],
    ) -> None:
        self._executor = executor
        self._pieces = pieces(buffers)
        self._headers = encoded(headers)
        self._status = status
        self._close = close
        self._ahead: Future[Piece | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            if scope["method"] == "HEAD":
                await self._begin(send)
                await send({"type": "http.response.body"})
                return
            await self._send_all(send, gone)
        finally:
            gone.cancel()
            await self._end()

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})

    async def _send_all(self, send: Send, gone: "asyncio.Future[None]") -> None:
        piece = await self._next()
        await self._begin(send)
        while piece is not None and not gone.done():
            ahead = self._next()
            async with asyncio.timeout(PATIENCE):
                await _send_buffers(send, piece)
            piece = await ahead
        if not gone.done():
            await send({"type": "http.response.body"})

    def _next(self) -> "asyncio.Future[Piece | None]":
        self._ahead = self._executor.submit(next, self._pieces, None)
        return asyncio.wrap_future(self._ahead)

    async def _end(self) -> None:
        """A generator cannot be closed while it runs: its last step is waited for, although nobody takes the piece."""
        loop = asyncio.get_running_loop()
        await asyncio.shield(loop.run_in_executor(self._executor, self._settle))

    def _settle(self) -> None:
        try:
            if self._ahead is not None:
                with suppress(Exception):  # raised to whoever waited for the piece
                    self._ahead.result()
            self._pieces.close()
        finally:
            self._close()


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI wants them."""
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_buffers(send: Send, buffers: Iterable[Buffer]) -> None:
    for buffer in buffers:
        await send({"type": "http.response.body", "body": buffer, "more_body": True})


def pieces(buffers: Iterable[Buffer]) -> Generator[Piece, None, None]:
    """As many buffers as are worth a thread switch. Small ones are put together; large ones stay as they are, since to
    copy them costs as much as to seal them open."""
    held: list[Buffer] = []
    small = bytearray()
    size = 0
    for buffer in buffers:
        size += len(buffer)
        if len(buffer) < SMALL:
            small += buffer
        else:
            held += (small, buffer) if small else (buffer,)
            small = bytearray()
        if size >= PIECE:
            yield [*held, small] if small else held
            held, small, size = [], bytearray(), 0
    if size:
        yield [*held, small] if small else held
