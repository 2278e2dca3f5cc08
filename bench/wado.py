"""WADO-RS and STOW-RS beside Orthanc with its DICOMweb plugin: `python -m bench.wado [--slices N]`.

Orthanc is measured twice, over TLS like Leadglass and in the clear, and so is what Python's TLS can move to the same
client: all in one run, one after another in each round. Processor time is the server's.
"""

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Final

from bench import corpora
from bench.clients import Client, finish
from bench.corpora import Corpus
from bench.measure import cpu_seconds, high_water
from bench.pki import make_identities
from bench.web_servers import PATIENCE, WebServer, has_orthanc, leadglass, orthanc

RESULTS: Final = Path(__file__).parent / "results" / "wado.json"
FILES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
#: Orthanc's plugin takes it for frames too; without a transfer syntax it decodes nothing here either.
FRAME: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
CLIENTS: Final = (1, 4)
_BUFFER: Final = 1024 * 1024
_BOUNDARY: Final = "benchmark"


def fetch(server: WebServer, path: str, accept: str, times: int) -> list[tuple[float, int]]:
    """Seconds from request to last byte, and bytes, of each of some requests over one connection."""
    connection = server.connect()
    connection.connect()
    buffer = memoryview(bytearray(_BUFFER))
    headers = {"Accept": accept, **({"Authorization": server.authorization} if server.authorization else {})}
    results = []
    for _ in range(times):
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        size = 0
        while count := answer.readinto(buffer):
            size += count
        if answer.status != 200:
            raise RuntimeError(f"{server.name} answers {answer.status} to {path}")
        results.append((time.perf_counter() - started, size))
    connection.close()
    return results


def retrieve(pool: Pool, server: WebServer, path: str, clients: int) -> tuple[float, float]:
    """10^6 bytes a second that so many clients get together, and the server's CPU milliseconds for each of them."""
    before, started = cpu_seconds(server.pid), time.perf_counter()
    done = pool.starmap(fetch, [(server, path, FILES, 1)] * clients, 1)
    spent, cpu = time.perf_counter() - started, cpu_seconds(server.pid) - before
    megabytes = sum(size for results in done for _, size in results) / 1e6
    return megabytes / spent, 1000 * cpu / megabytes


def retrieved(servers: Mapping[WebServer, str], rounds: int) -> dict[str, dict[str, object]]:
    """Of each server by its name, given the path of a study: medians, and the runs."""
    runs: dict[str, dict[str, list[tuple[float, float]]]] = {server.name: {} for server in servers}
    with multiprocessing.get_context("spawn").Pool(max(CLIENTS)) as pool:
        for server, path in servers.items():
            retrieve(pool, server, path, max(CLIENTS))  # started, and all in the page cache
        for _ in range(rounds):
            for clients in CLIENTS:
                for server, path in servers.items():
                    done = retrieve(pool, server, path, clients)
                    runs[server.name].setdefault(f"study x{clients}", []).append(done)
    return {name: {kind: _medians(each) for kind, each in kinds.items()} for name, kinds in runs.items()}


def _medians(runs: Sequence[tuple[float, float]]) -> dict[str, object]:
    rates, costs = zip(*runs, strict=True)
    return {
        "MB/s": round(statistics.median(rates), 1),
        "server CPU ms/MB": round(statistics.median(costs), 3),
        "runs MB/s": [round(rate, 1) for rate in rates],
    }


def frames(server: WebServer, paths: Sequence[str]) -> dict[str, float]:
    """Milliseconds a frame, one after another over one connection."""
    spent = sorted(1000 * seconds for path in paths for seconds, _ in fetch(server, path, FRAME, 2)[1:])
    return {"p50_ms": round(statistics.median(spent), 2), "p90_ms": round(spent[len(spent) * 9 // 10], 2)}


def store(server: WebServer, files: Sequence[Path]) -> float:
    """Objects a second by STOW-RS in one request."""
    start = f"\r\n--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    end = f"\r\n--{_BOUNDARY}--\r\n".encode()
    length = sum(len(start) + path.stat().st_size for path in files) + len(end)
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}',
        "Content-Length": str(length),
        "Accept": "application/dicom+json",
        **({"Authorization": server.authorization} if server.authorization else {}),
    }

    def body() -> Iterator[bytes]:
        for path in files:
            yield start + path.read_bytes()
        yield end

    connection = server.connect()
    started = time.perf_counter()
    connection.request("POST", "/dicom-web/studies", body(), headers)
    answer = connection.getresponse()
    answer.read()
    spent = time.perf_counter() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{server.name} answers {answer.status} to a store request")
    return round(len(files) / spent, 1)


def store_by_dimse(server: WebServer, files: Sequence[Path]) -> float:
    started = time.perf_counter()
    finish(Client(server.dicom).store(files))
    return round(len(files) / (time.perf_counter() - started), 1)


def _send_zeros(listener: socket.socket, context: ssl.SSLContext, mebibytes: int) -> None:
    """A bare server: one answer of zeros for each connection's requests."""
    zeros = bytes(_BUFFER)
    while True:
        plain, _ = listener.accept()
        with context.wrap_socket(plain, server_side=True) as connection:
            while connection.recv(65536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (mebibytes * _BUFFER))
                for _ in range(mebibytes):
                    connection.sendall(zeros)


def _zeros(port: "multiprocessing.Queue[int]", key: Path, certificate: Path, mebibytes: int) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port.put(listener.getsockname()[1])
        _send_zeros(listener, context, mebibytes)


@contextmanager
def bare_tls(home: Path, dicom: WebServer, mebibytes: int) -> Iterator[WebServer]:
    """What Python's TLS can move: nothing but `sendall` of 1 MiB at a time."""
    identity, _ = make_identities(home / "pki")
    spawn = multiprocessing.get_context("spawn")
    port = spawn.Queue()
    process = spawn.Process(target=_zeros, args=(port, identity.key, identity.certificate, mebibytes), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        yield WebServer("bare TLS", dicom.dicom, port.get(timeout=PATIENCE), process.pid, identity.authority)
    finally:
        process.kill()
        process.join()


def filled(server: WebServer, dimse: Sequence[Path], web: Sequence[Path]) -> dict[str, object]:
    """One study by DIMSE, another one by STOW-RS."""
    by_dimse, by_web = store_by_dimse(server, dimse), store(server, web)
    return {"c-store objects/s": by_dimse, "stow objects/s": by_web, "stow ÷ c-store": round(by_web / by_dimse, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", default="/var/tmp", help="on a disk")  # noqa: S108
    options = parser.parse_args()
    slices = options.slices
    first = Corpus("wado", "CT", corpora.ct(1).sop_class, slices, 512, 512, series=slices)
    second = Corpus("stow", "CT", corpora.ct(1).sop_class, slices, 512, 512, series=slices)
    study = f"/dicom-web/studies/{first.study_uid(0)}"
    series = f"{study}/series/{first.series_uid(0)}"
    some = [f"{series}/instances/{first.instance_uid(n)}/frames/1" for n in range(0, slices, max(1, slices // 100))]
    result: dict[str, object] = {
        "slices": slices,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load average before": round(os.getloadavg()[0], 1),
    }
    with tempfile.TemporaryDirectory(dir=options.work) as directory, ExitStack() as stack:
        work = Path(directory)
        for name in ("leadglass", "orthanc", "orthanc-tls", "bare"):
            (work / name).mkdir()
        files, others = corpora.write(first, work), corpora.write(second, work)
        own = stack.enter_context(leadglass(work / "leadglass", 0))
        servers = [own]
        if has_orthanc():
            if shutil.which("cc"):
                servers.append(stack.enter_context(orthanc(work / "orthanc-tls", tls=True)))
            servers.append(stack.enter_context(orthanc(work / "orthanc")))
        measured = {server.name: filled(server, files, others) for server in servers}
        for server in servers:
            measured[server.name]["frame"] = frames(server, some)
        bare = stack.enter_context(bare_tls(work / "bare", own, slices // 2))
        for name, rates in retrieved(dict.fromkeys(servers, study) | {bare: "/"}, options.rounds).items():
            measured.setdefault(name, {}).update(rates)
        measured[own.name]["peak resident MB"] = round(high_water(own.pid) / 1e6)
        result |= measured
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
