"""The only place of the auditor that opens sockets.

Whatever an answer says (a redirect, a PASV address, a URL, a destination), a connection begins here, to an address of
the scope or not at all. No proxy is used and no name is resolved. Rate, politeness and budgets are kept here for all.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from weakref import WeakSet

from leadglass.assess.observation import Endpoint
from leadglass.assess.scope import Scope
from leadglass.errors import NotAvailable, RefusedForSafety

#: RFC 2577 3: whoever names a lower port as a data port means somebody else's service.
_FIRST_UNPRIVILEGED: Final = 1024


class OutOfScope(RefusedForSafety):
    """Something led outside the scope; nothing was sent."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(f"{endpoint} is not in the scope; it was not contacted.")


class BudgetSpent(NotAvailable):
    """A host has had the time or the bytes that one host may have."""


class Expired(NotAvailable):
    """The scope has come to its end while it was looked at."""

    def __init__(self) -> None:
        super().__init__("The scope expired; nothing is contacted any more.", "Have it renewed, and run it again.")


class Interrupted(NotAvailable):
    """Whoever runs the assessment has ended it."""

    def __init__(self) -> None:
        super().__init__("The assessment was interrupted.")


@dataclass(frozen=True, slots=True)
class Budget:
    """For each address: `seconds` from the first connection on, `octets` received, `connections` in all."""

    seconds: float = 3600
    octets: int = 8 * 1024**3
    connections: int = 20_000


@dataclass(slots=True)
class _Spent:
    begun: float
    octets: int = 0
    connections: int = 0


class Pace:
    """When the next connection may begin: one after another at `rate` a second, with a little saved up for bursts."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._next = clock()

    def delay(self) -> float:
        """Takes the next place and says how many seconds away it is."""
        now = self._clock()
        self._next = max(self._next, now - 0.1) + self._interval
        return max(0.0, self._next - now)


class Reach:
    """Connections within one scope. Every method may be called from any thread."""

    def __init__(self, scope: Scope, budget: Budget | None = None) -> None:
        self._scope = scope
        self._budget = budget or Budget()
        self._pace = Pace(scope.rate.connections)
        self._lock = threading.Lock()
        self._politeness: dict[str, threading.BoundedSemaphore] = {}
        self._spent: dict[str, _Spent] = {}
        self._stopped = threading.Event()
        self._open: WeakSet[socket.socket] = WeakSet()

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Ends every wait for a peer, now and from now on: whoever waits gets Interrupted or NotAvailable."""
        self._stopped.set()
        with self._lock:
            waiting = list(self._open)
        for connection in waiting:
            with suppress(OSError):
                # The TCP connection below, of a TLS one too: nothing is said any more.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def connect(self, endpoint: Endpoint, timeout: float) -> socket.socket:
        """A connected TCP socket whose every wait is bounded by `timeout` seconds.

        Raises OutOfScope, Expired, BudgetSpent, Interrupted, or NotAvailable when nobody answers.
        """
        self._require(endpoint)
        return self._connected(endpoint, timeout)

    def connect_beside(self, endpoint: Endpoint, port: int, timeout: float) -> socket.socket:
        """As `connect`, to another port that the service at `endpoint` has just opened for us (FTP, RFC 959 3.2): the
        address is that of `endpoint`, which the scope must hold, and no answer can name another. A port below 1024 is
        no data port but somebody else's service: OutOfScope."""
        self._require(endpoint)
        beside = Endpoint(endpoint.address, port)
        if port < _FIRST_UNPRIVILEGED:
            raise OutOfScope(beside)
        return self._connected(beside, timeout)

    def _connected(self, endpoint: Endpoint, timeout: float) -> socket.socket:
        self._take_connection(endpoint.address)
        with self._lock:
            delay = self._pace.delay()
        if self._stopped.wait(delay):
            raise Interrupted
        connection = _tcp_socket(endpoint)
        self._keep(connection)
        try:
            connection.settimeout(timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect((endpoint.address, endpoint.port))
        except OSError as error:
            connection.close()
            raise NotAvailable(f"{endpoint} does not answer: {error.strerror or 'time-out'}.") from None
        return connection

    def secured(self, connection: socket.socket, context: ssl.SSLContext, name: str = "") -> ssl.SSLSocket:
        """TLS over a connection of ours, handshake done. `name`: for the server to choose its certificate by.

        Raises OSError when the handshake does not come about; the connection is closed then.
        """
        try:
            secured = context.wrap_socket(connection, server_hostname=name or None, do_handshake_on_connect=False)
        except OSError:
            connection.close()
            raise
        self._keep(secured)
        try:
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        if self._stopped.is_set():
            connection.close()
            raise Interrupted

    @contextmanager
    def politely(self, address: str) -> Iterator[None]:
        """At most `per_host` blocks of this at once for one address; whoever probes a service stands in one."""
        with self._lock:
            place = self._politeness.setdefault(address, threading.BoundedSemaphore(self._scope.rate.per_host))
        with place:
            yield

    def spend(self, address: str, octets: int) -> None:
        """Books what an address has sent; raises BudgetSpent when it was more, or took longer, than one host may."""
        with self._lock:
            spent = self._spent.setdefault(address, _Spent(time.monotonic()))
            spent.octets += octets
            self._check(address, spent)

    def _take_connection(self, address: str) -> None:
        with self._lock:
            spent = self._spent.setdefault(address, _Spent(time.monotonic()))
            spent.connections += 1
            self._check(address, spent)

    def _check(self, address: str, spent: _Spent) -> None:
        budget = self._budget
        if self._stopped.is_set():
            raise Interrupted
        if spent.octets > budget.octets:
            raise BudgetSpent(f"{address} has sent more than {budget.octets} bytes.")
        if spent.connections > budget.connections or time.monotonic() - spent.begun > budget.seconds:
            raise BudgetSpent(f"{address} has had the time that one host may have.")

    def _require(self, endpoint: Endpoint) -> None:
        if not self._scope.allows(endpoint):
            raise OutOfScope(endpoint)
        if datetime.now(UTC) >= self._scope.ends:
            self.stop()
            raise Expired

    def begin(self, endpoint: Endpoint) -> tuple[socket.socket, int]:
        """A connection under way that nobody waits for here, and its `errno`: 0 when it stands already, EINPROGRESS
        while it is made. Paced by whoever calls, with `Pace`. Raises OutOfScope or Expired."""
        self._require(endpoint)
        connection = _tcp_socket(endpoint)
        connection.setblocking(False)
        return connection, connection.connect_ex((endpoint.address, endpoint.port))


def has_opened(connection: socket.socket) -> bool:
    """What became of a connection that `begin` began. Asked of the socket and not of the clock: a busy machine must not
    make an open port a silent one."""
    if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return False
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def _tcp_socket(endpoint: Endpoint) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET, socket.SOCK_STREAM)
