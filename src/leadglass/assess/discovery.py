"""Which ports of the scope's addresses answer: TCP connects, many at once, no faster than the scope says.

What was found is written down as it is found, so that an interrupted run goes on where it stopped: addresses and port
numbers, nothing else.
"""

import errno
import json
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from leadglass.assess.observation import Endpoint
from leadglass.assess.reach import Pace, Reach, has_opened
from leadglass.errors import RefusedForSafety

Address = IPv4Address | IPv6Address
#: Called with each address that is through, and how many of its ports are open.
OnAddress = Callable[[str, int], None]

#: In which a handshake comes about on any network that an organisation owns, one lost packet included.
PATIENCE: Final = 1.5
_SHORTEST: Final = 0.005
_FORMAT: Final = "leadglass-assess-state/1"


@dataclass(slots=True)
class State:
    """What is known already: open ports by address; every address that was looked at is in it. `keep`: for another run
    that goes on where this one was interrupted."""

    found: dict[str, tuple[int, ...]] = field(default_factory=dict)
    file: IO[str] | None = None
    keep: bool = False

    def add(self, address: str, ports: Sequence[int]) -> None:
        self.found[address] = tuple(ports)
        if self.file is not None:
            self.file.write(json.dumps({"address": address, "open": list(ports)}) + "\n")


@contextmanager
def kept_state(path: Path | None, scope_sha256: str, ports: Sequence[int]) -> Iterator[State]:
    """A state that is read from `path` and written to it; deleted once the block ends, unless that is by an exception
    or it is to be kept.

    What belongs to another scope, or to other ports, is begun anew. RefusedForSafety if `path` is a symbolic link or
    cannot be written.
    """
    if path is None:
        yield State()
        return
    header = {"format": _FORMAT, "scope": scope_sha256, "ports": list(ports)}
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RefusedForSafety(f"{path} cannot be used for the state: {error.strerror}.") from None
    with os.fdopen(descriptor, "r+", encoding="ascii", buffering=1, errors="replace") as file:
        found = _read(file, header)
        file.seek(0)
        file.truncate()
        file.write(json.dumps(header) + "\n")
        state = State(file=file)
        for address, open_ports in found.items():
            state.add(address, open_ports)
        yield state
    if not state.keep:
        # Two runs on one scope may share it; whoever ends last finds it gone.
        path.unlink(missing_ok=True)


def _read(file: IO[str], header: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(file):
        try:
            entry = json.loads(line)
            if number == 0 and entry != header:
                return {}
            if number:
                found[str(entry["address"])] = tuple(int(port) for port in entry["open"])
        except (ValueError, KeyError, TypeError):
            break  # the line that was being written when the run ended
    return found


def discover(
    reach: Reach, addresses: Iterable[Address], ports: Sequence[int], state: State, on_address: OnAddress, most: int
) -> None:
    """Fills `state`. `most`: connections under way at once, within what the scope allows and the system has files.

    Addresses that it holds already are not knocked at again. Whatever ends it early leaves what was found.
    """
    with _Search(reach, ports, most) as search:
        for visit in search.run(_unknown(map(str, addresses), state, on_address)):
            state.add(visit.address, sorted(visit.open))
            on_address(visit.address, len(visit.open))


def _unknown(addresses: Iterable[str], state: State, on_address: OnAddress) -> Iterator[str]:
    """Those that nothing is known of yet."""
    for address in addresses:
        if address in state.found:
            on_address(address, len(state.found[address]))
        else:
            yield address


@dataclass(slots=True)
class _Visit:
    """An address that is being knocked at. `places`: connections to it that may still be under way at once."""

    address: str
    left: deque[int]
    places: int
    open: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Knock:
    """A connection under way, and until when it is waited for."""

    connection: socket.socket
    visit: _Visit
    port: int
    until: float


class _Search:
    """Knocks at many addresses at once: one loop, which begins connections as fast as the pace allows and looks after
    those that the kernel has news of."""

    def __init__(self, reach: Reach, ports: Sequence[int], most: int) -> None:
        rate = reach.scope.rate
        self._reach = reach
        self._ports = ports
        self._pace = Pace(rate.connections)
        self._per_host = min(rate.per_host, len(ports))
        self._most = max(self._per_host, min(rate.connections, most))
        self._poll = select.epoll()
        self._ready: deque[_Visit] = deque()
        #: By file descriptor, the oldest first: all are waited for equally long.
        self._under_way: dict[int, _Knock] = {}
        self._due: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for knock in self._under_way.values():
            knock.connection.close()
        self._poll.close()

    def run(self, addresses: Iterator[str]) -> Iterator[_Visit]:
        """Each address as soon as all its ports are known."""
        while self._fill(addresses):
            yield from self._begin_some()
            self._settle_some()

    def _fill(self, addresses: Iterator[str]) -> bool:
        """Takes in addresses as far as there is room; whether there is anything left to do."""
        while len(self._under_way) + len(self._ready) + self._per_host <= self._most:
            address = next(addresses, None)
            if address is None:
                break
            visit = _Visit(address, deque(self._ports), self._per_host)
            self._ready.extend([visit] * self._per_host)
        return bool(self._ready or self._under_way)

    def _begin_some(self) -> Iterator[_Visit]:
        while self._ready:
            visit = self._ready[0]
            if not visit.left:
                visit.places -= 1
                if not visit.places:
                    yield visit
            elif self._is_due():
                self._knock(visit)
            else:
                return
            self._ready.popleft()

    def _is_due(self) -> bool:
        """Whether the pace allows another connection now, which is then taken for begun."""
        now = time.monotonic()
        if self._due is None:
            self._due = now + self._pace.delay()
        # Shorter than a timer is exact; what is left out now is waited for later.
        if self._due - now > _SHORTEST:
            return False
        self._due = None
        return True

    def _knock(self, visit: _Visit) -> None:
        port = visit.left.popleft()
        connection, status = self._reach.begin(Endpoint(visit.address, port))
        if status == errno.EINPROGRESS:
            self._poll.register(connection, select.EPOLLOUT)
            until = time.monotonic() + PATIENCE
            self._under_way[connection.fileno()] = _Knock(connection, visit, port, until)
            return
        connection.close()
        if status == 0:
            visit.open.append(port)
        self._ready.append(visit)

    def _settle_some(self) -> None:
        """Waits for news of connections, the end of the patience with the oldest, or the next place."""
        ends = [knock.until for knock in islice(self._under_way.values(), 1)]
        if self._due is not None:
            ends.append(self._due)
        if ends:
            for number, _ in self._poll.poll(max(0.0, min(ends) - time.monotonic())):
                self._settle(number)
        now = time.monotonic()
        while (oldest := next(iter(self._under_way.values()), None)) is not None and oldest.until <= now:
            self._settle(oldest.connection.fileno())

    def _settle(self, number: int) -> None:
        knock = self._under_way.pop(number)
        self._poll.unregister(number)
        with knock.connection:
            if has_opened(knock.connection):
                knock.visit.open.append(knock.port)
        self._ready.append(knock.visit)
