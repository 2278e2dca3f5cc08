"""Discovery: what answers is found whatever else is silent, and an interrupted search goes on where it stopped."""

import json
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from leadglass.assess.discovery import State, discover, kept_state
from leadglass.assess.observation import Endpoint
from leadglass.assess.reach import OutOfScope, Reach
from leadglass.assess.scope import Scope, parse_scope, resolve_name
from leadglass.errors import RefusedForSafety

NETWORK = [f"127.0.14.{number}" for number in range(1, 41)]
LISTENING = NETWORK[::4]


def scope_of(*ports: int, networks: str = '"127.0.14.0/24", "::1/128"') -> Scope:
    text = (
        '[organisation]\nname = "Lab"\nauthorised_by = "Lab"\nfrom = 2020-01-01\nuntil = 2099-01-01\n'
        f"[targets]\nnetworks = [{networks}]\nports = {list(ports)}\n"
    )
    return parse_scope(text.encode(), resolve_name)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server((LISTENING[0], 0)))
        number: int = first.getsockname()[1]
        for address in LISTENING[1:]:
            stack.enter_context(socket.create_server((address, number)))
        yield number


def _search(scope: Scope, state: State, addresses: list[str]) -> list[str]:
    done: list[str] = []
    discover(Reach(scope), map(ip_address, addresses), scope.ports, state, lambda address, _: done.append(address), 64)
    return done


def test_what_answers_is_found(port: int) -> None:
    state = State()
    done = _search(scope_of(port, 1), state, NETWORK)
    assert sorted(done) == sorted(NETWORK)
    assert {address for address, found in state.found.items() if found} == set(LISTENING)
    assert all(found in ((), (port,)) for found in state.found.values())


def test_one_that_never_answers_is_silent() -> None:
    """A full backlog drops what comes: nothing answers, and nothing refuses."""
    with socket.create_server(("127.0.14.200", 0), backlog=0) as server, ExitStack() as stack:
        address, number = server.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((address, number))
        state = State()
        _search(scope_of(number), state, [address])
    assert state.found == {address: ()}


def test_over_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        number = server.getsockname()[1]
        reach = Reach(scope_of(number))
        state = State()
        _search(reach.scope, state, ["::1"])
        reach.connect(Endpoint("::1", number), 5).close()
    assert state.found == {"::1": (number,)}


def test_nothing_outside_is_knocked_at(port: int) -> None:
    with pytest.raises(OutOfScope):
        _search(scope_of(port), State(), ["127.0.15.1"])


def test_an_interrupted_search_goes_on(port: int, tmp_path: Path) -> None:
    path, scope = tmp_path / "state", scope_of(port)
    with pytest.raises(KeyboardInterrupt), kept_state(path, scope.sha256, scope.ports) as state:
        _search(scope, state, NETWORK[:10])
        raise KeyboardInterrupt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {tuple(sorted(line)) for line in lines[1:]} == {("address", "open")}
    with path.open("a") as file:
        file.write('{"address": "127.0.14.40", "op')  # as when the machine went down
    with kept_state(path, scope.sha256, scope.ports) as state:
        assert sorted(state.found) == sorted(NETWORK[:10])
        _search(scope, state, NETWORK)
        assert len(state.found) == len(NETWORK)
    assert not path.exists()


def test_another_scope_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt), kept_state(path, "a" * 64, (104,)) as state:
        state.add("127.0.14.1", [104])
        raise KeyboardInterrupt
    with kept_state(path, "b" * 64, (104,)) as state:
        assert state.found == {}


def test_a_symbolic_link_is_no_state(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedForSafety), kept_state(tmp_path / "link", "a" * 64, (104,)):
        pass
    assert not (tmp_path / "elsewhere").exists()
