"""The auditor on 1,000 addresses, beside nmap with dicom-ping: `python -m bench.exposure [--addresses N] [--repeat N]`.

Runs itself in a network namespace of its own (root needed), where one network never answers.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leadglass.dicom.uids import IMPLICIT_LE, STUDY_ROOT_FIND, VERIFICATION
from leadglass.dimse.association import Association
from leadglass.dimse.events import AssociationRequested, CommandReceived, ReleaseRequested
from leadglass.dimse.items import UserInformation
from leadglass.dimse.message import CEchoRq, CEchoRsp, CFindRq, CFindRsp
from leadglass.dimse.negotiation import choose
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from leadglass.model import AssociationLimits

RESULTS = Path(__file__).parent / "results"
PORTS = (104, 2345, 2761, 2762, 4242, 8042, 8043, 8080, 8443, 11112)
OPEN = 11112
LIMITS = AssociationLimits()
SILENT = "10.77.{}.{}"
LOOPBACK = "127.77.{}.{}"


class Answering(asyncio.Protocol):
    """Accepts C-ECHO and C-FIND from anybody, and holds nothing."""

    def __init__(self) -> None:
        self._association = Association.acceptor(LIMITS)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._association.receive(data):
                self._on(event)
        except LeadglassError:
            self._write(self._association.abort())

    def _on(self, event: object) -> None:
        association = self._association
        if isinstance(event, AssociationRequested):
            results = choose(event.rq.contexts, lambda uid: (IMPLICIT_LE,) if uid in _SUPPORTED else ())
            self._write(association.accept(results, UserInformation(LIMITS.max_pdu, "1.2.3.4", "BENCH")))
        elif isinstance(event, ReleaseRequested):
            self._write(association.release_reply())
        elif isinstance(event, CommandReceived) and isinstance(event.message, CEchoRq):
            self._write(association.reply(event.context_id, CEchoRsp(event.message.message_id, SUCCESS)))
        elif isinstance(event, CommandReceived) and isinstance(event.message, CFindRq):
            self._write(association.reply(event.context_id, CFindRsp(event.message.message_id, SUCCESS)))

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


_SUPPORTED = frozenset({VERIFICATION, STUDY_ROOT_FIND})


@contextmanager
def answering(addresses: list[str]) -> Iterator[None]:
    """A process of its own, so that its work is not on the auditor's account."""
    child = os.fork()
    if child == 0:
        asyncio.run(_listen(addresses))
        os._exit(0)
    try:
        while subprocess.run(["bash", "-c", f"echo > /dev/tcp/{addresses[-1]}/{OPEN}"], capture_output=True).returncode:
            pass
        yield
    finally:
        os.kill(child, 15)
        os.waitpid(child, 0)


async def _listen(addresses: list[str]) -> None:
    loop = asyncio.get_running_loop()
    for address in addresses:
        await loop.create_server(Answering, address, OPEN, backlog=64)
    await asyncio.Event().wait()


def addresses_of(pattern: str, many: int) -> list[str]:
    return [pattern.format(number // 250 + 1, number % 250 + 1) for number in range(many)]


def scope_file(addresses: list[str], ports: tuple[int, ...], rate: str = "") -> str:
    hosts = ", ".join(f'"{address}/32"' for address in addresses)
    return (
        '[organisation]\nname = "Bench"\nauthorised_by = "Bench"\nfrom = 2020-01-01\nuntil = 2099-01-01\n'
        f"[targets]\nnetworks = [{hosts}]\nports = {list(ports)}\n[rate]\n{rate}\n"
    )


def auditor(folder: Path, addresses: list[str]) -> list[str]:
    """All that it does at a door, at the pace that it keeps unless told otherwise."""
    scope, report = folder / "scope.toml", str(folder / "report.json")
    scope.write_text(scope_file(addresses, PORTS))
    return [sys.executable, "-m", "leadglass.cli", "assess", "exposure", "--scope", str(scope), "--json", report]


def reports(folder: Path, addresses: list[str]) -> list[str]:
    """The same, and every form of the report; the process that typesets the PDF is not in the figures."""
    forms = ("html", "pdf", "sarif", "csv")
    return [*auditor(folder, addresses), *(word for form in forms for word in (f"--{form}", str(folder / form)))]


def ping(folder: Path, addresses: list[str]) -> list[str]:
    """As much as dicom-ping does, at the fastest pace that a scope may allow: nmap keeps none."""
    scope = folder / "ping.toml"
    scope.write_text(scope_file(addresses, PORTS, "connections = 10000\nper_host = 10"))
    return [sys.executable, "-m", "bench.exposure_ping", str(scope)]


def nmap(folder: Path, addresses: list[str]) -> list[str]:
    (folder / "targets").write_text("\n".join(addresses))
    ports = ",".join(map(str, PORTS))
    return ["nmap", "-n", "-Pn", "-p", ports, "--script", "dicom-ping", "-iL", str(folder / "targets"), "--open"]


def timed(command: list[str]) -> dict[str, float]:
    """Seconds on the clock and of the processor, and the peak of resident memory in 10⁶ bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise RuntimeError(f"{command[:4]} ended with {status}")
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "megabytes": round(usage.ru_maxrss / 1e3, 1),
    }


#: `full`: the whole assessment; `reports`: with every form of the report; `ping`: the auditor's parts doing what
#: dicom-ping does; `nmap`: dicom-ping.
PROGRAMS = {"full": auditor, "reports": reports, "ping": ping, "nmap": nmap}


def side_by_side(addresses: list[str], repeat: int, programs: list[str]) -> dict[str, object]:
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in programs}
    for _ in range(repeat):
        for name in programs:
            with tempfile.TemporaryDirectory() as folder:
                runs[name].append(timed(PROGRAMS[name](Path(folder), addresses)))
    medians = {name: statistics.median(run["seconds"] for run in each) for name, each in runs.items()}
    others = [name for name in programs if name != "nmap" and "nmap" in programs]
    ratios = {f"nmap_by_{name}": round(medians["nmap"] / medians[name], 2) for name in others}
    return {"runs": runs, "median": medians, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser("bench.exposure")
    parser.add_argument("--addresses", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--label", default="exposure")
    parser.add_argument("--scenarios", nargs="+", default=["closed", "silent", "answering", "mixed"])
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=["full", "ping", "nmap"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside:
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-m", "bench.exposure", *sys.argv[1:], "--inside"])  # noqa: S606
    links = ("link set lo up", "link add quiet type ifb", "link set quiet up", "address add 10.77.255.1/16 dev quiet")
    for command in links:
        subprocess.run(["ip", *command.split()], check=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    loopback = addresses_of(LOOPBACK, arguments.addresses)
    results: dict[str, object] = {
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "addresses": arguments.addresses,
        "ports": len(PORTS),
    }
    if "closed" in arguments.scenarios:
        results["closed"] = side_by_side(loopback, arguments.repeat, arguments.programs)
    silent = addresses_of(SILENT, arguments.addresses)
    if "silent" in arguments.scenarios:
        results["silent"] = side_by_side(silent, arguments.repeat, arguments.programs)
    if "answering" in arguments.scenarios:
        with answering(loopback):
            results["answering"] = side_by_side(loopback, arguments.repeat, arguments.programs)
    if "mixed" in arguments.scenarios:
        # A hospital's network: of ten addresses one answers, two are closed, seven are nobody's.
        some, most = arguments.addresses // 10, arguments.addresses * 3 // 10
        with answering(loopback[:some]):
            results["mixed"] = side_by_side([*loopback[:most], *silent[most:]], arguments.repeat, arguments.programs)
    (RESULTS / f"{arguments.label}.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
