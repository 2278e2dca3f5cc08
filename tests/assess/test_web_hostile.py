"""Web doors that mean harm: they cannot hang, fill, crash or mislead whoever looks at them."""

import gzip
import resource
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from leadglass.assess.probes.web_client import NotHttp
from leadglass.assess.reach import Budget, BudgetSpent, OutOfScope
from leadglass.errors import FormatError, NotAvailable
from tests.assess.web_servers import probe, raw, way_to

QUICK: dict[str, Any] = {"patience": 0.3, "longest": 1.0, "longest_list": 1.0}
Speak = Callable[[socket.socket, bytes], None]


def always(*parts: bytes) -> Speak:
    def speak(connection: socket.socket, _request: bytes) -> None:
        for part in parts:
            connection.sendall(part)

    return speak


def endless(head: bytes, part: bytes) -> Speak:
    def speak(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)

    return speak


def dripping(head: bytes) -> Speak:
    """One byte at a time, always just before patience ends."""

    def speak(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(head)
        pause = threading.Event()
        while True:
            connection.sendall(b"a")
            pause.wait(0.1)

    return speak


def silent(connection: socket.socket, _request: bytes) -> None:
    """Until the auditor hangs up."""
    connection.recv(1)


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
HOSTILE: dict[str, Speak] = {
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-Filler: " + b"a" * 500 + b"\r\n"),
    "an endless header": endless(b"HTTP/1.1 200 OK\r\nX-Filler: ", b"a" * 65_536),
    "an endless status line": endless(b"HTTP/1.1 ", b"2" * 65_536),
    "continue for ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless JSON": endless(OK + b"\r\n[", b'{"0020000D":{"vr":"UI","Value":["1.2.3"]}},' * 500),
    "one endless element": endless(OK + b'\r\n["', b"a" * 65_536),
    "deep JSON": endless(OK + b"\r\n[", b"[" * 65_536),
    "endless HTML": endless(HTML + b"<title>Index of /</title>", b'<a href="x.dcm">' * 4_000),
    "halves of links": endless(HTML + b"<title>Index of /</title>", b"<a " * 20_000),
    "links without end": endless(HTML + b"<title>Index of /</title><a href", b" " * 65_536),
    "a bomb": always(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10_000_000))),
    "endless chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n[\r\n"),
    "a huge chunk": endless(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n", b"a" * 65_536),
    "endless trailers": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n", b"X: a\r\n"),
    "a bad chunk": always(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n"),
    "a huge length": always(OK + b"Content-Length: 99999999999999999999\r\n\r\n["),
    "a bad length": always(OK + b"Content-Length: -5\r\n\r\n[]"),
    "dripping headers": dripping(b"HTTP/1.1 200 OK\r\nX: "),
    "a dripping body": dripping(OK + b"\r\n["),
    "silence": silent,
    "hanging up": always(),
    "half a status": always(b"HTTP/1.1 2"),
    "no numbers": always(b"HTTP/1.1 abc OK\r\n\r\n"),
    "another protocol": always(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "bytes": endless(b"", bytes(range(256)) * 16),
    "study without UIDs": always(OK + b"\r\n" + b'[{"0020000D":{"vr":"UI","Value":["../../etc"]}}]'),
    "values of all kinds": always(
        OK
        + b"\r\n"
        + b'[{"0020000D":{"vr":"UI","Value":["1.2.3"]},"00100010":{"Value":[[],1e999,null,{"Alphabetic":3}]},'
        b'"00100020":{"Value":{"a":1}},"00080020":7,"00201208":{"Value":["99999999999999999999"]}}]'
    ),
}


@pytest.mark.parametrize("speak", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_door_is_left_with_a_result(speak: Speak) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    budget = Budget(seconds=3, octets=200_000_000, connections=200)
    with raw(speak) as port:
        try:
            service, _ = probe(port, budget=budget, **QUICK)
        except (NotHttp, NotAvailable):
            return
    assert service.counters.studies.value <= 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, "kilobytes"


def test_a_door_that_keeps_us_waiting_is_asked_three_times() -> None:
    asked = 0

    def once(connection: socket.socket, request: bytes) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            connection.sendall(HTML)
        else:
            silent(connection, request)

    with raw(once) as port:
        service, _ = probe(port, patience=2.0)
    assert asked == 4
    assert any("stopped answering" in each for each in service.unknowns)


def test_the_budget_of_an_address_ends_the_look() -> None:
    page = HTML + b"<title>Index of /</title>" + b"a" * 1_000_000
    with raw(always(page)) as port:
        service, _ = probe(port, budget=Budget(octets=3_000_000))
    assert any("spent" in each for each in service.unknowns)


def test_the_client_goes_nowhere_but_to_its_endpoint() -> None:
    with raw(always(HTML)) as port:
        way = way_to(port)
        for target in ("http://127.0.0.9/", "//127.0.0.9/", "x", "/a b", "/a\r\nHost: b", "/\x00", "/ü"):
            if target.startswith("//"):
                continue  # a path like any other: it is sent to the same endpoint
            with pytest.raises(FormatError), way.ask(target):
                pass
        beyond = type(way)(way.reach, type(way.endpoint)("127.0.0.9", port))
        with pytest.raises(OutOfScope), beyond.ask("/"):
            pass


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with raw(always(HTML)) as port, way_to(port).ask("/") as answer:
        assert answer.status == 200


def test_evidence_blanks_bodies_and_credentials() -> None:
    secret = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nSet-Cookie: name=Doe\r\nX-Patient: Doe\r\n\r\nDoe^Jane"
    with raw(always(secret)) as port:
        way = way_to(port, authorization="Basic c2VjcmV0")
        with way.ask("/studies/1.2.3", shown="/studies/***") as answer:
            exchange = answer.exchange()
    assert exchange.received == b"HTTP/1.1 200\r\nContent-Type: text/html\r\n\r\n***"
    assert b"c2VjcmV0" not in exchange.sent
    assert b"1.2.3" not in exchange.sent
    assert exchange.summary == "GET /studies/*** → 200"
    assert "c2VjcmV0" not in repr(way)


def test_spent_bytes_are_told_as_such() -> None:
    with raw(always(HTML + b"a" * 100_000)) as port:
        way = way_to(port, budget=Budget(octets=50_000))
        with pytest.raises(BudgetSpent), way.ask("/") as answer:
            answer.body(100_000)
