"""The only place of the auditor that opens sockets.

Whatever an answer says (a redirect, a PASV address, a URL, a destination), a connection begins here, to an address of
the scope or not at all. No proxy is used and no name is resolved. Rate, politeness and budgets are kept here for all.
"""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from leadglass.assess.observation import Endpoint
from leadglass.assess.scope import Scope
from leadglass.errors import NotAvailable, RefusedForSafety


class OutOfScope(RefusedForSafety):
    """Something led outside the scope; nothing was sent."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(f"{endpoint} is not in the scope; it was not contacted.")


class BudgetSpent(NotAvailable):
    """A host has had the time or the bytes that one host may have."""


class Knock(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    SILENT = "silent"


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

    @property
    def scope(self) -> Scope:
        return self._scope

    def connect(self, endpoint: Endpoint, timeout: float) -> socket.socket:
        """A connected TCP socket whose every wait is bounded by `timeout` seconds.

        Raises OutOfScope, BudgetSpent, or NotAvailable when nobody answers.
        """
        self._require(endpoint)
        return self._connected(endpoint, timeout)

    def connect_beside(self, endpoint: Endpoint, port: int, timeout: float) -> socket.socket:
        """As `connect`, to another port that the service at `endpoint` has just opened for us (FTP, RFC 959 3.2): the
        address is that of `endpoint`, which the scope must hold, and no answer can name another."""
        self._require(endpoint)
        return self._connected(Endpoint(endpoint.address, port), timeout)

    def _connected(self, endpoint: Endpoint, timeout: float) -> socket.socket:
        self._take_connection(endpoint.address)
        with self._lock:
            delay = self._pace.delay()
        time.sleep(delay)
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect((endpoint.address, endpoint.port))
        except OSError as error:
            connection.close()
            raise NotAvailable(f"{endpoint} does not answer: {error.strerror or 'time-out'}.") from None
        return connection

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
        if spent.octets > budget.octets:
            raise BudgetSpent(f"{address} has sent more than {budget.octets} bytes.")
        if spent.connections > budget.connections or time.monotonic() - spent.begun > budget.seconds:
            raise BudgetSpent(f"{address} has had the time that one host may have.")

    def _require(self, endpoint: Endpoint) -> None:
        if not self._scope.allows(endpoint):
            raise OutOfScope(endpoint)

    async def knock(self, endpoint: Endpoint, timeout: float) -> Knock:
        """Whether a TCP connection opens; it is closed at once. Paced by whoever calls, with `Pace`."""
        self._require(endpoint)
        family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            status = connection.connect_ex((endpoint.address, endpoint.port))
            if status == errno.EINPROGRESS:
                await _writable(connection, timeout)
                # Asked of the socket and not of the clock: a busy machine must not make an open port a silent one.
                status = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if status == 0 and not _is_connected(connection):
                    return Knock.SILENT
        if status == 0:
            return Knock.OPEN
        return Knock.CLOSED if status == errno.ECONNREFUSED else Knock.SILENT


async def _writable(connection: socket.socket, timeout: float) -> None:
    """Until the connection is made or failed, or `timeout` seconds are over."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    waiting = loop.call_later(timeout, _settle, done)
    loop.add_writer(connection, _settle, done)
    try:
        await done
    finally:
        waiting.cancel()
        loop.remove_writer(connection)


def _settle(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _is_connected(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True
