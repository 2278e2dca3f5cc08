"""Runs scenarios: fresh servers, repetitions of all servers interleaved, one further run under strace."""

import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.clients import tunnel
from bench.measure import Cost, count_syncs, watch
from bench.peers import Peer
from bench.scenarios import Outcome, Scenario, Sizes, Trial


@dataclass(frozen=True, slots=True)
class Plan:
    """What all scenarios of one call share."""

    peers: Sequence[Peer]
    sizes: Sizes
    repetitions: int
    work: Path
    corpora: Path
    count_syncs: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed run."""

    outcome: Outcome
    cost: Cost


@dataclass(frozen=True, slots=True)
class Result:
    """All runs of one scenario against one server. `syncs` counts calls per object by name."""

    scenario: Scenario
    server: str
    samples: tuple[Sample, ...]
    syncs: dict[str, float] | None

    def rate(self) -> float:
        """Median objects per second."""
        return statistics.median(each.outcome.objects / each.cost.seconds for each in self.samples)

    def megabytes(self) -> float:
        """Median 10⁶ bytes per second."""
        return statistics.median(each.outcome.transferred / each.cost.seconds / 1e6 for each in self.samples)

    def cpu_milliseconds(self) -> float:
        """Median CPU time of the server per object."""
        return statistics.median(1e3 * each.cost.cpu_seconds / each.outcome.objects for each in self.samples)

    def peak_megabytes(self) -> float:
        """The largest resident memory in 10⁶ bytes: sampled over all processes, or VmHWM of the main one."""
        return max(max(each.cost.peak_resident, each.cost.peak_high_water) for each in self.samples) / 1e6

    def latency(self, kind: str) -> tuple[float, float] | None:
        """(p50, p99) in milliseconds of one kind of query over all runs; None where the scenario has none."""
        seconds = [second for each in self.samples for second in each.outcome.latencies.get(kind, ())]
        if len(seconds) < 2:
            return None
        centiles = statistics.quantiles(seconds, n=100, method="inclusive")
        return centiles[49] * 1e3, centiles[98] * 1e3


def run(plan: Plan, scenario: Scenario) -> list[Result]:
    """Raises whatever a client or server raises: a bench with failures has no figures."""
    peers = [peer for peer in plan.peers if scenario.needs <= peer.abilities]
    samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
    for _ in range(min(plan.repetitions, scenario.at_most)):
        for peer in peers:
            samples[peer.name].append(_timed(plan, scenario, peer))
    return [Result(scenario, peer.name, tuple(samples[peer.name]), _counted(plan, scenario, peer)) for peer in peers]


def _timed(plan: Plan, scenario: Scenario, peer: Peer) -> Sample:
    with _trial(plan, scenario, peer) as trial:
        scenario.prepare(trial)
        with watch(trial.server.process.pid) as cost:
            outcome = scenario.run(trial)
        return Sample(outcome, cost)


def _counted(plan: Plan, scenario: Scenario, peer: Peer) -> dict[str, float] | None:
    if not plan.count_syncs:
        return None
    with _trial(plan, scenario, peer) as trial:
        scenario.prepare(trial)
        with count_syncs(trial.server.process.pid, plan.work / "strace") as counts:
            outcome = scenario.run(trial)
        return {call: count / outcome.objects for call, count in counts.items()}


@contextmanager
def _trial(plan: Plan, scenario: Scenario, peer: Peer) -> Iterator[Trial]:
    home = Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=plan.work))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home)
        server = peer.start(home, scenario.nodelay)
        stack.callback(server.stop)
        relayed = stack.enter_context(tunnel(server.endpoint, home))
        yield Trial(server, relayed, plan.corpora, plan.sizes, scenario.nodelay)
