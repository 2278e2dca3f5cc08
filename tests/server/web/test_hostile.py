"""What strangers may send to the web door, on raw sockets."""

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.server.web.protocol import MAX_WAITING
from tests.served import Served, peer_program
from tests.web import as_user, browser, trusting

QUICK = "[web]\nheader_seconds = 1\nstall_seconds = 1\nidle_seconds = 1\n"


def connection(archive: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", archive.https_port), 30)


@contextlib.contextmanager
def raw(archive: Served) -> Iterator[ssl.SSLSocket]:
    with connection(archive) as tcp, trusting(archive).wrap_socket(tcp, server_hostname="localhost") as tls:
        yield tls


def said(archive: Served, *pieces: bytes) -> bytes:
    """All that comes back until the door closes. It may close before it has read everything."""
    with raw(archive) as tls:
        with contextlib.suppress(OSError):
            for piece in pieces:
                tls.sendall(piece)
        return everything(tls)


def everything(tls: ssl.SSLSocket) -> bytes:
    """Raises TimeoutError for a door that does not close."""
    answer = b""
    try:
        while data := tls.recv(65_536):
            answer += data
    except TimeoutError:
        raise
    except OSError:  # it parted without a word
        pass
    return answer


GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n"


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, b"GET /healthz HTTP/1.1\r\n\r\n"),
        (400, b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
        (400, POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"),
        (400, POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, POST + b"Content-Length: -1\r\n\r\n"),
        (400, POST + b"Content-Length: 1e3\r\n\r\n"),
        (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"),
        (400, b"NOT A REQUEST\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00"),
        (431, GET + b"X: " + b"a" * 70_000),
        (431, b"GET /" + b"a" * 70_000),
        (431, GET + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n"),
    ],
)
def test_requests_that_cannot_be_meant(archive: Served, status: int, request_: bytes) -> None:
    assert said(archive, request_).startswith(b"HTTP/1.1 %d" % status)


def test_a_header_without_end_is_bounded_however_it_drips(archive: Served) -> None:
    answer = said(archive, GET, *[b"X-More: " + b"a" * 8000 + b"\r\n"] * 64)
    assert b"HTTP/1.1 200" not in answer


def test_header_bytes_after_an_answer_are_bounded_too(quick: Served) -> None:
    """An early answer leaves a body unread; what follows is no free ride."""
    early = b"POST /sign-out HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd"
    answer = said(quick, early, GET + b"X: " + b"a" * 70_000)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"HTTP/1.1 200" not in answer


def test_nothing_of_a_request_comes_back_in_a_header(archive: Served) -> None:
    with browser(archive) as client:
        for path in ("/sign-in?next=/%0d%0aSet-Cookie:%20a=b", "/%0d%0aX-Injected:%20yes", "/studies%00"):
            answer = client.get(path, headers={"Accept": "text/html"})
            assert "x-injected" not in answer.headers
            assert "set-cookie" not in answer.headers
            assert answer.status_code in (200, 303, 401, 404)


def test_paths_do_not_climb(archive: Served) -> None:
    with browser(archive) as client:
        for path in ("/static/../application.py", "/static/..%2f..%2fdoor.py", "/static/%2e%2e/door.py"):
            assert b"import" not in client.get(path).content
    with as_user(archive, "clinician") as client:
        for path in ("/viewer/..%2f..%2fdoor.py", "/viewer/%2e%2e/%2e%2e/door.py", "/viewer//etc/passwd"):
            answer = client.get(path)
            assert b"import" not in answer.content
            assert b"root:" not in answer.content


def test_a_long_form_is_refused(archive: Served) -> None:
    with browser(archive) as client:
        own = {"Origin": f"https://localhost:{archive.https_port}"}
        assert client.post("/sign-in", data={"name": "a" * 100_000}, headers=own).status_code == 400
        assert client.post("/sign-in", content=b"[" * 10_000, headers=own).status_code == 400
        document = {**own, "Content-Type": "application/json"}
        assert client.post("/sign-in/passkey", content=b"[" * 60_000, headers=document).status_code == 400


def test_plain_http_is_not_served(archive: Served) -> None:
    with socket.create_connection(("127.0.0.1", archive.https_port), 30) as tcp:
        tcp.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        with contextlib.suppress(OSError):
            while data := tcp.recv(4096):
                answer += data
    assert not answer.startswith(b"HTTP")


def test_old_tls_is_refused(archive: Served) -> None:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = trusting(archive)
        context.minimum_version = context.maximum_version = version
        with connection(archive) as tcp, context.wrap_socket(tcp, server_hostname="localhost") as tls:
            name, spoken, _ = tls.cipher() or ("", "", 0)
            assert (tls.version() or "").replace(".", "_") == version.name
            assert spoken in ("TLSv1.2", "TLSv1.3")
            assert "GCM" in name or "POLY1305" in name
    for old in (["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"]):
        words = [peer_program("openssl"), "s_client", "-connect", f"127.0.0.1:{archive.https_port}", *old]
        done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        assert b"Cipher is (NONE)" in done.stdout


@pytest.fixture(scope="module")
def quick(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A door that loses patience within seconds."""
    with furnished.copy(tmp_path_factory.mktemp("quick"), settings=QUICK) as served:
        yield served


def test_a_header_that_never_ends_is_cut(quick: Served) -> None:
    assert said(quick, GET).startswith(b"HTTP/1.1 408")
    assert said(quick).startswith(b"HTTP/1.1 408")


def test_silence_after_an_answer_is_cut(quick: Served) -> None:
    """A blank line keeps nobody's connection open."""
    answer = said(quick, GET + b"\r\n", b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_that_does_not_come_is_cut(quick: Served) -> None:
    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n"
    assert b"HTTP/1.1 200" not in said(quick, POST + form + b"name=")


def test_one_source_holds_so_many_connections_and_no_more(furnished: Served, tmp_path: Path) -> None:
    settings = "[web]\nconnections_per_source = 4\nheader_seconds = 60\n"
    with furnished.copy(tmp_path, settings=settings) as narrow, contextlib.ExitStack() as held:
        for _ in range(3):
            held.enter_context(raw(narrow))
        silent = held.enter_context(connection(narrow))
        assert connection(narrow).recv(1) == b""
        silent.close()
        admitted = b""
        while not admitted:  # as soon as the door has seen that one go
            with contextlib.suppress(OSError):
                admitted = said(narrow, GET + b"Connection: close\r\n\r\n")
        assert admitted.startswith(b"HTTP/1.1 200")


def test_a_renewed_certificate_serves_without_a_restart(furnished: Served, tmp_path: Path) -> None:
    from leadglass.archive.provision import authority
    from leadglass.crypto.certificates import issue_server
    from leadglass.crypto.keys import KeyDirectory

    issuer = authority(KeyDirectory.open(furnished.keys))

    def renew() -> bytes:
        made = issue_server(issuer, ("localhost",), "ec")
        (tmp_path / "web.key").write_bytes(made.key)
        (tmp_path / "web.crt").write_bytes(made.certificate.pem)
        return made.certificate.der

    def shown() -> bytes:
        with raw(served) as tls:
            return tls.getpeercert(binary_form=True) or b""

    first = renew()
    settings = f'[web]\ncertificate = "{tmp_path / "web.crt"}"\nkey = "{tmp_path / "web.key"}"\n'
    with furnished.copy(tmp_path, settings=settings) as served:
        assert shown() == first
        second = renew()
        assert shown() == second
        (tmp_path / "web.key").write_text("half a ")
        assert shown() == second


def test_a_trailer_is_bounded(archive: Served) -> None:
    """The parser keeps it until it ends."""
    trailer = b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: "
    assert b"HTTP/1.1 431" in said(archive, POST + trailer, *[b"a" * 100_000] * 100)


def test_requests_at_once_are_bounded(archive: Served) -> None:
    """Each that waits for its turn is kept as objects."""
    last = GET + b"Connection: close\r\n\r\n"
    assert said(archive, (GET + b"\r\n") * MAX_WAITING + last).count(b"HTTP/1.1 200") == MAX_WAITING + 1
    assert said(archive, (GET + b"\r\n") * 1000 + last).count(b"HTTP/1.1 200") <= MAX_WAITING + 1
