"""WADO-RS and STOW-RS beside Orthanc with its DICOMweb plugin: `python -m bench.wado [--slices N]`.

Orthanc answers in the clear (see `bench.dicomweb`), so it is spared the encryption that Leadglass always does. What
Python's TLS can move on this machine is measured in the same run, with the same client.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import corpora
from bench.clients import Client, finish
from bench.corpora import Corpus
from bench.dicomweb import PATIENCE, PLUGIN, WebServer, leadglass, orthanc
from bench.pki import make_identities

RESULTS: Final = Path(__file__).parent / "results" / "wado.json"
FILES: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
#: Orthanc's plugin takes it for frames too; without a transfer syntax it decodes nothing here either.
FRAME: Final = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
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


def retrieve(server: WebServer, path: str, clients: int, rounds: int) -> float:
    """10^6 bytes a second that so many clients get together, each in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(clients) as pool:
        pool.starmap(fetch, [(server, path, FILES, 1)] * clients)  # started, and all in the page cache
        started = time.perf_counter()
        done = pool.starmap(fetch, [(server, path, FILES, rounds)] * clients)
        spent = time.perf_counter() - started
    return round(sum(size for results in done for _, size in results) / spent / 1e6, 1)


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
    try:
        yield WebServer("bare", dicom.dicom, port.get(timeout=PATIENCE), identity.authority)
    finally:
        process.kill()
        process.join()


def measure(server: WebServer, work: Path, slices: int, rounds: int) -> dict[str, object]:
    """A fresh server gets one study by DIMSE, another one by STOW-RS, and gives the first one back."""
    dimse = Corpus("wado", "CT", corpora.ct(1).sop_class, slices, 512, 512, series=slices)
    web = Corpus("stow", "CT", corpora.ct(1).sop_class, slices, 512, 512, series=slices)
    result: dict[str, object] = {
        "c-store objects/s": store_by_dimse(server, corpora.write(dimse, work)),
        "stow objects/s": store(server, corpora.write(web, work)),
    }
    study = f"/dicom-web/studies/{dimse.study_uid(0)}"
    for clients in (1, 4):
        result[f"study x{clients} MB/s"] = retrieve(server, study, clients, rounds)
    series = f"{study}/series/{dimse.series_uid(0)}"
    numbers = range(0, slices, max(1, slices // 100))
    result["frame"] = frames(server, [f"{series}/instances/{dimse.instance_uid(n)}/frames/1" for n in numbers])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    result: dict[str, object] = {"slices": options.slices, "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for name in ("leadglass", "orthanc", "bare"):
            (work / name).mkdir()
        with leadglass(work / "leadglass", 0) as server:
            with bare_tls(work / "bare", server, options.slices // 2) as bare:
                result["bare TLS MB/s"] = retrieve(bare, "/", 1, options.rounds)
            result["leadglass"] = measure(server, work, options.slices, options.rounds)
        if shutil.which("Orthanc") and PLUGIN.exists():
            with orthanc(work / "orthanc") as server:
                result["orthanc"] = measure(server, work, options.slices, options.rounds)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
