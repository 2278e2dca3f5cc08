"""Web doors of real servers: Orthanc as it is and as it should be, file servers, FTP; and what no output may hold."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from leadglass.assess.catalogue import findings_of
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint, HostResult, ServiceResult
from leadglass.assess.probes.ftp import FtpProbe, NotFtp
from leadglass.assess.probes.web import WebProbe
from leadglass.assess.probes.web_write import store_over_dicomweb
from leadglass.crypto.certificates import create_authority, issue_server
from leadglass.errors import NotAvailable
from tests.assess.test_web_dicomweb import kinds, without_proof
from tests.assess.web_servers import (
    ADDRESS,
    WebManners,
    counts,
    dicomweb,
    facts,
    greeting_with,
    listing,
    probe,
    raw,
    serving,
    way_to,
)
from tests.lab.assessed import run_assessment, scope_text
from tests.lab.peers import orthanc
from tests.lab.truth import Truth, make, part10, ssns_bare, ssns_formatted, write_files
from tests.served import TIMEOUT

TRUTH = make("81", 24)
EXACT = {
    "studies": (24, "exact"),
    "patients": (TRUTH.patients, "exact"),
    "series": (len({series for each in TRUTH.studies for series, _ in each.instances()}), "exact"),
    "images_advertised": (TRUTH.images, "exact"),
    "images_indicated": (TRUTH.images, "exact"),
    "ssns_formatted": (ssns_formatted(TRUTH), "exact"),
    "ssns_bare": (ssns_bare(TRUTH), "exact"),
}
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
LOGIN: dict[str, Any] = {"AuthenticationEnabled": True, "RegisteredUsers": {"someone": "a long and unusual password"}}
DELIVERED: dict[str, Any] = {"AuthenticationEnabled": True, "RegisteredUsers": {"orthanc": "orthanc"}}


def plugin() -> str:
    """Orthanc's DICOMweb plugin as Debian's orthanc-dicomweb installs it. Skips where it is absent, but never in CI."""
    if not Path(PLUGIN).exists():
        if os.environ.get("CI"):
            pytest.fail("orthanc-dicomweb is not installed, and CI installs it")
        pytest.skip("needs orthanc-dicomweb")
    return PLUGIN


@pytest.fixture(scope="module")
def open_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Ports of an Orthanc with its DICOMweb plugin and every door open."""
    settings = {"Plugins": [plugin()], "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    with orthanc(ADDRESS, tmp_path_factory.mktemp("open") / "orthanc", TRUTH, settings) as ports:
        yield ports


def test_orthanc_open_with_dicomweb(open_orthanc: tuple[int, int]) -> None:
    service, _ = probe(open_orthanc[1])
    assert_open(service)
    assert "wado-uri-open" in kinds(service)


def test_orthanc_open_without_dicomweb(tmp_path: Path) -> None:
    with orthanc(ADDRESS, tmp_path / "orthanc", TRUTH, {}) as (_, port):
        service, _ = probe(port)
    assert_open(service)
    assert "wado-uri-open" not in kinds(service)


def assert_open(service: ServiceResult) -> None:
    assert without_proof(service) == EXACT
    assert service.counters.images_proven.value in (5, 6)
    assert service.product.startswith("Orthanc 1.")
    assert service.unknowns == ()
    expected = {"administration-open", "write-indicated", "images-retrievable", "records-listed", "ssns-exposed"}
    assert kinds(service) >= expected


def test_what_a_write_test_stores_is_found_deleted_and_never_counted(open_orthanc: tuple[int, int]) -> None:
    way = way_to(open_orthanc[1])
    stowed = store_over_dicomweb(way, "/dicom-web")
    assert stowed is not None
    assert stowed.facts["found"] is True
    assert stowed.facts["deleted"] is False  # this release of the plugin deletes nothing over DICOMweb
    service, _ = probe(open_orthanc[1], allow_writing=True)
    written = facts(service, "web-store-confirmed")
    assert (written["interface"], written["found"], written["deleted"]) == ("orthanc", True, True)
    assert "write-confirmed" in kinds(service)
    assert_open(service)


def test_nothing_is_written_unasked() -> None:
    manners = WebManners()
    with serving(dicomweb(TRUTH, manners)) as port:
        probe(port)
        assert manners.methods == {"GET"}
        refused, _ = probe(port, allow_writing=True)
    assert manners.methods == {"GET", "POST"}
    assert "write-confirmed" not in kinds(refused)


def test_orthanc_with_a_login_gives_nothing(tmp_path: Path) -> None:
    with orthanc(ADDRESS, tmp_path / "orthanc", TRUTH, {"Plugins": [plugin()], **LOGIN}) as (_, port):
        service, _ = probe(port, allow_credentials=True)
    assert service.product == "Orthanc"
    assert set(counts(service).values()) == {(0, "exact")}
    assert facts(service, "default-credentials")["accepted"] is False
    assert kinds(service) == {"web-in-plaintext"}


def test_orthanc_with_the_delivered_password(tmp_path: Path) -> None:
    with orthanc(ADDRESS, tmp_path / "orthanc", TRUTH, DELIVERED) as (_, port):
        untried, _ = probe(port)
        tried, _ = probe(port, allow_credentials=True)
    assert "default-credentials" not in kinds(untried)
    assert untried.counters.studies.value == 0
    assert "default-credentials" in kinds(tried)
    assert without_proof(tried) == EXACT
    assert counts(tried)["images_proven"] == (5, "exact")
    assert not [each for seen in tried.observations for each in seen.exchanges if b"b3J0aGFuYzpvcnRoYW5j" in each.sent]


@contextmanager
def served_files(folder: Path, truth: Truth) -> Iterator[int]:
    write_files(truth, folder / "exams" / "more")
    (folder / "notes.txt").write_text("nothing")
    (folder / "exams" / "IM0001").write_bytes(part10(truth.studies[0], 0))
    (folder / "exams" / "README").write_text("no image")
    with listing(folder) as port:
        yield port


def test_a_listing_is_walked_and_its_files_counted_by_their_heads(tmp_path: Path) -> None:
    with served_files(tmp_path, TRUTH) as port:
        service, _ = probe(port)
    assert without_proof(service) == EXACT
    assert counts(service)["images_proven"] == (TRUTH.images, "exact")
    seen = facts(service, "web-listing")
    assert (seen["files"], seen["dicom_files"]) == (TRUTH.images + 3, TRUTH.images + 1)
    assert kinds(service) == {"files-listed", "images-retrievable", "web-in-plaintext"}


def test_a_listing_without_images_is_none_of_our_business(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>hello")
    (tmp_path / "LICENSE").write_text("text")
    with listing(tmp_path) as port:
        service, _ = probe(port)
    assert kinds(service) == set()
    assert set(counts(service).values()) == {(0, "exact")}


def test_more_files_than_are_looked_at_make_lower_bounds(tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"{number:04}.dcm").write_bytes(part10(TRUTH.studies[number % 3], 0))
    with listing(tmp_path) as port:
        service, _ = probe(port)
    assert counts(service)["studies"] == (3, "lower")
    assert facts(service, "web-listing")["dicom_files"] == 450


PAGES = {"archive-page-open", "web-in-plaintext"}


@pytest.mark.parametrize(
    ("path", "page", "product", "found"),
    [
        ("/", "<title>OHIF Viewer</title>", "OHIF", {"viewer-open", "web-in-plaintext"}),
        ("/", "<title>Dicoogle PACS</title><input type='password'>", "Dicoogle", {"web-in-plaintext"}),
        ("/", "<title>KHEOPS</title>", "Kheops", {"viewer-open", "web-in-plaintext"}),
        ("/pacs/login.php", "<p>MedDream<input type=password>", "MedDream", {"web-in-plaintext"}),
        ("/cgi-bin/dgate.exe", "<H1>Conquest DICOM server</H1>", "Conquest", PAGES),
        (
            "/ImageServer/",
            "<title>ClearCanvas ImageServer</title>",
            "ClearCanvas",
            {"archive-page-open", "web-in-plaintext"},
        ),
        ("/", "<title>A page of mine</title>", "", set()),
    ],
)
def test_products_are_told_by_their_pages(path: str, page: str, product: str, found: set[str]) -> None:
    with serving(dicomweb(Truth(()), WebManners(root="/none", pages={path: page}))) as port:
        service, _ = probe(port)
    assert service.product == product
    assert kinds(service) == found


def test_dicoogle_without_a_login_is_told_by_its_search() -> None:
    pages = {"/": "<title>Dicoogle PACS</title>", "/search": '{"results": [], "elapsedTime": 1}'}
    with serving(dicomweb(Truth(()), WebManners(root="/none", pages=pages))) as port:
        service, _ = probe(port)
    assert kinds(service) == {"archive-page-open", "viewer-open", "web-in-plaintext"}
    assert any("was not counted" in each for each in service.unknowns)


def test_a_page_that_is_served_for_every_path_is_no_pacs() -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>Welcome</title>[]"
    with raw(lambda connection, _: connection.sendall(page)) as port:
        service, _ = probe(port)
    assert kinds(service) == set()
    assert service.product == ""


def test_over_tls_a_stranger_sees_the_same(tmp_path: Path) -> None:
    authority = create_authority("Lab")
    issued = issue_server(authority, ["localhost"], "ec")
    (tmp_path / "server.pem").write_bytes(issued.key + issued.certificate.pem)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(tmp_path / "server.pem")
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with serving(dicomweb(TRUTH, WebManners()), served) as port:
        looked = WebProbe(way_to(port, context=anybody), Fingerprints(), allow_credentials=False, allow_writing=False)
        service = looked.run()
    assert service.protocol == "https"
    assert without_proof(service) == EXACT
    assert "web-in-plaintext" not in kinds(service)


@contextmanager
def ftp_server(folder: Path, *, anonymous: bool = True, elsewhere: str = "") -> Iterator[int]:
    authorizer = DummyAuthorizer()
    if anonymous:
        authorizer.add_anonymous(str(folder))

    class Handler(FTPHandler):  # type: ignore[misc]
        pass

    Handler.authorizer = authorizer
    Handler.auth_failed_timeout = 0
    if elsewhere:
        # Says that data is to be had at another address, and knows PASV only.
        Handler.masquerade_address = elsewhere
        Handler.proto_cmds = {name: each for name, each in FTPHandler.proto_cmds.items() if name != "EPSV"}
    server = FTPServer((ADDRESS, 0), Handler, ioloop=IOLoop())
    stopping = Event()

    def serve() -> None:
        # Its loop and its sockets belong to one thread.
        while not stopping.is_set():
            server.serve_forever(timeout=0.01, blocking=False, handle_exit=False)
        server.close_all()

    port: int = server.socket.getsockname()[1]
    thread = Thread(target=serve)
    thread.start()
    try:
        yield port
    finally:
        stopping.set()
        thread.join(TIMEOUT)


def ftp(port: int) -> ServiceResult:
    way = way_to(port)
    return FtpProbe(way.reach, Endpoint(ADDRESS, port), Fingerprints()).run()


@pytest.mark.parametrize("elsewhere", ["", "127.0.0.9"], ids=["EPSV", "PASV that names another address"])
def test_anonymous_ftp_is_walked_at_its_own_address_only(tmp_path: Path, elsewhere: str) -> None:
    write_files(TRUTH, tmp_path / "exams")
    (tmp_path / "notes.txt").write_text("nothing")
    with ftp_server(tmp_path, elsewhere=elsewhere) as port:
        service = ftp(port)
    assert without_proof(service) == EXACT
    assert counts(service)["images_proven"] == (TRUTH.images, "exact")
    assert service.product == "pyftpdlib"
    found = {each.kind for each in findings_of((HostResult(ADDRESS, (), (service,)),))}
    assert found == {"ftp-anonymous", "files-listed", "images-retrievable"}


def test_ftp_that_asks_for_a_password_gives_nothing(tmp_path: Path) -> None:
    with ftp_server(tmp_path, anonymous=False) as port:
        service = ftp(port)
    assert findings_of((HostResult(ADDRESS, (), (service,)),)) == ()


@pytest.mark.parametrize("greeting", [b"220 mail.example ESMTP\r\n500 what\r\n", b"220-" + b"a" * 5000, b"SSH-2.0\r\n"])
def test_what_is_no_ftp_server_is_left(greeting: bytes) -> None:
    with greeting_with(greeting) as port, pytest.raises((NotFtp, NotAvailable)):
        ftp(port)


def test_no_output_holds_anything_of_a_patient(open_orthanc: tuple[int, int], tmp_path: Path) -> None:
    """The whole command against Orthanc and a listing, then every file that it wrote and all that it printed."""
    others = make("82", 6)
    run = tmp_path / "run"
    run.mkdir()
    paths = {form: run / f"report.{form}" for form in ("html", "pdf", "sarif", "csv")}
    with served_files(tmp_path / "files", others) as files:
        options = [word for form, path in paths.items() for word in (f"--{form}", str(path))]
        done = run_assessment(run, scope_text([ADDRESS], [*open_orthanc, files]), options)
    assert done.status == 1
    written = {path.name: path.read_bytes() for path in run.iterdir()} | {"output": done.output.encode()}
    assert set(written) >= {"report.json", *(path.name for path in paths.values())}
    secrets = TRUTH.secrets() | others.secrets()
    assert [(name, secret) for name, content in written.items() for secret in secrets if secret in content] == []
    totals = {name: count["value"] for name, count in done.report["totals"].items()}
    assert (totals["studies"], totals["patients"]) == (30, TRUTH.patients + others.patients)
