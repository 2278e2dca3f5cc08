"""Real archives on loopback addresses: Orthanc, dcmtk's dcmqrscp and storescp, pynetdicom's qrscp."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leadglass.dicom.uids import VERIFICATION
from leadglass.dimse.negotiation import propose
from leadglass.dimse.requestor import Requestor
from leadglass.errors import NotAvailable
from tests.lab.truth import Truth, write_files
from tests.listening import free_port, until_it_listens
from tests.served import TIMEOUT, peer_program


@dataclass(frozen=True)
class Tls:
    """Files in PEM; `authority` is whom clients' certificates must come from."""

    key: Path
    certificate: Path
    authority: Path


@contextmanager
def running(command: Sequence[str], folder: Path, address: str, *ports: int) -> Iterator[int]:
    """A server in `folder`; yields its first port once it listens on all."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            for port in ports:
                until_it_listens(process, folder / "log", port, address)
            yield ports[0]
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def orthanc(address: str, folder: Path, truth: Truth, settings: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yields the ports of DICOM and HTTP. Filled over DICOM before `settings` close it."""
    folder.mkdir(parents=True)
    program = peer_program("Orthanc")
    ports = free_port(address), free_port(address)
    base: dict[str, Any] = {
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "DicomPort": ports[0],
        "HttpPort": ports[1],
        "HttpBindAddresses": [address],
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False,
        "Plugins": [],
    }
    if truth.studies:
        (folder / "filling.json").write_text(json.dumps(base))
        with running([program, "filling.json"], folder, address, ports[0]):
            fill(address, ports[0], "ORTHANC", folder / "files", truth)
    (folder / "orthanc.json").write_text(json.dumps(base | settings))
    with running([program, "orthanc.json"], folder, address, *ports):
        yield ports


@contextmanager
def dcmqrscp(address: str, folder: Path, truth: Truth, title: str) -> Iterator[int]:
    store = folder / title
    store.mkdir(parents=True)
    port = free_port(address)
    lines = (
        f"NetworkTCPPort = {port}",
        "MaxPDUSize = 16384",
        "MaxAssociations = 16",
        "HostTable BEGIN",
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"{title} {store} RW (1000, 1024mb) ANY",
        "AETable END",
    )
    (folder / "dcmqrscp.cfg").write_text("\n".join(lines) + "\n")
    with running([peer_program("dcmqrscp"), "-c", "dcmqrscp.cfg", str(port)], folder, address, port):
        fill(address, port, title, folder / "files", truth)
        yield port


@contextmanager
def storescp(address: str, folder: Path, tls: Tls | None = None, *, anybody: bool = False) -> Iterator[int]:
    """`anybody`: TLS without asking for the client's certificate."""
    folder.mkdir(parents=True)
    port = free_port(address)
    options: list[str] = []
    if tls is not None:
        options = ["+tls", str(tls.key), str(tls.certificate), "+cf", str(tls.authority)]
        options += ["-ic"] if anybody else ["-rc"]
    with running([peer_program("storescp"), "--fork", *options, "-od", str(folder), str(port)], folder, address, port):
        yield port


@contextmanager
def qrscp(address: str, folder: Path, truth: Truth) -> Iterator[int]:
    """pynetdicom's application."""
    folder.mkdir(parents=True)
    port = free_port(address)
    places = ["--database-location", str(folder / "db"), "--instance-location", str(folder / "instances")]
    command = [sys.executable, "-m", "pynetdicom", "qrscp", "--port", str(port), "-ba", address, *places]
    (folder / "instances").mkdir()
    with running(command, folder, address, port):
        await_echo(address, port, "QRSCP")
        fill(address, port, "QRSCP", folder / "files", truth)
        yield port


def await_echo(address: str, port: int, title: str) -> None:
    while True:
        try:
            contexts = propose([(VERIFICATION, ["1.2.840.10008.1.2"])])
            with Requestor.connect(address, port, calling_ae="LAB", called_ae=title, contexts=contexts) as requestor:
                requestor.echo()
                return
        except NotAvailable:
            continue


def fill(address: str, port: int, title: str, folder: Path, truth: Truth) -> None:
    write_files(truth, folder)
    command = [peer_program("storescu"), "-aec", title, "+sd", address, str(port), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT, env={"TCP_NODELAY": "1"})
