"""`python -m bench [NAME…]`: run scenarios against all installed servers and write JSON, a plot and a table."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import report
from bench.peers import PEERS, Peer
from bench.runner import Plan, Result, run
from bench.scenarios import SCENARIOS, Scenario, Sizes


def main() -> None:
    arguments = _parser().parse_args()
    found = {peer.name: peer.version() for peer in _chosen(arguments.servers)}
    versions = {name: version for name, version in found.items() if version is not None}
    for name in found.keys() - versions.keys():
        print(f"{name} does not run here", file=sys.stderr)
    if arguments.servers and len(versions) < len(found):
        sys.exit("not all servers that were asked for run here")
    peers = [peer for peer in PEERS if peer.name in versions]
    sizes = Sizes(arguments.objects, arguments.studies, arguments.queries, arguments.mebibytes)
    with ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp")))
        # In memory: a client that reads its files from the disk under test measures the disk twice.
        corpora = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.corpora)))
        plan = Plan(peers, sizes, arguments.repeat, work.resolve(), corpora, arguments.syncs)
        plan.work.mkdir(parents=True, exist_ok=True)
        results: list[Result] = []
        for scenario in _named(arguments.names):
            print(f"{scenario.name}: {scenario.title}", file=sys.stderr, flush=True)
            results += run(plan, scenario)
            report.write(arguments.results, arguments.label, plan, versions, results)
    print(report.table(results))


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {scenario.name:16} {scenario.title}" for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(
        "bench", description=f"scenarios:\n{names}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios; all unless given")
    parser.add_argument(
        "--servers", nargs="+", choices=[peer.name for peer in PEERS], help="all installed ones unless given"
    )
    parser.add_argument("--objects", type=int, default=1000, help="CT objects; twice as many MR objects (1000)")
    parser.add_argument("--studies", type=int, default=5000, help="studies for C-FIND (5000)")
    parser.add_argument("--queries", type=int, default=500, help="queries of each kind (500)")
    parser.add_argument("--mebibytes", type=int, default=2048, help="pixels of the large object (2048)")
    parser.add_argument("--repeat", type=int, default=5, help="timed runs, interleaved (5)")
    parser.add_argument(
        "--no-syncs", dest="syncs", action="store_false", help="leave out the counting run under strace"
    )
    parser.add_argument("--work", type=Path, help="where archives go, on a real disk; kept")
    parser.add_argument("--corpora", type=Path, default=Path("/dev/shm"), help="where corpora go, in memory (/dev/shm)")  # noqa: S108
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results", help="where the report goes")
    parser.add_argument("--label", default="bench", help="the report's file name")
    return parser


def _chosen(names: Sequence[str] | None) -> list[Peer]:
    return [peer for peer in PEERS if names is None or peer.name in names]


def _named(names: Sequence[str]) -> list[Scenario]:
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        sys.exit(f"no such scenario: {', '.join(sorted(unknown))}")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


if __name__ == "__main__":
    main()
