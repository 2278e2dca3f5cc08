"""The servers that are compared. Each starts in a fresh directory, on loopback, with TLS and client certificates."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from bench.pki import Identity, make_identities

CLIENT_AET = "BENCH"
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


class Ability(StrEnum):
    STORE = "store"
    FIND = "find"
    GET = "get"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom a client connects."""

    host: str
    port: int
    called_aet: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `import_command` takes a folder as its last argument."""

    name: str
    process: "subprocess.Popen[bytes]"
    endpoint: Endpoint
    import_command: tuple[str, ...] = ()
    import_environment: Mapping[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Peer(Protocol):
    """A kind of server."""

    @property
    def name(self) -> str: ...
    @property
    def abilities(self) -> frozenset[Ability]: ...
    def version(self) -> str | None:
        """None when the program is not installed."""
        ...

    def start(self, home: Path, nodelay: bool) -> Server:
        """Start in the empty directory `home`; return once it answers C-ECHO. Raises RuntimeError if it dies."""
        ...


def environment(nodelay: bool) -> dict[str, str]:
    """The environment of servers and clients. dcmtk and Orthanc turn Nagle's algorithm off when TCP_NODELAY is set."""
    kept = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    return kept | ({"TCP_NODELAY": "1"} if nodelay else {})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Orthanc:
    """Debian's Orthanc with its default settings and index (SQLite), TLS added; no plugins."""

    name: str = "orthanc"
    abilities: frozenset[Ability] = frozenset(Ability)

    def version(self) -> str | None:
        return _version("Orthanc", "--version")

    def start(self, home: Path, nodelay: bool) -> Server:
        server, client = make_identities(home / "pki")
        port, http_port = free_port(), free_port()
        configuration = {
            "StorageDirectory": str(home / "db"),
            "IndexDirectory": str(home / "db"),
            "HttpPort": http_port,
            "DicomPort": port,
            "DicomAet": "ORTHANC",
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(server.certificate),
            "DicomTlsPrivateKey": str(server.key),
            "DicomTlsTrustedCertificates": str(server.authority),
            "DicomModalities": {
                "bench": {"AET": CLIENT_AET, "Host": "127.0.0.1", "Port": 1, "AllowFind": True, "AllowGet": True}
            },
        }
        (home / "orthanc.json").write_text(json.dumps(configuration))
        process = _launch(home, ["Orthanc", str(home / "orthanc.json")], nodelay)
        endpoint = Endpoint("127.0.0.1", port, "ORTHANC", client)
        _await_echo(process, endpoint)
        upload = (sys.executable, "-m", "bench.upload", f"http://127.0.0.1:{http_port}")
        return Server(self.name, process, endpoint, upload)


@dataclass(frozen=True, slots=True)
class Storescp:
    """dcmtk's storescp, a process an association: the lower bound, as it neither syncs, seals nor indexes."""

    name: str = "storescp"
    abilities: frozenset[Ability] = frozenset({Ability.STORE})

    def version(self) -> str | None:
        return _version("storescp", "--version")

    def start(self, home: Path, nodelay: bool) -> Server:
        server, client = make_identities(home / "pki")
        received = home / "received"
        received.mkdir()
        port = free_port()
        tls = ("+tls", str(server.key), str(server.certificate), "+cf", str(server.authority))
        process = _launch(home, ["storescp", "--fork", *tls, "-od", str(received), str(port)], nodelay)
        endpoint = Endpoint("127.0.0.1", port, "STORESCP", client)
        _await_echo(process, endpoint)
        return Server(self.name, process, endpoint)


@dataclass(frozen=True, slots=True)
class Leadglass:
    """Leadglass as installed beside this interpreter, driven by its command line alone."""

    name: str = "leadglass"
    abilities: frozenset[Ability] = frozenset(Ability)

    def version(self) -> str | None:
        if subprocess.run([self._program(), "serve", "--help"], capture_output=True, check=False).returncode:
            return None
        return _version(sys.executable, "-c", "import leadglass; print(leadglass.__version__)")

    @staticmethod
    def _program() -> str:
        return str(Path(sys.executable).with_name("leadglass"))

    def start(self, home: Path, nodelay: bool) -> Server:
        places = {"LEADGLASS_DATA": str(home / "data"), "LEADGLASS_KEYS": str(home / "keys")}
        self._command(places, "init")
        roles = ("--aet", CLIENT_AET, "--role", "modality", "--role", "clinician")
        self._command(places, "device", "add", "bench", *roles, "--out", str(home / "device"))
        process = _launch(
            home, [self._program(), "serve", "--dimse-port", str(free_port()), "--https-port", "0"], nodelay, places
        )
        host, port = _await_ready_line(process, home / "log")
        device = home / "device"
        identity = Identity(device / "bench.key", device / "bench.crt", device / "ca.crt")
        endpoint = Endpoint(host, port, "LEADGLASS", identity)
        _await_echo(process, endpoint)
        return Server(self.name, process, endpoint, (self._program(), "import"), places)

    def _command(self, places: Mapping[str, str], *arguments: str) -> None:
        command = [self._program(), *arguments]
        run = subprocess.run(command, env=environment(True) | dict(places), capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"leadglass {' '.join(arguments)} ended with {run.returncode}: {run.stderr}{run.stdout}")


PEERS: tuple[Peer, ...] = (Orthanc(), Storescp(), Leadglass())


def _version(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.splitlines()[0].strip("$ ") if run.returncode == 0 else None


def _launch(
    home: Path, command: list[str], nodelay: bool, extra: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    """Its output goes to `home`/log."""
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=home, env=environment(nodelay) | dict(extra or {}), stdout=log, stderr=subprocess.STDOUT
        )


def _await_ready_line(process: "subprocess.Popen[bytes]", log: Path) -> tuple[str, int]:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                word, dimse, _https = line.split()
                if word == "ready":
                    host, _, port = dimse.removeprefix("dimse-tls=").rpartition(":")
                    return host, int(port)
        time.sleep(0.05)
    process.kill()
    raise RuntimeError(f"leadglass serve did not become ready: {log.read_text(errors='replace')}")


def _await_echo(process: "subprocess.Popen[bytes]", endpoint: Endpoint) -> None:
    identity = endpoint.identity
    tls = ["+tls", str(identity.key), str(identity.certificate), "+cf", str(identity.authority)]
    titles = ["-aet", CLIENT_AET, "-aec", endpoint.called_aet]
    command = ["echoscu", *tls, *titles, endpoint.host, str(endpoint.port)]
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(f"the server does not answer C-ECHO at port {endpoint.port}")
