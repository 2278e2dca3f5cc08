"""The one place that opens sockets keeps to the scope, to the pace and to the budget."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from leadglass.assess.observation import Endpoint
from leadglass.assess.reach import Budget, BudgetSpent, Expired, Interrupted, OutOfScope, Pace, Reach
from leadglass.assess.scope import Scope, parse_scope, resolve_name
from leadglass.errors import NotAvailable

HOST = "127.0.13.1"


def scope_of(*ports: int, connections: int = 10_000) -> Scope:
    text = (
        '[organisation]\nname = "Lab"\nauthorised_by = "Lab"\nfrom = 2020-01-01\nuntil = 2099-01-01\n'
        f'[targets]\nnetworks = ["{HOST}/32"]\nports = {list(ports)}\n[rate]\nconnections = {connections}\n'
    )
    return parse_scope(text.encode(), resolve_name)


def expired(port: int) -> Scope:
    """It came to its end after it was read."""
    return replace(scope_of(port), ends=datetime.now(UTC))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        yield server


def test_what_is_outside_is_never_contacted(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.setblocking(False)
    reach = Reach(scope_of(port + 1 if port < 65535 else 1))
    for outside in (Endpoint(HOST, port), Endpoint("127.0.0.1", port), Endpoint("localhost", port)):
        with pytest.raises(OutOfScope):
            reach.connect(outside, 1)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_nothing_is_contacted_once_the_scope_has_expired(listener: socket.socket) -> None:
    endpoint = Endpoint(HOST, listener.getsockname()[1])
    listener.setblocking(False)
    first, second = Reach(expired(endpoint.port)), Reach(expired(endpoint.port))
    with pytest.raises(Expired):
        first.connect(endpoint, 1)
    with pytest.raises(Expired):
        second.begin(endpoint)
    assert first.stopped
    assert second.stopped
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_what_is_inside_is_connected_to(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with Reach(scope_of(port)).connect(Endpoint(HOST, port), 5) as connection:
        assert connection.getpeername() == (HOST, port)
        assert connection.gettimeout() == 5


def test_proxies_of_the_environment_are_not_used(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    port = listener.getsockname()[1]
    with Reach(scope_of(port)).connect(Endpoint(HOST, port), 5) as connection:
        assert connection.getpeername() == (HOST, port)


def test_nobody_there_is_not_available(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(NotAvailable):
        Reach(scope_of(port)).connect(Endpoint(HOST, port), 5)


def test_bytes_are_budgeted_for_each_host(listener: socket.socket) -> None:
    reach = Reach(scope_of(listener.getsockname()[1]), Budget(octets=1000))
    reach.spend(HOST, 1000)
    reach.spend("127.0.13.2", 1000)
    with pytest.raises(BudgetSpent):
        reach.spend(HOST, 1)


def test_connections_are_budgeted_for_each_host(listener: socket.socket) -> None:
    endpoint = Endpoint(HOST, listener.getsockname()[1])
    reach = Reach(scope_of(endpoint.port), Budget(connections=2))
    for _ in range(2):
        reach.connect(endpoint, 5).close()
    with pytest.raises(BudgetSpent):
        reach.connect(endpoint, 5)


def test_whoever_waits_for_the_pace_is_told_of_the_end(listener: socket.socket) -> None:
    """At one connection a second a thousand would take a quarter of an hour."""
    endpoint = Endpoint(HOST, listener.getsockname()[1])
    reach = Reach(scope_of(endpoint.port, connections=1))
    ended: list[Exception] = []
    reach.connect(endpoint, 5).close()

    def knock() -> None:
        try:
            for _ in range(1000):
                reach.connect(endpoint, 5).close()
        except Interrupted as error:
            ended.append(error)

    thread = threading.Thread(target=knock)
    thread.start()
    reach.stop()
    thread.join(60)
    assert len(ended) == 1


def test_whoever_waits_for_a_peer_is_told_of_the_end(listener: socket.socket) -> None:
    endpoint = Endpoint(HOST, listener.getsockname()[1])
    reach = Reach(scope_of(endpoint.port))
    with reach.connect(endpoint, 600) as connection:
        received: list[bytes] = []
        thread = threading.Thread(target=lambda: received.append(connection.recv(1)))
        thread.start()
        reach.stop()
        thread.join(60)
        assert received == [b""]
    with pytest.raises(Interrupted):
        reach.connect(endpoint, 5)


@pytest.mark.parametrize("port", [1, 22, 104, 1023])
def test_no_data_port_is_another_service(listener: socket.socket, port: int) -> None:
    reach = Reach(scope_of(listener.getsockname()[1]))
    with pytest.raises(OutOfScope):
        reach.connect_beside(Endpoint(HOST, listener.getsockname()[1]), port, 5)


def test_the_pace_is_kept_however_many_ask_at_once() -> None:
    now = 100.0
    pace = Pace(10, lambda: now)
    delays = [pace.delay() for _ in range(21)]
    assert delays[0] <= 0.1
    assert delays[20] == pytest.approx(delays[0] + 2.0)


def test_an_unlisted_port_is_outside_even_of_a_listed_host() -> None:
    assert not scope_of(104).allows(Endpoint(HOST, 105))
    assert scope_of(104).begins < datetime.now(UTC) < scope_of(104).ends
