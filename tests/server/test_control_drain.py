"""The control socket closes after the verbs under way, and does not wait for callers that ask nothing."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.errors import NotAvailable
from leadglass.server.control import ControlDoor
from leadglass.server.control_client import ControlClient
from leadglass.server.verbs import VERBS, Call
from tests.server.conftest import Copied

FOR_EVER = 3600.0


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Archive:
    served = copied(tmp_path)
    return open_archive(served.data, served.keys, ArchiveConfig(reserve_bytes=0))


class Slow:
    """A verb that takes as long as the test likes."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, _: Call) -> str:
        self.begun.set()
        assert self.may_end.wait(60)
        self.ended.set()
        return "done"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    verb = Slow()
    monkeypatch.setitem(VERBS, "slow", verb)
    return verb


def call(client: ControlClient) -> object:
    return client.call("slow", {}, (), lambda *_: None)


def test_a_verb_under_way_ends_first(archive: Archive, slow: Slow) -> None:
    door = ControlDoor(archive, FOR_EVER)
    door.start()
    client = ControlClient.connect(archive.directory.path)
    with closing(archive), socket.socket(socket.AF_UNIX) as idle, ThreadPoolExecutor(2) as pool:
        idle.settimeout(60)
        idle.connect(str(archive.directory.control))
        idle.sendall(b'{"verb": "device-list", "params": {}, "files": 0}\n')
        assert idle.recv(65_536).startswith(b'{"result"')
        answer = pool.submit(call, client)
        assert slow.begun.wait(60)
        closed = pool.submit(door.close)
        while idle.recv(65_536):  # the end comes without its asking
            pass
        assert not closed.done()
        slow.may_end.set()
        closed.result(60)
        assert slow.ended.is_set()
        assert answer.result(60) == "done"
    client.close()


def test_the_drain_is_bounded(archive: Archive, slow: Slow) -> None:
    """What goes on after it must not find the lock released: only the end of the process does that."""
    door = ControlDoor(archive, 0)
    door.start()
    client = ControlClient.connect(archive.directory.path)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call, client)
        assert slow.begun.wait(60)
        door.close()
        assert not slow.ended.is_set()
        archive.settle()
        with pytest.raises(NotAvailable, match="open"):
            open_archive(archive.directory.path, archive.keys.path, ArchiveConfig(reserve_bytes=0))
        slow.may_end.set()
        assert answer.result(60) == "done"
    client.close()
    archive.directory.unlock()
