"""Accepts connections of the web door, so many and so many from one source."""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Final

from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.transport import TlsTransport

#: Connections accepted in one go.
_AT_ONCE: Final = 64
#: Beyond those that are answered: connections that have yet to shake hands, that are told of the bound, or that linger.
_SPARE: Final = 256
#: Bytes read in one go.
_INBOX: Final = 64 * 1024
#: Seconds without accepting, when there are no descriptors left.
_PAUSE: Final = 1.0
#: Seconds between looks whether all is delivered.
_TICK: Final = 0.05


class TlsListener:
    """uvicorn closes it as it closes an asyncio server."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        bounds: WebConfig,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._context = context
        self._protocol = protocol
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        self._inbox = memoryview(bytearray(_INBOX))
        self._held: set[TlsTransport] = set()
        self._by_source: Counter[str] = Counter()
        self._closed = False
        self._listen()

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._loop.remove_reader(self._listening.fileno())

    async def wait_closed(self) -> None:
        """Whatever is still there has had its time, once the last answers are delivered or will not be: where a
        container ends with its process, so does what the system holds."""
        while any(transport.is_delivering() for transport in self._held):
            await asyncio.sleep(_TICK)
        for transport in tuple(self._held):
            transport.abort()

    def _listen(self) -> None:
        if not self._closed and len(self._held) < self._bounds.connections + _SPARE:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if len(self._held) >= self._bounds.connections + _SPARE:
                self._loop.remove_reader(self._listening.fileno())
                return
            try:
                plain, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # accept(2): out of descriptors or memory
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(_PAUSE, self._listen)
                return
            self._admit(plain, (address[0], address[1]))

    def _admit(self, plain: socket.socket, peer: tuple[str, int]) -> None:
        if self._by_source[peer[0]] >= self._bounds.connections_per_source:
            plain.close()
            return
        try:
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        except OSError:  # gone already
            plain.close()
            return
        patience = self._bounds.stall_seconds
        transport = TlsTransport(connection, peer, self._protocol(), self._inbox, patience, self._release)
        self._held.add(transport)
        self._by_source[peer[0]] += 1
        transport.shake_hands(self._bounds.handshake_seconds)

    def _release(self, transport: TlsTransport) -> None:
        self._held.discard(transport)
        source = transport.peer[0]
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]
        self._listen()
