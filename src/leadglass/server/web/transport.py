"""One connection of the web door: TLS on the socket itself, as an asyncio transport (ADR 10).

What asyncio and uvloop offer copies each byte twice more on its way, all of it in the loop's thread. Here records are
made of bytes where they lie, and a long answer is lent the socket, in the thread that makes it (`send_made`).
"""

import asyncio
import fcntl
import socket
import ssl
import struct
import sys
import termios
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Final

from leadglass.server.web.outgoing import Buffer, Outgoing, Step
from leadglass.server.web.threads import finished

#: Bytes owed to a peer at which whoever writes is to wait, and down to which.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024
#: Who gives or takes fewer bytes a second than this gives or takes nothing.
LEAST_RATE: Final = 512
#: Read in one go: records may hold a byte each, and others wait meanwhile.
_RECORDS: Final = 64
#: Seconds, and bytes, for which a peer that still sends is listened to after the last word: to close with something
#: unread would take the answer back that it is about to read (RFC 9112 9.6).
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 16 * 1024 * 1024
#: socket(7): a struct linger of no time.
_AT_ONCE: Final = struct.pack("ii", 1, 0)


class _State(Enum):
    SHAKING_HANDS = auto()
    OPEN = auto()
    #: Closed once what is owed has been sent.
    CLOSING = auto()
    LINGERING = auto()
    GONE = auto()


class TlsTransport(asyncio.Transport):
    """Made by `TlsListener`, in the loop's thread like all calls. `inbox` is what the loop's connections share to read
    into: a protocol keeps nothing of what `data_received` gives it."""

    def __init__(
        self,
        connection: ssl.SSLSocket,
        peer: tuple[str, int],
        protocol: asyncio.Protocol,
        inbox: memoryview,
        patience: float,
        gone: Callable[["TlsTransport"], None],
    ) -> None:
        """`connection` does not block and has not shaken hands; `gone` is called when it is closed. A peer that takes
        nothing of what it is owed for `patience` seconds is cut off."""
        super().__init__()
        self.peer = peer
        self._connection = connection
        self._fd = connection.fileno()
        self._protocol = protocol
        self._inbox = inbox
        self._patience = patience
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._state = _State.SHAKING_HANDS
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: deque[memoryview] = deque()
        self._writing_paused = self._reading_paused = self._lent = False
        self._writable: asyncio.Future[None] | None = None
        self._in_system = self._lingered = 0

    def shake_hands(self, seconds: float) -> None:
        """Within so many, or it is over."""
        self._timer = self._loop.call_later(seconds, self.abort)
        self._shake_hands()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self.peer
        if name == "sockname":
            return self._connection.getsockname()[:2]
        return self._connection.context if name == "sslcontext" else default

    def is_closing(self) -> bool:
        return self._state is not _State.OPEN

    def is_reading(self) -> bool:
        return self._state is _State.OPEN and not self._reading_paused and not self._lent

    def is_delivering(self) -> bool:
        """Whether all has been said, and the peer has yet to take some of it."""
        return self._state is _State.LINGERING and self._octets_in_system() > 0

    def pause_reading(self) -> None:
        self._reading_paused = True
        if self._state is _State.OPEN:  # or the descriptor may be another's by now
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        self._reading_paused = False
        self._listen()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent))

    def write(self, data: Buffer) -> None:
        """At once as far as the peer takes it. `data` must not change until it is gone."""
        if self._state is not _State.OPEN:
            return
        if self._lent:
            raise RuntimeError("nothing is written between the parts of what is made")
        rest = memoryview(data)
        if not self._unsent:
            try:
                rest = self._send(rest)
            except OSError as error:
                self._lose(error)
                return
        if rest:
            self._unsent.append(rest)
            self._wait()
            if not self._writing_paused and self.get_write_buffer_size() > HIGH_WATER:
                self._writing_paused = True
                self._protocol.pause_writing()

    async def send_made(self, executor: Executor, buffers: Iterable[Buffer]) -> None:
        """Send what `buffers` make, in `executor`, as fast as the peer takes it. Returns when all is sent or the peer
        is gone; raises what making them raises. While it lasts nothing else is written or read."""
        if self._unsent:
            await self._until_writable()
        if self._state is not _State.OPEN:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._set_timer(None)
        self._lent = True
        outgoing = Outgoing(self._connection, buffers)
        try:
            while (step := await self._step(executor, outgoing)) is Step.LATER and self._state is _State.OPEN:
                await self._until_writable()
        finally:
            self._lent = False
            self._listen()
            self._part()
        if step is not Step.DONE:
            self._reset(ConnectionError("the peer is gone"))

    def close(self) -> None:
        if self._state is _State.SHAKING_HANDS:
            self._end()
        elif self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._loop.remove_reader(self._fd)
            self._part()

    def abort(self) -> None:
        if self._lent:
            # Its thread has the socket still, and finds it at an end. By the plain socket's method: an SSLSocket's own
            # would have the thread send on in the clear.
            self._state = _State.CLOSING
            with suppress(OSError):  # the peer has reset it
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        elif self._state is _State.LINGERING:
            self._end()  # all has been said: the system goes on to deliver it
        else:
            self._reset(None)

    def _shake_hands(self) -> None:
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        try:
            self._connection.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.add_reader(self._fd, self._shake_hands)
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._fd, self._shake_hands)
        except OSError:
            self._end()
        else:
            self._set_timer(None)
            self._state = _State.OPEN
            self._protocol.connection_made(self)
            self._listen()

    def _listen(self) -> None:
        if self._state is _State.OPEN and not self._reading_paused and not self._lent:
            self._loop.add_reader(self._fd, self._read)
            if self._connection.pending():  # in OpenSSL's buffer already: the socket would not tell
                self._loop.call_soon(self._read)

    def _read(self) -> None:
        if not self.is_reading():
            return
        size, end, failure = 0, False, None
        try:
            for _ in range(_RECORDS):
                received = self._connection.recv_into(self._inbox[size:])
                size, end = size + received, not received
                if end or size == len(self._inbox):
                    break
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLWantWriteError:  # a KeyUpdate is to be answered (RFC 8446 4.6.3), and the peer takes nothing
            self._loop.remove_reader(self._fd)
            self._wait()
        except OSError as error:
            end, failure = True, error
        if size:
            self._protocol.data_received(self._inbox[:size])  # type: ignore[arg-type]  # whatever has a buffer
        if end:
            self._lose(failure)
        elif size == len(self._inbox):
            self._listen()

    def _send(self, view: memoryview) -> memoryview:
        """What the peer does not take yet. Raises OSError, also when OpenSSL would read before it writes: in the midst
        of a message of TLS from a peer that may never end it."""
        with suppress(ssl.SSLWantWriteError):
            while view:
                view = view[self._connection.send(view) :]
        return view

    def _wait(self) -> None:
        """Until the peer takes more. If it does not, it is over."""
        self._loop.add_writer(self._fd, self._flush)
        self._in_system = self._octets_in_system()
        self._set_timer(self._loop.call_later(self._patience, self._look))

    def _look(self) -> None:
        """The system says that a peer takes more when a third of megabytes is free. A slow one is long about it."""
        before, self._in_system = self._in_system, self._octets_in_system()
        if before - self._in_system < LEAST_RATE * self._patience:
            self.abort()
        else:
            self._set_timer(self._loop.call_later(self._patience, self._look))

    def _octets_in_system(self) -> int:
        """tcp(7), SIOCOUTQ: written and not acknowledged."""
        return int.from_bytes(fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)

    def _flush(self) -> None:
        try:
            while self._unsent:
                rest = self._unsent[0] = self._send(self._unsent[0])
                if rest:
                    break
                self._unsent.popleft()
        except OSError as error:
            self._lose(error)
            return
        if self._unsent:
            self._wait()
        else:
            self._loop.remove_writer(self._fd)
            self._set_timer(None)
            self._wake()
            self._listen()
        if self._writing_paused and self.get_write_buffer_size() <= LOW_WATER:
            self._writing_paused = False
            self._protocol.resume_writing()
        self._part()

    async def _until_writable(self) -> None:
        """Until what is owed is sent and more would be taken, or it is over."""
        if self._state is not _State.OPEN:
            return
        self._writable = self._loop.create_future()
        self._wait()
        try:
            await self._writable
        finally:
            self._writable = None

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    async def _step(self, executor: Executor, outgoing: Outgoing) -> Step:
        """A thread that has begun cannot be left alone with the socket."""
        return await finished(self._loop.run_in_executor(executor, outgoing.step), outgoing.stop)

    def _part(self) -> None:
        """The last word, if there is to be one and nothing comes before it; then wait for the peer's."""
        if self._state is not _State.CLOSING or self._lent or self._unsent:
            return
        self._state = _State.LINGERING
        self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._protocol.connection_lost, None)
        with suppress(OSError):  # most often SSLWantReadError: the peer has yet to say the same
            self._connection.unwrap()
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._end()
        else:
            self._set_timer(self._loop.call_later(LINGER_SECONDS, self._end))
            self._loop.add_reader(self._fd, self._hear_out)

    def _hear_out(self) -> None:
        try:
            received = self._connection.recv_into(self._inbox)
        except BlockingIOError:
            return
        except OSError:
            received = 0
        self._lingered += received
        if not received or self._lingered > LINGER_BYTES:
            self._end()

    def _reset(self, error: Exception | None) -> None:
        """It is over, and what the peer has not taken yet is dropped: the system would keep megabytes for it."""
        if self._state is not _State.GONE:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        """It is over, now."""
        if self._state in (_State.OPEN, _State.CLOSING):
            self._loop.call_soon(self._protocol.connection_lost, error)
        self._end()

    def _end(self) -> None:
        if self._state is _State.GONE:
            return
        self._state = _State.GONE
        self._set_timer(None)
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._unsent.clear()
        self._connection.close()
        self._wake()
        self._gone(self)

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
