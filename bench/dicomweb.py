"""QIDO-RS and metadata beside Orthanc with its DICOMweb plugin: `python -m bench.dicomweb [--slices N]`.

With `--studies N` searches are also measured in an index of N made-up studies, which only Leadglass gets. Each number
is from request to last byte, one after another over one connection that stays open.
"""

import argparse
import http.client
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from pydicom.uid import CTImageStorage

from bench import corpora
from bench.clients import Client, finish
from bench.corpora import Corpus
from bench.index_scale import Questions, build
from bench.peers import CLIENT_AET, Endpoint, environment, free_port
from bench.pki import Identity, make_identities
from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom.dictionary import keyword_of
from leadglass.model import Attributes

RESULTS: Final = Path(__file__).parent / "results" / "dicomweb.json"
PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
JSON: Final = "application/dicom+json"
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True)
class WebServer:
    """`authorization` goes with each request. Without an `authority` it is spoken to in the clear."""

    name: str
    dicom: Endpoint
    port: int
    authority: Path | None = None
    authorization: str = ""

    def connect(self) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=PATIENCE)

    def get(self, connection: http.client.HTTPConnection, path: str) -> bytes:
        given = {"Authorization": self.authorization} if self.authorization else {}
        connection.request("GET", "/dicom-web" + path, headers={"Accept": JSON, **given})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.name} answers {answer.status} to {path}: {body[:500]!r}")
        return body


@contextmanager
def leadglass(home: Path, studies: int) -> Iterator[WebServer]:
    """Leadglass as its command line makes it; `studies` made-up ones in its index."""
    program = Path(sys.executable).with_name("leadglass")
    places = {"LEADGLASS_DATA": str(home / "data"), "LEADGLASS_KEYS": str(home / "keys")}
    settings = environment(True) | places

    def command(*words: str) -> str:
        run = subprocess.run([program, *words], env=settings, capture_output=True, text=True, check=True)
        return run.stdout

    command("init")
    if studies:
        index = home / "data" / "index.db"
        index.unlink()
        build(index, KeyDirectory.open(home / "keys").root().derive("index"), studies)
    command("device", "add", "bench", "--aet", CLIENT_AET, "--role", "modality", "--out", str(home / "device"))
    command("user", "add", "bench", "--role", "steward")
    token = command("token", "create", "--user", "bench", "--expires", "8h").splitlines()[-1]
    serve = [str(program), "serve", "--dimse-port", "0", "--https-port", "0"]
    with subprocess.Popen(serve, env=settings, stdout=subprocess.PIPE, text=True, cwd=home) as process:
        try:
            assert process.stdout is not None
            ready = dict(word.split("=") for word in process.stdout.readline().split()[1:])
            device = home / "device"
            identity = Identity(device / "bench.key", device / "bench.crt", device / "ca.crt")
            dicom, https = (int(ready[door].rpartition(":")[2]) for door in ("dimse-tls", "https"))
            endpoint = Endpoint("127.0.0.1", dicom, "LEADGLASS", identity)
            yield WebServer("leadglass", endpoint, https, device / "ca.crt", f"Bearer {token}")
        finally:
            process.terminate()


@contextmanager
def orthanc(home: Path) -> Iterator[WebServer]:
    """Debian's Orthanc with its DICOMweb plugin, without sign-in and in the clear: with its HTTPS it dies of the first
    request (1.10.1). It is spared the encryption."""
    server, client = make_identities(home / "pki")
    dicom, port = free_port(), free_port()
    configuration = {
        "StorageDirectory": str(home / "db"),
        "IndexDirectory": str(home / "db"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "AuthenticationEnabled": False,
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(server.certificate),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(server.authority),
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (home / "orthanc.json").write_text(json.dumps(configuration))
    with (home / "log").open("wb") as log:
        command = ["Orthanc", str(home / "orthanc.json")]
        process = subprocess.Popen(command, env=environment(True), stdout=log, stderr=log, cwd=home)
    try:
        found = WebServer("orthanc", Endpoint("127.0.0.1", dicom, "ORTHANC", client), port)
        _await(found, process, home / "log")
        yield found
    finally:
        process.terminate()
        process.wait()


def _await(server: WebServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get(server.connect(), "/studies?limit=1")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{server.name} does not answer: {log.read_text(errors='replace')[-2000:]}")


def timed(server: WebServer, rounds: int, path: Callable[[], str]) -> dict[str, float]:
    """Milliseconds and bytes of `rounds` requests, the first of them apart: it may have more to do."""
    connection = server.connect()
    server.get(connection, "/studies?limit=1")
    spent, size = [], 0
    for _ in range(rounds):
        asked = path()
        started = time.perf_counter()
        size = len(server.get(connection, asked))
        spent.append((time.perf_counter() - started) * 1000)
    connection.close()
    first, rest = spent[0], sorted(spent[1:] or spent)
    p99 = rest[min(len(rest) - 1, len(rest) * 99 // 100)]
    return {
        "first_ms": round(first, 2),
        "p50_ms": round(rest[len(rest) // 2], 2),
        "p99_ms": round(p99, 2),
        "bytes": size,
    }


def _slices(server: WebServer, work: Path, slices: int, rounds: int) -> dict[str, dict[str, float]]:
    corpus = Corpus("slices", "CT", CTImageStorage, slices, 64, 64, series=slices)
    finish(Client(server.dicom).store(corpora.write(corpus, work)))
    study, series = f"/studies/{corpus.study_uid(0)}", f"/series/{corpus.series_uid(0)}"
    paths = {
        "metadata of the series": f"{study}{series}/metadata",
        "series of a study": f"{study}/series",
        "instances of a series": f"{study}{series}/instances",
        "PatientID": f"/studies?PatientID={corpus.patient_id(0)}",
    }
    return {name: timed(server, rounds, lambda path=path: path) for name, path in paths.items()}  # type: ignore[misc]


def _searches(server: WebServer, studies: int, rounds: int) -> dict[str, dict[str, float]]:
    ask = Questions(studies, [])
    kinds: tuple[Callable[[], Attributes], ...] = (
        *(ask.patient_id, ask.accession, ask.day, ask.day_and_modality, ask.name_prefix),
        *(ask.name_infix, ask.name_infix_common, ask.name_infix_absent, ask.everything),
    )
    return {kind.__name__: timed(server, rounds, lambda kind=kind: _query(kind())) for kind in kinds}  # type: ignore[misc]


def _query(keys: Attributes) -> str:
    return "/studies?" + urlencode({"limit": 50, **{keyword_of(tag): value for tag, value in keys.items()}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--studies", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    result: dict[str, object] = {"slices": options.slices, "studies": options.studies}
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        for name in ("leadglass", "orthanc", "many"):
            (work / name).mkdir()
        with leadglass(work / "leadglass", 0) as server:
            result["leadglass"] = _slices(server, work, options.slices, options.rounds)
        if shutil.which("Orthanc") and PLUGIN.exists():
            with orthanc(work / "orthanc") as server:
                result["orthanc"] = _slices(server, work, options.slices, min(options.rounds, 5))
        if options.studies:
            with leadglass(work / "many", options.studies) as server:
                result["searches"] = _searches(server, options.studies, 10 * options.rounds)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
