"""A whole run: discovery, then every open door, then the sums. `leadglass assess exposure` is a shell around this."""

import resource
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final, Protocol

from leadglass.assess.cleanup import clean_up
from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.discovery import State, discover, kept_state
from leadglass.assess.door import Looker, Seen
from leadglass.assess.observation import Assessment, Endpoint, HostResult
from leadglass.assess.probes.tls import StrangerTls
from leadglass.assess.reach import Reach
from leadglass.assess.scope import Network, Scope

#: Doors looked at at once: most of the time of each is waiting.
_WORKERS: Final = 128
#: Files that are open besides connections.
_OTHER_FILES: Final = 64


class Progress(Protocol):
    """Who watches a run. Called from the thread that runs it."""

    def begin_discovery(self, addresses: int) -> None: ...
    def address_done(self, address: str, open_ports: int) -> None: ...
    def begin_doors(self, doors: int) -> None: ...
    def door_done(self, endpoint: Endpoint) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """`targets`: the part of the scope to look at, all if empty. `state`: where an interrupted run is kept."""

    scope: Scope
    targets: tuple[Network, ...] = ()
    state: Path | None = None

    def addresses(self) -> list[IPv4Address | IPv6Address]:
        every = self.scope.addresses()
        return [each for each in every if not self.targets or any(each in target for target in self.targets)]


def assess(plan: Plan, progress: Progress) -> Assessment:
    """Looks at everything that `plan` says. A keyboard interrupt while doors are looked at ends the run early, and the
    assessment says so; during discovery it passes. What discovery found is kept in the state either way."""
    begun = datetime.now(UTC)
    scope = plan.scope
    reach = Reach(scope)
    addresses = plan.addresses()
    with kept_state(plan.state, scope.sha256, scope.ports) as state:
        progress.begin_discovery(len(addresses))
        discover(reach, addresses, scope.ports, state, progress.address_done, _most_files())
        doors = _doors(state, addresses)
        progress.begin_doors(len(doors))
        # The key of the hashes lives in this object, and ends with this run.
        fingerprints = Fingerprints()
        run = _Run(scope, Looker(reach, fingerprints, StrangerTls.make()), fingerprints)
        run.look_at(doors, progress.door_done)
        state.keep = run.interrupted
    return Assessment(
        organisation=scope.organisation,
        authorised_by=scope.authorised_by,
        scope_sha256=scope.sha256,
        begun=begun,
        ended=datetime.now(UTC),
        hosts=tuple(sorted(run.hosts, key=lambda host: _order(host.address))),
        totals=run.totals.counters(),
        addresses=len(addresses),
        ports=scope.ports,
        interrupted=run.interrupted,
    )


def _most_files() -> int:
    """Connections that may be open at once: as many as the system lets a process have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(16, soft - _OTHER_FILES)


def _doors(state: State, addresses: Iterable[IPv4Address | IPv6Address]) -> list[Endpoint]:
    found = ((str(address), state.found.get(str(address), ())) for address in addresses)
    return [Endpoint(address, port) for address, ports in found for port in ports]


def _order(address: str) -> tuple[int, int]:
    parsed = ip_address(address)
    return parsed.version, int(parsed)


class _Run:
    """Gathers doors into hosts as they are done, so that no door's tables are kept longer than its host's."""

    def __init__(self, scope: Scope, looker: Looker, fingerprints: Fingerprints) -> None:
        self._scope = scope
        self._looker = looker
        self._fingerprints = fingerprints
        self._waiting: dict[str, int] = {}
        self._seen: dict[str, list[Seen]] = {}
        self.hosts: list[HostResult] = []
        self.totals = Census(fingerprints)
        self.interrupted = False

    def look_at(self, doors: list[Endpoint], on_door: Callable[[Endpoint], None]) -> None:
        for door in doors:
            self._waiting[door.address] = self._waiting.get(door.address, 0) + 1
        gathered: Future[None] = Future()
        gathering = threading.Thread(target=self._gather, args=(doors, on_door, gathered), name="gathering")
        try:
            gathering.start()
            gathered.result()
        except KeyboardInterrupt:
            # It comes between any two steps of this thread, where nothing is half done: all is gathered in another one.
            self.interrupted = True
            self._looker.reach.stop()
            gathered.result()
        for address in list(self._seen):
            self._finish(address)

    def _gather(self, doors: list[Endpoint], on_door: Callable[[Endpoint], None], gathered: Future[None]) -> None:
        """Until all doors are looked at, or those under way when it is told to stop."""
        reach = self._looker.reach
        try:
            with ThreadPoolExecutor(max(1, min(_WORKERS, len(doors)))) as workers:
                running = {workers.submit(self._look, door): door for door in doors}
                for future in as_completed(running):
                    door = running.pop(future)
                    if not future.cancelled():
                        self._take(door.address, future)
                        on_door(door)
                    if reach.stopped:  # the scope may come to its end, too
                        self.interrupted = True
                        workers.shutdown(wait=False, cancel_futures=True)
        except BaseException as error:  # noqa: BLE001 - raised to who waits
            gathered.set_exception(error)
        else:
            gathered.set_result(None)

    def _look(self, door: Endpoint) -> Seen:
        reach = self._looker.reach
        with reach.politely(door.address):
            try:
                seen = self._looker.look(door, self._names(door.address))
            except Exception as error:  # noqa: BLE001 - its text may be a peer's; a thousand other doors must not be lost
                return self._looker.nothing(door, "unknown", f"a defect of the auditor: {type(error).__name__}")
        if not reach.stopped:
            return seen
        result, census = seen
        return replace(result, unknowns=(*result.unknowns, "the assessment was interrupted")), census

    def _take(self, address: str, future: "Future[Seen]") -> None:
        self._seen.setdefault(address, []).append(future.result())
        self._waiting[address] -= 1
        if not self._waiting[address]:
            self._finish(address)

    def _finish(self, address: str) -> None:
        seen = sorted(self._seen.pop(address), key=lambda each: each[0].endpoint)
        census = Census(self._fingerprints)
        for _, part in seen:
            census.absorb(part)
        services = clean_up(self._looker.reach, self._looker.tls, (service for service, _ in seen))
        ports = tuple(service.endpoint.port for service in services)
        self.hosts.append(HostResult(address, self._names(address), services, census.counters(), ports))
        self.totals.absorb(census)

    def _names(self, address: str) -> tuple[str, ...]:
        return self._scope.names_of(ip_address(address))
