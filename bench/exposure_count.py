"""Counting a large archive: `python -m bench.exposure_count [--studies N] [--orthanc N]`.

Open archives of two kinds are counted. `served` answers a query as this project's own door does, row by row: encode the
attributes, wrap them in a response, write 32 KiB at once; but it makes its rows, where an archive would ask its
index. `canned` has encoded every response beforehand and only writes: no archive does, and it shows what the auditor's
own bound is. Then a real Orthanc, as far as it is worth filling. A null client that reads and forgets measures each
one's bare rate, then the auditor counts it, over one query and as a whole run. Processors may be shared: besides the
rates the processor time of both sides is given, which tells who is waited for where each has a processor to itself.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.exposure import RESULTS, scope_file, timed
from bench.exposure_archives import ADDRESS, Peer, double, orthanc
from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint
from leadglass.assess.probes.dimse_answer import MANY, encode_keys
from leadglass.assess.probes.dimse_asking import Asking
from leadglass.assess.probes.dimse_knock import Way
from leadglass.assess.probes.dimse_line import LIMITS as LIMITS_OF_OURS
from leadglass.assess.reach import Reach
from leadglass.assess.scope import parse_scope
from leadglass.dicom.uids import STUDY_ROOT_FIND, TRANSFER_SYNTAXES
from leadglass.dimse.association import Association
from leadglass.dimse.message import CFindRq

#: How the last response to a query ends: no data set, status 0000H.
END = bytes.fromhex("0000000802000000010100000009020000000000")
_TICK = os.sysconf("SC_CLK_TCK")


class Taken(NamedTuple):
    """Of one query: seconds on the clock, and of the processor here and at the peer."""

    seconds: float
    ours: float
    peers: float


def null_client(way: Way) -> int:
    """Bytes of the answers to a query, received, counted and forgotten."""
    with way.reach.connect(way.endpoint, 600) as connection:
        association = Association.requestor(LIMITS_OF_OURS)
        connection.sendall(association.request(way.request()))
        association.receive(connection.recv(65_536))
        context = next(
            number for number, each in association.contexts.items() if each.abstract_syntax == STUDY_ROOT_FIND
        )
        syntax = TRANSFER_SYNTAXES[association.contexts[context].transfer_syntax]
        query = association.reply(context, CFindRq(1, STUDY_ROOT_FIND), encode_keys("STUDY", MANY, syntax))
        buffer, received, tail = bytearray(65_536), 0, b""
        connection.sendall(query)
        while not tail.endswith(END):
            count = connection.recv_into(buffer)
            received += count
            tail = (tail + buffer[max(0, count - len(END)) : count])[-len(END) :]
        return received


def counted(way: Way) -> int:
    """Studies that the auditor counts by the same query."""
    census = Census(Fingerprints())
    with way.open() as line:
        line.associate(way.request())
        asking = Asking(way, line, STUDY_ROOT_FIND, census)
        asking.studies({})
        asking.release()
    return census.studies


def taking(peer: Peer, act: Callable[[], int]) -> tuple[Taken, int]:
    """What `act` takes, and what it returns."""
    started, ours, peers = time.perf_counter(), time.process_time(), _processor_seconds(peer.pid)
    result = act()
    taken = Taken(time.perf_counter() - started, time.process_time() - ours, _processor_seconds(peer.pid) - peers)
    return taken, result


def _processor_seconds(pid: int) -> float:
    """User and system time of a process (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def compared(peer: Peer, repeat: int) -> dict[str, object]:
    """The peer's bare rate and the auditor's, in studies a second, from the medians of several queries each."""
    way = Way(
        Reach(parse_scope(scope_file([ADDRESS], (peer.port,)).encode(), lambda _: [])), Endpoint(ADDRESS, peer.port)
    )
    bare, ours = [], []
    studies = octets = 0
    for _ in range(repeat):
        taken, octets = taking(peer, lambda: null_client(way))
        bare.append(taken)
        taken, studies = taking(peer, lambda: counted(way))
        ours.append(taken)
    null_rate, rate = (round(studies / statistics.median(each.seconds for each in runs)) for runs in (bare, ours))
    spent = {
        "peer": statistics.median(each.peers for each in ours),
        "auditor": statistics.median(each.ours for each in ours),
    }
    return {
        "studies": studies,
        "bytes_a_study": round(octets / max(1, studies)),
        "peer_by_itself": null_rate,
        "auditor": rate,
        "auditor_by_peer": round(rate / null_rate, 3),
        "cpu_microseconds_a_study": {name: round(1e6 * each / studies, 1) for name, each in spent.items()},
    }


def whole_run(port: int) -> dict[str, object]:
    """The command, as one runs it: seconds, memory, and whether its counters are exact."""
    with tempfile.TemporaryDirectory() as folder:
        scope, report = Path(folder) / "scope.toml", Path(folder) / "report.json"
        scope.write_text(scope_file([ADDRESS], (port,)))
        command = [sys.executable, "-m", "leadglass.cli", "assess", "exposure", "--scope", str(scope)]
        taken: dict[str, object] = dict(timed([*command, "--json", str(report)]))
        totals = json.loads(report.read_text())["totals"]
    return taken | {name: f"{totals[name]['value']} {totals[name]['bound']}" for name in ("studies", "patients")}


def main() -> None:
    parser = argparse.ArgumentParser("bench.exposure_count")
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--doubles", nargs="*", choices=("served", "canned"), default=["served", "canned"])
    parser.add_argument("--orthanc", type=int, default=5_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--label", default="exposure-count")
    arguments = parser.parse_args()
    results: dict[str, object] = {"processors": os.cpu_count(), "kernel": platform.release()}
    for name in arguments.doubles:
        with double(arguments.studies, canned=name == "canned") as peer:
            results[name] = compared(peer, arguments.repeat) | {"run": whole_run(peer.port)}
    if arguments.orthanc:
        with orthanc(arguments.orthanc) as peer:
            results["orthanc"] = compared(peer, arguments.repeat) | {"run": whole_run(peer.port)}
    (RESULTS / f"{arguments.label}.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
