"""Jobs from a process that receives, straight to the thread that commits: no other thread reads them and none is woken
for their answers. A job at a time goes one way over a socket pair, and what became of it the other.

Messages are pickled, as those of a `Link`, and for the same reasons.
"""

import pickle
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from leadglass.archive.link import LinkFailed
from leadglass.errors import LeadglassError

_LENGTH = struct.Struct(">I")
_RECEIVED = 64 * 1024


class _End:
    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._pending = bytearray()

    def close(self) -> None:
        self._socket.close()

    def _send(self, message: object) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def _receive(self, flags: int = 0) -> Any:
        """The other end's next message. BlockingIOError when it is not all there and `flags` say not to wait, EOFError
        when the other end is gone."""
        pending = self._pending
        while len(pending) < (end := self._end_of_message()):
            data = self._socket.recv(_RECEIVED, flags)
            if not data:
                raise EOFError
            pending += data
        message = bytes(pending[_LENGTH.size : end])
        del pending[:end]
        return pickle.loads(message)  # noqa: S301 - see above

    def _end_of_message(self) -> int:
        """As far as that is known."""
        if len(self._pending) < _LENGTH.size:
            return _LENGTH.size
        return _LENGTH.size + int(_LENGTH.unpack_from(self._pending)[0])


class AskingEnd(_End):
    """Where the job is made. For one thread at a time; of no use any more after an exception."""

    def ask(self, job: object, durable: Callable[[], None] | None) -> tuple[Any, Exception | None]:
        """What the job returned once its writes are durable, or its error, as of `Link.ask`; `durable` as of
        `Committer.run`. Raises LinkFailed when the other process is gone."""
        try:
            self._send((job, durable is not None))
            if durable is not None:
                self._beside(durable)
            value, error = self._receive()
        except (ConnectionError, EOFError):
            raise LinkFailed("the other process is gone") from None
        return value, error

    def _beside(self, durable: Callable[[], None]) -> None:
        try:
            durable()
        except BaseException:
            self.close()  # which the other end takes for the word that never comes
            raise
        self._send(None)


class AnsweringEnd(_End):
    """Where the job is run."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end)
        self._is_owed_a_word = False

    def receive(self) -> Any:
        """The job, if it is all there. Raises BlockingIOError, EOFError, or whatever is wrong with the job."""
        try:
            self._take_word(socket.MSG_DONTWAIT)
            job, self._is_owed_a_word = self._receive(socket.MSG_DONTWAIT)
        except ConnectionError:
            raise EOFError from None
        return job

    def await_durable(self) -> None:
        """The sender's word that what the job writes about is durable. Raises when it does not come, then and ever."""
        self._take_word()

    def set_result(self, value: object) -> None:
        try:
            self._answer(value, None)
        except Exception as error:  # noqa: BLE001 - a value that cannot be sent is a defect of the job
            self.set_exception(error)

    def set_exception(self, error: Exception) -> None:
        self._answer(None, error if isinstance(error, LeadglassError) else LinkFailed(type(error).__name__))

    def _take_word(self, flags: int = 0) -> None:
        if self._is_owed_a_word:
            self._receive(flags)
            self._is_owed_a_word = False

    def _answer(self, value: object, error: Exception | None) -> None:
        with suppress(OSError):  # nobody is left to answer
            self._send((value, error))
