"""Changes are told to whom the owner has named, over real connections, and to nobody else."""

import http.server
import json
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from leadglass.assess.observation import Endpoint
from leadglass.assess.report.model import FormerFinding
from leadglass.assess.watching import Mail, Notice, Receivers, Syslog, Webhook, parse_interval, read_receivers, send
from leadglass.crypto.certificates import create_authority, issue_server
from leadglass.errors import NotAvailable, UsageError
from tests.lab.assessed import run_assessment, scope_text
from tests.lab.scripted import Manners, listening, scripted
from tests.lab.truth import make

HOST = "127.0.0.1"
NEW = FormerFinding(
    "a" * 32, "query-open", "Queries are answered for anyone", "medium", 6.9, Endpoint("10.0.0.1", 104), ""
)
FIXED = FormerFinding("b" * 32, "records-listed", "Records", "high", 8.7, Endpoint("10.0.0.2", 104), "")
NOTICE = Notice("Lab", datetime(2026, 5, 1, tzinfo=UTC), (NEW,), (FIXED,), 2)
NOTHING = Notice("Lab", datetime(2026, 5, 1, tzinfo=UTC), (), (), 2)


class Certified:
    def __init__(self, folder: Path) -> None:
        authority = create_authority("Lab")
        issued = issue_server(authority, ["localhost"], "ec")
        self.ca = folder / "ca.crt"
        self.ca.write_bytes(authority.certificate.pem)
        chain = folder / "server.pem"
        chain.write_bytes(issued.key + issued.certificate.pem)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("certified"))


@contextmanager
def _hook(certified: Certified, status: int) -> Iterator[tuple[int, list[Any]]]:
    received: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Location", "https://localhost:1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
            pass

    with http.server.HTTPServer((HOST, 0), Handler) as server:
        server.socket = certified.context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_address[1], received
        finally:
            server.shutdown()
            serving.join()


def test_a_webhook_gets_what_changed(certified: Certified) -> None:
    with _hook(certified, 204) as (port, received):
        send(Receivers(webhook=Webhook(url=f"https://localhost:{port}/hook", ca=certified.ca)), NOTICE)
    (document,) = received
    assert document["format"] == "leadglass/exposure-change"
    assert document["new"][0]["kind"] == "query-open"
    assert document["fixed"][0]["address"] == "10.0.0.2"
    assert document["still_open"] == 2


def test_a_redirect_is_not_followed_but_told(certified: Certified) -> None:
    with _hook(certified, 302) as (port, received), pytest.raises(NotAvailable):
        send(Receivers(webhook=Webhook(url=f"https://localhost:{port}/", ca=certified.ca)), NOTICE)
    assert len(received) == 1


def test_proxies_of_the_environment_are_not_used(certified: Certified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with _hook(certified, 200) as (port, received):
        send(Receivers(webhook=Webhook(url=f"https://localhost:{port}/", ca=certified.ca)), NOTICE)
    assert received


def test_a_server_that_nobody_vouches_for_gets_nothing(certified: Certified) -> None:
    with _hook(certified, 200) as (port, received), pytest.raises(NotAvailable):
        send(Receivers(webhook=Webhook(url=f"https://localhost:{port}/")), NOTICE)
    assert not received


@contextmanager
def _post_office(certified: Certified, *, starttls: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Enough of SMTP (RFC 5321, RFC 3207) to take one message."""
    lines: list[str] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 lab\r\n")
        file = connection.makefile("rb")
        while line := file.readline():
            word = line.split()[0].upper() if line.split() else b""
            lines.append(line.decode().strip())
            if word == b"EHLO":
                connection.sendall(b"250-lab\r\n250 STARTTLS\r\n" if starttls else b"250 lab\r\n")
            elif word == b"STARTTLS":
                connection.sendall(b"220 go\r\n")
                connection = certified.context.wrap_socket(connection, server_side=True)
                file = connection.makefile("rb")
            elif word == b"DATA":
                connection.sendall(b"354 go\r\n")
                while (text := file.readline()) != b".\r\n":
                    lines.append(text.decode().strip())
                connection.sendall(b"250 taken\r\n")
            elif word == b"QUIT":
                connection.sendall(b"221 bye\r\n")
                break
            else:
                connection.sendall(b"250 ok\r\n")
        connection.close()

    def accept() -> None:
        connection, _ = server.accept()
        serve(connection)

    with socket.create_server((HOST, 0)) as server:
        serving = threading.Thread(target=accept)
        serving.start()
        yield server.getsockname()[1], lines
        serving.join()


def _mail(port: int, certified: Certified) -> Receivers:
    return Receivers(
        mail=Mail(host="localhost", port=port, sender="a@lab.test", recipients=("b@lab.test",), ca=certified.ca)
    )


def test_mail_goes_over_tls(certified: Certified) -> None:
    with _post_office(certified) as (port, lines):
        send(_mail(port, certified), NOTICE)
    assert "Subject: Exposure of Lab: 1 new, 1 fixed" in lines
    assert any("Queries are answered for anyone" in line for line in lines)
    assert lines.index("STARTTLS") < lines.index("data")


def test_mail_does_not_go_in_clear(certified: Certified) -> None:
    with _post_office(certified, starttls=False) as (port, lines), pytest.raises(NotAvailable):
        send(_mail(port, certified), NOTICE)
    assert "data" not in lines


def test_syslog_gets_a_line_for_each_change() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind((HOST, 0))
        receiver.settimeout(30)
        send(Receivers(syslog=Syslog(host=HOST, port=receiver.getsockname()[1])), NOTICE)
        lines = [receiver.recv(4096).decode() for _ in range(2)]
    assert lines[0].startswith("<84>1 2026-05-01T00:00:00+00:00 - leadglass")
    assert "new: Queries are answered for anyone (medium) at 10.0.0.1:104" in lines[0]
    assert lines[1].startswith("<86>1")


def test_the_command_tells_what_is_new_and_then_what_is_fixed(tmp_path: Path) -> None:
    """Two looks: an open archive, and the same door closed to strangers."""
    address, truth = "127.0.15.1", make("61", 4)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind((HOST, 0))
        receiver.settimeout(30)
        port = receiver.getsockname()[1]
        (tmp_path / "watch.toml").write_text(f'[syslog]\nhost = "{HOST}"\nport = {port}\n')
        watch = ["--watch", str(tmp_path / "watch.toml")]
        with scripted(address, truth, Manners()) as (_, door):
            first = run_assessment(tmp_path, scope_text([address], [door]), watch)
        new = [receiver.recv(4096).decode() for _ in first.report["findings"]]
        shutil.copy(tmp_path / "report.json", tmp_path / "before.json")
        with listening(address, lambda connection: connection.sendall(b"SSH-2.0-x\r\n"), door):
            baseline = ["--baseline", str(tmp_path / "before.json")]
            run_assessment(tmp_path, scope_text([address], [door]), [*watch, *baseline])
        fixed = [receiver.recv(4096).decode() for _ in new]
    assert all(f" at {address}:{door}" in line for line in (*new, *fixed))
    assert {line.split("\ufeff")[1].split(":")[0] for line in new} == {"new"}
    assert {line.split("\ufeff")[1].split(":")[0] for line in fixed} == {"fixed"}
    assert not any(secret.decode() in line for line in (*new, *fixed) for secret in truth.secrets())


def test_nothing_changed_nothing_is_sent() -> None:
    send(Receivers(webhook=Webhook(url="https://localhost:1/")), NOTHING)


@pytest.mark.parametrize(
    ("text", "interval"), [("30m", timedelta(minutes=30)), ("24h", timedelta(hours=24)), ("7d", timedelta(days=7))]
)
def test_intervals(text: str, interval: timedelta) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize("text", ["", "0h", "24", "h", "-1h", "400d", "1.5h", "30s", "24 h"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_interval(text)


@pytest.mark.parametrize(
    "text",
    [
        '[webhook]\nurl = "http://clear.test/"',
        "[webhook]\n",
        '[mail]\nhost = "h"\nsender = "s"\nrecipients = []',
        '[other]\nurl = "https://x.test/"',
        "no TOML",
    ],
)
def test_what_the_file_must_not_say_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "watch.toml"
    path.write_text(text)
    with pytest.raises(UsageError):
        read_receivers(path)
