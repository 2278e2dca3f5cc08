"""Answers that are made by threads: whoever waits for one may be cancelled, and the thread is waited for."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.types import Message

from leadglass.server.web.dicomweb.sending import Sending
from tests.loops import run_apart


async def _receive() -> Message:
    raise AssertionError


async def _send(_: Message) -> None:
    raise AssertionError


@pytest.mark.parametrize("cancellations", [1, 2])
def test_what_an_answer_holds_is_let_go_once_when_its_thread_is_done(cancellations: int) -> None:
    """A server that has waited long enough cancels its tasks, and then its loop does so again."""
    begun, going_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def buffers() -> Iterator[bytes]:
        try:
            begun.set()
            going_on.wait()
            yield b"made"
            seen.append("went on")
        finally:
            seen.append("ended")

    async def answer() -> None:
        sending = Sending(executor, buffers(), {}, close=lambda: seen.append("closed"))
        task = asyncio.create_task(sending({"method": "GET"}, _receive, _send))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert not task.done()
        going_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ThreadPoolExecutor(1) as executor:
        try:
            run_apart(answer())
        finally:
            going_on.set()
    assert seen == ["went on", "ended", "closed"]
