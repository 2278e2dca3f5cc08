"""Bodies that are made while they go out: the thread that makes a buffer encrypts it for the wire too and hands it to
the socket, so that nothing of it passes through the loop.
"""

import select
import ssl
from collections.abc import Generator, Iterable
from enum import Enum, auto
from typing import Final

Buffer = bytes | bytearray | memoryview

#: The most that one record of TLS holds (RFC 8446 5.1).
RECORD: Final = 16 * 1024
#: Milliseconds that a thread waits for a peer to take more, before it leaves the waiting to the loop.
PATIENCE: Final = 2
#: Bytes that one answer sends before others have their turn with the thread.
TURN: Final = 8 * 1024 * 1024


class Step(Enum):
    #: All has been sent.
    DONE = auto()
    #: The peer takes no more for now, or it is the turn of others.
    LATER = auto()
    #: The peer is gone.
    GONE = auto()


class Outgoing:
    """One body on its way to one peer, whose socket it has for as long."""

    def __init__(self, connection: ssl.SSLSocket, buffers: Iterable[Buffer]) -> None:
        """`connection` does not block: with a time-out Python would poll before each record."""
        self._connection = connection
        self._buffers = records(buffers)
        self._unsent = memoryview(b"")
        self._stopped = False
        self._writable = select.poll()
        self._writable.register(connection, select.POLLOUT)

    def stop(self) -> None:
        """From another thread: send no more."""
        self._stopped = True

    def step(self) -> Step:
        """Make and send for one turn. Raises what making a buffer raises."""
        left = TURN
        while left > 0 and not self._stopped:
            if not self._unsent:
                buffer = next(self._buffers, None)
                if buffer is None:
                    return Step.DONE
                self._unsent = memoryview(buffer)
            left -= len(self._unsent)
            try:
                self._send()
            except OSError:
                return Step.GONE
            if self._unsent:
                return Step.LATER
        return Step.LATER

    def _send(self) -> None:
        """As much as the peer takes without making this thread wait for long. Raises OSError."""
        send, unsent = self._connection.send, self._unsent
        try:
            while unsent:
                try:
                    unsent = unsent[send(unsent) :]
                except ssl.SSLWantWriteError:
                    if self._stopped or not self._writable.poll(PATIENCE):
                        return
        finally:
            self._unsent = unsent


def records(buffers: Iterable[Buffer]) -> Generator[Buffer, None, None]:
    """The same bytes without small buffers, each of which would cost a record of its own, an authentication tag and a
    system call. Of large ones no more is copied than fills up a record."""
    small = bytearray()
    for buffer in buffers:
        if len(small) + len(buffer) < RECORD:
            small += buffer
            continue
        rest = memoryview(buffer)
        if small:
            missing = RECORD - len(small)
            small += rest[:missing]
            yield small
            small, rest = bytearray(), rest[missing:]
        if len(rest) < RECORD:
            small += rest
        else:
            yield rest
    if small:
        yield small


def chunked(buffers: Iterable[Buffer]) -> Generator[Buffer, None, None]:
    """In chunks (RFC 9112 7.1), all but the last one, which is empty."""
    for buffer in buffers:
        if buffer:
            yield b"%x\r\n" % len(buffer)
            yield buffer
            yield b"\r\n"


def exactly(length: int, buffers: Iterable[Buffer]) -> Generator[Buffer, None, None]:
    """Raises RuntimeError when they are not as long as was said to the peer."""
    left = length
    for buffer in buffers:
        left -= len(buffer)
        if left < 0:
            raise RuntimeError("a body is longer than its Content-Length")
        yield buffer
    if left:
        raise RuntimeError("a body is shorter than its Content-Length")
