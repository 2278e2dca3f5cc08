"""What has to be decoded keeps nothing waiting that lies there."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, MutableMapping
from concurrent.futures import Executor
from typing import Any

from leadglass.server.web.dicomweb.dispatch import Part, multipart, single, streamed
from leadglass.server.web.dicomweb.lanes import Lane, Lanes
from leadglass.server.web.dicomweb.sending import Sending
from leadglass.server.web.outgoing import Buffer
from leadglass.server.web.protocol import MADE_BODY
from tests.loops import run_apart


async def sent(lanes: Lanes, part: Part) -> bytes:
    """The body of an answer of one part."""
    answer, body = single(part), bytearray()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        body.extend(message.get("body", b""))

    async def send_made(executor: Executor, buffers: Iterable[Buffer]) -> None:
        made = asyncio.get_running_loop().run_in_executor(executor, lambda: b"".join(buffers))
        body.extend(await made)

    scope = {"type": "http", "method": "GET", "extensions": {MADE_BODY: {"send": send_made}}}
    sending = Sending(lanes.of(answer.lane), answer.buffers, answer.all_headers, close=lambda: None)
    await sending(scope, receive, send)
    return bytes(body)


def test_what_lies_there_goes_out_while_all_decoders_are_busy() -> None:
    release = threading.Event()

    def decoded() -> Iterator[bytes]:
        release.wait()
        yield b"decoded"

    async def run() -> None:
        lanes = Lanes()
        waiting = [asyncio.ensure_future(sent(lanes, Part("a/b", decoded, None, lane=Lane.MADE))) for _ in range(64)]
        try:
            assert await sent(lanes, Part("a/b", lambda: [b"stored"], 6)) == b"stored"
        finally:
            release.set()
        assert await asyncio.gather(*waiting) == [b"decoded"] * 64

    run_apart(run())


def test_parts_of_a_stream_are_made_when_their_turn_comes() -> None:
    made: list[int] = []

    def parts() -> Iterator[Part]:
        for number in range(1000):
            made.append(number)
            yield Part("a/b", lambda: [b"x"], None, lane=Lane.MADE)

    answer = streamed(parts())
    buffers = iter(answer.buffers)
    assert (made, answer.lane, answer.length) == ([0], Lane.MADE, None)
    for _ in range(4):
        next(buffers)
    assert made == [0, 1]


def test_one_part_that_is_made_puts_all_in_its_lane() -> None:
    stored, made = Part("a/b", lambda: [b"1"], 1), Part("a/b", lambda: [b"2"], None, lane=Lane.MADE)
    assert multipart([stored, stored]).lane is Lane.STORED
    assert multipart([stored, made]).lane is Lane.MADE
    both = multipart([stored, stored])
    assert len(b"".join(both.buffers)) == both.length
