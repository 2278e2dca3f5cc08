"""Two processes of one archive that ask each other: verbs by name over a socket pair that nobody else holds.

Messages are pickled. Both ends are this program, forked from one process, and both hold the archive's keys: whoever
could write here needs no pickle to do harm (docs/threat-model.md).
"""

import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import structlog

from leadglass.errors import LeadglassError

log = structlog.get_logger("archive")
_HEADER = struct.Struct(">IB")  # bytes that follow, descriptors that came with them
_RECEIVED = 64 * 1024
_DESCRIPTORS = 16

#: What it returns is the answer; a Future is answered when it is done. Verbs run in the reading thread and never wait.
Verb = Callable[..., Any]


class LinkFailed(Exception):
    """A verb failed by a defect or its process is gone: whether it was done is unknown. Without the error's text, which
    may hold data."""


class _Ask(NamedTuple):
    """`number` is 0 when nobody waits for the answer."""

    number: int
    verb: str
    arguments: tuple[Any, ...]


class _Answer(NamedTuple):
    number: int
    value: Any
    error: LeadglassError | LinkFailed | None


class Link:
    """One end. `run` reads until the other end is gone; the other methods are for any thread."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._verbs: dict[str, Verb] = {}
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._asked: dict[int, Future[Any]] = {}
        self._is_over = False
        self._descriptors: deque[int] = deque()

    def ask(self, verb: str, *arguments: object, descriptors: Sequence[int] = ()) -> Future[Any]:
        """The future holds the verb's answer, its LeadglassError, or LinkFailed. Copies of the descriptors are the
        verb's first arguments."""
        future: Future[Any] = Future()
        number = next(self._numbers)
        self._asked[number] = future
        try:
            self._send(_Ask(number, verb, arguments), descriptors)
        except OSError:
            self._fail(number)
        if self._is_over:  # `run` may have missed it
            self._fail(number)
        return future

    def tell(self, verb: str, *arguments: object, descriptors: Sequence[int] = ()) -> None:
        """Ask without an answer. OSError when the other process is gone."""
        self._send(_Ask(0, verb, arguments), descriptors)

    def serve(self, verbs: Mapping[str, Verb]) -> None:
        """These verbs too."""
        self._verbs.update(verbs)

    def run(self) -> None:
        """Serve the verbs, and take answers, until the other process is gone."""
        try:
            self._read()
        finally:
            self._is_over = True
            for number in list(self._asked):
                self._fail(number)

    def close(self) -> None:
        """The other end is told; `run` returns on both."""
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        pending = bytearray()
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, _RECEIVED, _DESCRIPTORS)
            except OSError:
                return
            if not data:
                return
            pending += data
            self._descriptors.extend(descriptors)
            start = 0
            while len(pending) - start >= _HEADER.size:
                length, carried = _HEADER.unpack_from(pending, start)
                end = start + _HEADER.size + length
                if len(pending) < end:
                    break
                with memoryview(pending)[start + _HEADER.size : end] as message:
                    self._take(pickle.loads(message), carried)  # noqa: S301 - see above
                start = end
            del pending[:start]

    def _take(self, message: _Ask | _Answer, carried: int) -> None:
        if isinstance(message, _Answer):
            future = self._asked.pop(message.number)
            if message.error is not None:
                future.set_exception(message.error)
            else:
                future.set_result(message.value)
            return
        arguments = (*(self._descriptors.popleft() for _ in range(carried)), *message.arguments)
        try:
            value = self._verbs[message.verb](*arguments)
        except Exception as error:  # noqa: BLE001 - answered or said, without its text
            if not message.number:
                log.error("a verb failed that nobody waits for", verb=message.verb, kind=type(error).__name__)
            self._answer(message.number, None, error)
            return
        if isinstance(value, Future):
            value.add_done_callback(partial(self._answer_done, message.number))
        else:
            self._answer(message.number, value, None)

    def _answer_done(self, number: int, done: "Future[Any]") -> None:
        error = done.exception()
        self._answer(number, None if error is not None else done.result(), error)

    def _answer(self, number: int, value: object, error: BaseException | None) -> None:
        if not number:
            return
        if error is not None and not isinstance(error, LeadglassError):
            error = LinkFailed(type(error).__name__)
        try:
            self._send(_Answer(number, value, error))
        except OSError:
            return  # nobody is left to answer

    def _send(self, message: _Ask | _Answer, descriptors: Sequence[int] = ()) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        framed = _HEADER.pack(len(data), len(descriptors)) + data
        with self._lock:
            sent = socket.send_fds(self._socket, [framed], descriptors) if descriptors else 0
            self._socket.sendall(memoryview(framed)[sent:])

    def _fail(self, number: int) -> None:
        future = self._asked.pop(number, None)
        if future is not None:
            future.set_exception(LinkFailed("the other process is gone"))
