"""The web servers that are compared: Leadglass, and Debian's Orthanc with its DICOMweb plugin."""

import http.client
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.index_scale import build
from bench.peers import CLIENT_AET, Endpoint, environment, free_port
from bench.pki import Identity, make_identities
from leadglass.crypto.keys import KeyDirectory

PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
JSON: Final = "application/dicom+json"
PATIENCE: Final = 60.0
#: Debian 12's civetweb, which is Orthanc's web server, looks for this function in `libssl.so` and calls it unfound with
#: the first request over TLS: since OpenSSL 3 it has another name.
_MISSING: Final = """
typedef struct ssl_st SSL;
typedef struct x509_st X509;
X509 *SSL_get1_peer_certificate(const SSL *);
X509 *SSL_get_peer_certificate(const SSL *ssl) { return SSL_get1_peer_certificate(ssl); }
"""


@dataclass(frozen=True, slots=True)
class WebServer:
    """`authorization` goes with each request. Without an `authority` it is spoken to in the clear."""

    name: str
    dicom: Endpoint
    port: int
    pid: int
    authority: Path | None = None
    authorization: str = ""

    def connect(self) -> http.client.HTTPConnection:
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        context = ssl.create_default_context(cafile=str(self.authority))
        return http.client.HTTPSConnection("localhost", self.port, context=context, timeout=PATIENCE)

    def get(self, connection: http.client.HTTPConnection, path: str, encoding: str = "") -> bytes:
        """`encoding`: what may be sent besides plain bytes. The body is returned as it comes."""
        given = {"Authorization": self.authorization} if self.authorization else {}
        coded = {"Accept-Encoding": encoding} if encoding else {}
        connection.request("GET", "/dicom-web" + path, headers={"Accept": JSON, **given, **coded})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.name} answers {answer.status} to {path}: {body[:500]!r}")
        return body


@contextmanager
def leadglass(home: Path, studies: int) -> Iterator[WebServer]:
    """Leadglass as its command line makes it; `studies` made-up ones in its index. What is at `home` already is used as
    it is."""
    program = Path(sys.executable).with_name("leadglass")
    places = {"LEADGLASS_DATA": str(home / "data"), "LEADGLASS_KEYS": str(home / "keys")}
    settings = environment(True) | places

    def command(*words: str) -> str:
        run = subprocess.run([program, *words], env=settings, capture_output=True, text=True, check=True)
        return run.stdout

    home.mkdir(parents=True, exist_ok=True)
    if not (home / "device").exists():
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
            yield WebServer("leadglass", endpoint, https, process.pid, device / "ca.crt", f"Bearer {token}")
        finally:
            process.terminate()


def has_orthanc() -> bool:
    return shutil.which("Orthanc") is not None and PLUGIN.exists()


@contextmanager
def orthanc(home: Path, tls: bool = False) -> Iterator[WebServer]:
    """Orthanc without sign-in, in the clear unless `tls` is asked for, which takes a C compiler."""
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
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Ssl": tls},
    }
    settings = environment(True)
    if tls:
        both = home / "https.pem"
        both.write_bytes(server.certificate.read_bytes() + server.key.read_bytes())
        configuration |= {"SslEnabled": True, "SslCertificate": str(both)}
        settings |= {"LD_LIBRARY_PATH": str(_completed_openssl(home))}
    (home / "orthanc.json").write_text(json.dumps(configuration))
    with (home / "log").open("wb") as log:
        command = ["Orthanc", str(home / "orthanc.json")]
        process = subprocess.Popen(command, env=settings, stdout=log, stderr=log, cwd=home)
    try:
        name, authority = ("orthanc over TLS", server.authority) if tls else ("orthanc in the clear", None)
        found = WebServer(name, Endpoint("127.0.0.1", dicom, "ORTHANC", client), port, process.pid, authority)
        _await(found, process, home / "log")
        yield found
    finally:
        process.terminate()
        process.wait()


def _completed_openssl(home: Path) -> Path:
    """A folder with a `libssl.so` that is the system's with the missing function."""
    folder = home / "openssl"
    folder.mkdir()
    source, library = folder / "missing.c", folder / "libssl.so"
    source.write_text(_MISSING)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-l:libssl.so.3"], check=True)
    return folder


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
