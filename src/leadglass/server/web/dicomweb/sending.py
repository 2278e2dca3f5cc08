"""Answers of DICOMweb: those that are all there, and those that are made while they go out. A slow client holds no
thread, only its turn.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from itertools import chain
from typing import Final

from starlette.types import Receive, Scope, Send

from leadglass.server.web.outgoing import Buffer, records
from leadglass.server.web.protocol import MADE_BODY
from leadglass.server.web.threads import finished

#: Bytes that are made before an answer begins: with a short one the client learns what went wrong.
AHEAD: Final = 1024 * 1024


class Ready:
    """An ASGI response of buffers that are all there."""

    def __init__(self, buffers: Iterable[Buffer], headers: Mapping[str, str], status: int) -> None:
        self._buffers = list(records(buffers))
        self._headers = encoded(headers)
        self._status = status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        for buffer in self._buffers:
            await send({"type": "http.response.body", "body": buffer, "more_body": True})
        await send({"type": "http.response.body"})


class Sending:
    """An ASGI response. `close` is called once, whatever happens: when all is sent, the client is gone or making a
    buffer fails. What fails within the first `AHEAD` bytes is raised before anything goes out."""

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
        self._buffers = records(buffers)
        self._headers = encoded(headers)
        self._status = status
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        loop = asyncio.get_running_loop()
        try:
            first = await finished(loop.run_in_executor(self._executor, self._begin, scope["method"]))
            await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
            if scope["method"] != "HEAD":
                await scope["extensions"][MADE_BODY]["send"](self._executor, chain(first, self._buffers))
            await send({"type": "http.response.body"})
        finally:
            await finished(loop.run_in_executor(self._executor, self._end))

    def _begin(self, method: str) -> list[Buffer]:
        first: list[Buffer] = []
        if method != "HEAD":
            left = AHEAD
            while left > 0 and (buffer := next(self._buffers, None)) is not None:
                first.append(buffer)
                left -= len(buffer)
        return first

    def _end(self) -> None:
        try:
            self._buffers.close()
        finally:
            self._close()


def encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI wants them."""
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
