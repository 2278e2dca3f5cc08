"""What peers say in words of their own: none of it may come into a report, on whatever door they say it."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.probes import tokens
from leadglass.assess.probes.web import WebProbe
from leadglass.crypto.certificates import create_authority, issue_server
from tests.assess.web_servers import WebManners, dicomweb, facts, probe, serving, way_to
from tests.lab.assessed import run_assessment, scope_text
from tests.lab.scripted import Manners, scripted
from tests.lab.truth import Truth, make

ADDRESS = "127.0.0.1"
SECRET = "Plantedsecret"
NUMBER = 10**30


class _Telling(BaseHTTPRequestHandler):
    """A door whose every header, path and value holds a patient's name or a number beyond all bounds."""

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def version_string(self) -> str:
        return f"Apache/2.4.57 ({SECRET}) {SECRET}/1.0"

    def do_GET(self) -> None:
        system = {
            "DicomAet": SECRET,
            "DatabaseVersion": 6,
            "Version": f"1.{SECRET}",
            "DicomPort": NUMBER,
            "Name": SECRET,
        }
        answers: dict[str, object] = {
            "/system": system,
            "/statistics": {"CountInstances": NUMBER},
            "/dcm4chee-arc/aets": [{"dicomAETitle": SECRET}],
            f"/dcm4chee-arc/aets/{SECRET}/rs/studies": [],
            "/app-config.js": None,
            f"/{SECRET}/studies": [],
        }
        path = self.path.split("?")[0]
        status = 200 if path in answers else 404 if path == "/" else 401
        body = json.dumps(answers.get(path)).encode()
        if path == "/app-config.js":
            body = b"window.config = {qidoRoot: '/" + SECRET.encode() + b"'}"
        self.send_response(status)
        kind = "application/dicom+json" if path.endswith("/studies") else f'image/{SECRET}; name="{SECRET}"'
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("WWW-Authenticate", f'Basic realm="{SECRET}"')
        self.send_header("Warning", f'299 {SECRET} "{SECRET}"')
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _telling_doors(folder: Path) -> Iterator[list[int]]:
    """HTTP, HTTPS with a certificate that is called so too, and DICOM."""
    issued = issue_server(create_authority(SECRET), ["localhost", f"{SECRET.lower()}.test"], "ec")
    (folder / "server.pem").write_bytes(issued.key + issued.certificate.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    manners = Manners(class_uid="1.2.3.536904000", version=SECRET)
    with (
        serving(_Telling) as plain,
        serving(_Telling, context) as secured,
        scripted(ADDRESS, make("51", 4), manners) as (_, dimse),
    ):
        yield [plain, secured, dimse]


def test_no_words_of_a_peer_come_into_a_report(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    options = [word for form in ("html", "csv", "sarif") for word in (f"--{form}", str(run / f"report.{form}"))]
    with _telling_doors(tmp_path) as doors:
        done = run_assessment(run, scope_text([ADDRESS], doors), options)
    written = {path.name: path.read_bytes() for path in run.iterdir()} | {"output": done.output.encode()}
    for words in (SECRET, SECRET.lower(), SECRET.encode().hex(), "536904000", "1" + "0" * 20):
        assert [name for name, content in written.items() if words.encode() in content] == []
    assert {service["protocol"] for service in done.report["hosts"][0]["services"]} == {"http", "https", "dicom"}
    assert done.facts(ADDRESS, doors[0], "other-service")["server"] == "Apache/2.4.57"
    roots = {finding["locator"] for finding in done.report["findings"] if finding["kind"] == "query-open"}
    assert roots >= {"/dcm4chee-arc/aets/***/rs", "/***"}
    assert done.facts(ADDRESS, doors[2], "dimse-accepted")["implementation_version"] == "***"


@pytest.mark.parametrize("number", [NUMBER, -NUMBER, 0, True, None, "5", 1.5])
def test_numbers_that_a_peer_declares_are_bounded(number: object) -> None:
    """A count of 10³⁰ once was an OverflowError, and everything that was seen at the door was lost."""
    pages = {
        "/system": json.dumps({"DicomAet": "A", "DatabaseVersion": 6, "Version": "1.12.1", "DicomPort": number}),
        "/statistics": json.dumps({"CountInstances": number}),
    }
    with serving(dicomweb(Truth(()), WebManners(root="/none", pages=pages))) as port:
        service, _ = probe(port)
    assert service.product == "Orthanc 1.12.1"
    told = facts(service, "web-service", interface="orthanc")["dicom_port"]
    assert isinstance(told, int)
    assert 0 <= told <= 65_535


class _AnotherId(BaseHTTPRequestHandler):
    """An Orthanc that stores what it is sent, and says that it is known by the identifier of somebody else's image."""

    def __init__(self, deleted: list[str], *rest: object) -> None:
        self._deleted = deleted
        super().__init__(*rest)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        system = {"DicomAet": "A", "DatabaseVersion": 6, "Version": "1.12.1", "DicomPort": 104}
        self._answer(200 if self.path == "/system" or self.path.startswith("/instances/") else 404, system)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, {"ID": _THEIRS, "Path": f"/instances/{_THEIRS}", "Status": "Success"})

    def do_DELETE(self) -> None:
        self._deleted.append(self.path)
        self._answer(200, {})

    def _answer(self, status: int, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_THEIRS = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd"


def test_only_what_the_write_test_stored_is_deleted_whatever_the_peer_names() -> None:
    deleted: list[str] = []
    with serving(partial(_AnotherId, deleted)) as port:
        looked = WebProbe(way_to(port), Fingerprints(), allow_credentials=False, allow_writing=True)
        service = looked.run()
    assert facts(service, "web-store-confirmed")["deleted"] is True
    assert len(deleted) == 1
    assert _THEIRS not in deleted[0]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("nginx/1.24.0", "nginx/1.24.0"),
        ("SimpleHTTP/0.6 Python/3.11.2", "SimpleHTTP/0.6 Python/3.11.2"),
        ("nginx/536.90.4000", "nginx"),
        ("nginx/19500203", "nginx"),
        ("nginx/536.904.399", "nginx"),
        ("Doe^Jane", "***"),
        ("", ""),
    ],
)
def test_of_a_server_header_known_names_stay(said: str, shown: str) -> None:
    assert tokens.server(said) == shown


@pytest.mark.parametrize(
    "known", ["OFFIS_DCMTK_366", "dcm4che-5.23.2", "PYNETDICOM_210", "ORTHANC", "LEADGLASS_01", ""]
)
def test_known_version_names_stay(known: str) -> None:
    assert tokens.implementation_version(known) == known


@pytest.mark.parametrize(
    "said", ["DOE^JANE", "ORTHANC 19500203", "ORTHANC-DOE", "ORTHANC 536.904.399", "DCM4CHE-5.23.2000"]
)
def test_other_version_names_do_not(said: str) -> None:
    assert tokens.implementation_version(said) == "***"
