"""One connection of the web door: TLS on the socket itself, as an asyncio transport (ADR 10).

What asyncio and uvloop offer copies each byte twice more on its way, all of it in the loop's thread. Here records are
made of bytes where they lie, and a long answer is lent the socket, in the thread that makes it (`send_made`).
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import suppress
from enum import Enum, auto
from typing import Any, Final

from leadglass.server.web.outgoing import Buffer, Outgoing, Step

#: Bytes owed to a peer at which whoever writes is to wait, and down to which.
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024
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
        gone: Callable[["TlsTransport"], None],
    ) -> None:
        """`connection` does not block and has not shaken hands; `gone` is called when it is closed."""
        super().__init__()
        self.peer = peer
        self._connection = connection
        self._fd = connection.fileno()
        self._protocol = protocol
        self._inbox = inbox
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._state = _State.SHAKING_HANDS
        self._timer: asyncio.TimerHandle | None = None
        self._unsent: deque[memoryview] = deque()
        self._writing_paused = self._reading_paused = self._lent = False
        self._writable: asyncio.Future[None] | None = None
        self._lingered = 0

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
        return self._state is _State.OPEN and not self._reading_paused

    def pause_reading(self) -> None:
        self._reading_paused = True
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
            self._loop.add_writer(self._fd, self._flush)
            if not self._writing_paused and self.get_write_buffer_size() > HIGH_WATER:
                self._writing_paused = True
                self._protocol.pause_writing()

    async def send_made(self, executor: Executor, buffers: Iterable[Buffer], patience: float) -> None:
        """Send what `buffers` make, in `executor`, as fast as the peer takes it. Returns when all is sent, or the peer
        is gone or takes nothing for `patience` seconds; raises what making them raises. While it lasts nothing else
        is written or read."""
        if self._unsent:
            await self._until_writable()
        if self._state is not _State.OPEN:
            return
        self._loop.remove_reader(self._fd)
        self._lent = True
        outgoing = Outgoing(self._connection, buffers)
        is_gone = False
        try:
            while (step := await self._step(executor, outgoing)) is Step.LATER and self._state is _State.OPEN:
                async with asyncio.timeout(patience):
                    await self._until_writable()
            is_gone = step is not Step.DONE
        except TimeoutError:
            is_gone = True
        finally:
            self._take_back()
            if is_gone:
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
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
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
        if not self.is_reading() or self._lent:
            return
        size, end, failure = 0, False, None
        try:
            while size < len(self._inbox) and not end:
                received = self._connection.recv_into(self._inbox[size:])
                size, end = size + received, not received
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:
            end, failure = True, error
        if size:
            self._protocol.data_received(self._inbox[:size])  # type: ignore[arg-type]  # whatever has a buffer
        if end:
            self._lose(failure)
        elif size == len(self._inbox):
            self._listen()

    def _send(self, view: memoryview) -> memoryview:
        """What the peer does not take yet."""
        try:
            while view:
                view = view[self._connection.send(view) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        return view

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
        if self._writing_paused and self.get_write_buffer_size() <= LOW_WATER:
            self._writing_paused = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._fd)
            self._wake()
            self._part()

    async def _until_writable(self) -> None:
        """Until what is owed is sent and more would be taken, or it is over."""
        if self._state is not _State.OPEN:
            return
        self._writable = self._loop.create_future()
        self._loop.add_writer(self._fd, self._flush)
        try:
            await self._writable
        finally:
            self._writable = None

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    async def _step(self, executor: Executor, outgoing: Outgoing) -> Step:
        """A thread that has begun cannot be left alone with the socket, not even by who is cancelled."""
        step = self._loop.run_in_executor(executor, outgoing.step)
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            outgoing.stop()
            await asyncio.wait((step,))
            raise

    def _take_back(self) -> None:
        self._lent = False
        self._listen()
        self._part()

    def _part(self) -> None:
        """The last word, if there is to be one and nothing comes before it; then wait for the peer's."""
        if self._state is not _State.CLOSING or self._lent or self._unsent:
            return
        self._state = _State.LINGERING
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
