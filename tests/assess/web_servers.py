"""Web servers on loopback: a DICOMweb double with one bad manner each, plain ones, and hostile ones made of bytes."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint, ServiceResult
from leadglass.assess.probes.web import WebProbe
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.reach import Budget, Reach
from leadglass.assess.scope import parse_scope
from tests.lab.assessed import scope_text
from tests.lab.truth import Study, Truth

ADDRESS = "127.0.0.1"
TIMEOUT = 60.0


def way_to(port: int, *, budget: Budget | None = None, **options: Any) -> WebWay:
    scope = parse_scope(scope_text([ADDRESS], [port]).encode(), lambda _: [])
    return WebWay(Reach(scope, budget), Endpoint(ADDRESS, port), **options)


def probe(
    port: int, *, allow_credentials: bool = False, allow_writing: bool = False, **options: Any
) -> tuple[ServiceResult, Census]:
    """What the probe for web doors makes of a port."""
    way = way_to(port, **options)
    looked = WebProbe(way, Fingerprints(), allow_credentials=allow_credentials, allow_writing=allow_writing)
    return looked.run(), looked.census


def facts(service: ServiceResult, kind: str, **wanted: object) -> Mapping[str, object]:
    """The facts of the observation of that kind, and with those facts."""
    found = [each.facts for each in service.observations if each.kind == kind]
    (matching,) = [each for each in found if all(each.get(name) == value for name, value in wanted.items())]
    return matching


def counts(service: ServiceResult) -> dict[str, tuple[int, str]]:
    names = ("studies", "patients", "series", "images_advertised", "images_indicated", "images_proven")
    each = {name: getattr(service.counters, name) for name in (*names, "ssns_formatted", "ssns_bare")}
    return {name: (count.value, str(count.bound)) for name, count in each.items()}


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """An HTTP server with that handler; yields its port."""
    with ThreadingHTTPServer((ADDRESS, 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(TIMEOUT)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: names of files would be in it."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        # The auditor hangs up once it has seen enough.
        with suppress(OSError):
            super().copyfile(source, outputfile)


@contextmanager
def listing(folder: Path) -> Iterator[int]:
    """Python's own file server."""
    with serving(partial(_Quiet, directory=str(folder))) as port:
        yield port


@dataclass(frozen=True)
class WebManners:
    """`cap`: most studies in one answer; `window`: most of all pages together; `image_cap`: most images in one answer
    that are not asked for by number. `advertises`: images claimed for each study; -1 tells nothing. `asked`: every
    path and query that came, for the test to look at."""

    root: str = "/dicom-web"
    cap: int | None = None
    window: int | None = None
    image_cap: int | None = None
    ignores_offset: bool = False
    ignores_dates: bool = False
    advertises: int | None = None
    image_status: int = 200
    image_type: str = 'multipart/related; type="application/dicom"; boundary=x'
    image_bytes: int = 1 << 30
    redirects: str = ""
    closed: bool = False
    pages: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    methods: set[str] = field(default_factory=set)


def dicomweb(truth: Truth, manners: WebManners) -> Callable[..., BaseHTTPRequestHandler]:
    return partial(_DicomWeb, truth, manners)


class _DicomWeb(BaseHTTPRequestHandler):
    """Answers QIDO-RS and WADO-RS for the studies of a truth."""

    def __init__(self, truth: Truth, manners: WebManners, *rest: Any) -> None:
        self._truth = truth
        self._manners = manners
        super().__init__(*rest)

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        self._manners.methods.add(self.command)
        self._send(405, "text/plain", b"")

    def do_DELETE(self) -> None:
        self.do_POST()

    def do_GET(self) -> None:
        self._manners.methods.add(self.command)
        self._manners.asked.append(self.path)
        with suppress(OSError):  # the auditor hangs up once it has seen enough
            self._answer()

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if split.path in self._manners.pages:
            page = self._manners.pages[split.path]
            kind = "application/json" if page.startswith(("{", "[")) else "text/html"
            self._send(200, kind, page.encode())
        elif not split.path.startswith(f"{self._manners.root}/"):
            self._send(404, "text/html", b"<title>Not found</title>")
        elif self._manners.redirects:
            self.send_response(302)
            self.send_header("Location", self._manners.redirects)
            self.end_headers()
        elif self._manners.closed:
            self._send(401, "text/plain", b"")
        else:
            self._dicomweb(split.path.removeprefix(f"{self._manners.root}/").split("/"), query)

    def _dicomweb(self, parts: list[str], query: dict[str, str]) -> None:
        if parts == ["studies"]:
            self._list([_study(each, self._manners) for each in _matching(self._truth, self._manners, query)])
            return
        study = next((each for each in self._truth.studies if len(parts) > 1 and each.uid == parts[1]), None)
        if study is None:
            self._send(404, "text/plain", b"")
        elif parts[2:] == ["instances"]:
            start = int(query.get("offset", 0))
            end = start + int(query.get("limit", self._manners.image_cap or study.images))
            self._list([_instance(*each) for each in study.instances()[start:end]])
        else:
            self.send_response(self._manners.image_status)
            self.send_header("Content-Type", self._manners.image_type)
            self.send_header("Content-Length", str(self._manners.image_bytes))
            self.end_headers()
            for _ in range(self._manners.image_bytes // 65_536):
                self.wfile.write(bytes(65_536))

    def _list(self, answers: list[dict[str, Any]]) -> None:
        self._send(200, "application/dicom+json", json.dumps(answers).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _matching(truth: Truth, manners: WebManners, query: dict[str, str]) -> list[Study]:
    studies = list(truth.studies)
    if "StudyDate" in query and not manners.ignores_dates:
        first, last = query["StudyDate"].split("-")
        studies = [each for each in studies if first <= each.study_date <= last]
    studies = studies[: manners.window]
    start = 0 if manners.ignores_offset else int(query.get("offset", 0))
    most = int(query.get("limit", len(studies))) if manners.cap is None else manners.cap
    return studies[start : start + most]


def _study(study: Study, manners: WebManners) -> dict[str, Any]:
    images = study.images if manners.advertises is None else manners.advertises
    told = {} if images < 0 else {"00201206": ("IS", study.series), "00201208": ("IS", images)}
    name = {"vr": "PN", "Value": [{"Alphabetic": study.name}]}
    texts = {
        "00080020": ("DA", study.study_date),
        "00100020": ("LO", study.patient_id),
        "00100030": ("DA", study.birth_date),
        "0020000D": ("UI", study.uid),
        **told,
    }
    return {"00100010": name, **{tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in texts.items()}}


def _instance(series: str, instance: str) -> dict[str, Any]:
    return {"0020000E": {"vr": "UI", "Value": [series]}, "00080018": {"vr": "UI", "Value": [instance]}}


@contextmanager
def greeting_with(greeting: bytes) -> Iterator[int]:
    """A server that speaks first, and then listens until the auditor hangs up."""

    def greet(connection: socket.socket) -> None:
        connection.sendall(greeting)
        while connection.recv(65_536):
            pass

    with _attending(greet) as port:
        yield port


@contextmanager
def raw(speak: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A server that reads one request and then says what `speak` makes of it, until the auditor hangs up."""

    def answer(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request and (data := connection.recv(65_536)):
            request += data
        speak(connection, request)

    with _attending(answer) as port:
        yield port


@contextmanager
def _attending(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    stopping = threading.Event()
    threads: list[threading.Thread] = []

    def attend(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(TIMEOUT)
            serve(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while not stopping.is_set():
                connection, _ = listener.accept()
                threads.append(threading.Thread(target=attend, args=(connection,), daemon=True))
                threads[-1].start()

    with socket.create_server((ADDRESS, 0)) as listener:
        accepting = threading.Thread(target=accept, args=(listener,), daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            # A listener that is shut down wakes whoever accepts.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join(TIMEOUT)
            for thread in threads:
                thread.join(TIMEOUT)
