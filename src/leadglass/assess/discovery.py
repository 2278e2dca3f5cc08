"""Which ports of the scope's addresses answer: TCP connects, many at once, no faster than the scope says.

What was found is written down as it is found, so that an interrupted run goes on where it stopped: addresses and port
numbers, nothing else.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import IO, Final

from leadglass.assess.observation import Endpoint
from leadglass.assess.reach import Knock, Pace, Reach
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
    """What is known already: open ports by address; every address that was looked at is in it."""

    found: dict[str, tuple[int, ...]] = field(default_factory=dict)
    file: IO[str] | None = None

    def add(self, address: str, ports: Sequence[int]) -> None:
        self.found[address] = tuple(ports)
        if self.file is not None:
            self.file.write(json.dumps({"address": address, "open": list(ports)}) + "\n")


@contextmanager
def kept_state(path: Path | None, scope_sha256: str, ports: Sequence[int]) -> Iterator[State]:
    """A state that is read from `path` and written to it; deleted once the block ends without an exception.

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


async def discover(
    reach: Reach, addresses: Iterable[Address], ports: Sequence[int], state: State, on_address: OnAddress, most: int
) -> None:
    """Fills `state`. `most`: connections under way at once, within what the scope allows and the system has files."""
    rate = reach.scope.rate
    search = _Search(reach, ports, state, on_address, Pace(rate.connections), rate.per_host)
    hosts_at_once = max(1, min(rate.connections, most) // min(rate.per_host, len(ports)))
    waiting = (str(address) for address in addresses)
    async with asyncio.TaskGroup() as group:
        for _ in range(hosts_at_once):
            group.create_task(search.work(waiting))


class _Search:
    def __init__(
        self, reach: Reach, ports: Sequence[int], state: State, on_address: OnAddress, pace: Pace, per_host: int
    ) -> None:
        self._reach = reach
        self._ports = ports
        self._state = state
        self._on_address = on_address
        self._pace = pace
        self._per_host = per_host

    async def work(self, waiting: Iterator[str]) -> None:
        """One address after the other, until none waits."""
        for address in waiting:
            if address not in self._state.found:
                self._state.add(address, await self._open_ports(address))
            self._on_address(address, len(self._state.found[address]))

    async def _open_ports(self, address: str) -> list[int]:
        left = iter(self._ports)
        found: list[int] = []

        async def knock() -> None:
            for port in left:
                delay = self._pace.delay()
                # Shorter than a timer is exact; what is left out now is waited for later.
                if delay > _SHORTEST:
                    await asyncio.sleep(delay)
                if await self._reach.knock(Endpoint(address, port), PATIENCE) is Knock.OPEN:
                    found.append(port)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._per_host, len(self._ports))):
                group.create_task(knock())
        return sorted(found)
