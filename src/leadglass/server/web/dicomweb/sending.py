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

#: Bytes put together before they go out: each piece costs two thread switches and a few system calls.
PIECE: Final = 512 * 1024
#: Seconds that a client may take for one piece.
PATIENCE: Final = 60.0


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
        self._headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        self._status = status
        self._close = close
        self._ahead: Future[Buffer | None] | None = None

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
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await ahead
        if not gone.done():
            await send({"type": "http.response.body"})

    def _next(self) -> "asyncio.Future[Buffer | None]":
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


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def pieces(buffers: Iterable[Buffer]) -> Generator[Buffer, None, None]:
    """Small buffers put together until they are worth sending; large ones as they are."""
    held: list[Buffer] = []
    size = 0
    for buffer in buffers:
        held.append(buffer)
        size += len(buffer)
        if size >= PIECE:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
