"""The control socket: for its owner only, and nothing that is sent to it ends it or shows in the log."""

import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from leadglass.errors import LeadglassError, UsageError
from leadglass.server.control_client import ControlClient
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.wire import ended, eventually, is_served


@pytest.fixture(scope="module")
def archive(copied: Copied, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with copied(tmp_path_factory.mktemp("control")) as served:
        yield served


@pytest.fixture(autouse=True)
def goes_on(archive: Served) -> Iterator[None]:
    yield
    assert "scanner" in archive.run("device", "list")
    assert "Traceback" not in archive.log.read_text()
    assert "plantedzq" not in archive.log.read_text()


def test_only_its_owner_may_connect(archive: Served) -> None:
    assert stat.S_IMODE((archive.data / "control.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(archive.data.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "sent",
    [
        b"plantedzq\n",
        b"{}\n",
        b"[]\n",
        b'{"verb": "device-list", "params": {}, "files": "plantedzq"}\n',
        b'{"verb": "device-list", "params": {}}\n',
        b"x" * 1_100_000,
        b"\xff\xfe\n",
    ],
    ids=["words", "empty", "list", "files", "no-files", "endless", "encoding"],
)
def test_requests_that_are_none(archive: Served, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(archive.data / "control.sock"))
        # The door hangs up on an endless line before all of it was sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            caller.sendall(sent)
        ended(caller)


def test_files_of_no_request_are_let_go(archive: Served) -> None:
    def open_files() -> int:
        return len(list(Path(f"/proc/{archive.pids()[0]}/fd").iterdir()))

    before = open_files()
    with Path(__file__).open("rb") as file, socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(60)
        caller.connect(str(archive.data / "control.sock"))
        socket.send_fds(caller, [b"no request\n"], [file.fileno()] * 20)
        ended(caller)
    eventually(lambda: open_files() <= before)


def test_verbs_that_fail(archive: Served) -> None:
    client = ControlClient.connect(archive.data)
    with pytest.raises(UsageError, match="knows no verb"):
        client.call("open-to-everybody", {}, (), lambda *_: None)
    for verb, params in (("device-show", {}), ("review-show", {"id": ["plantedzq"]}), ("import", {"site": 3})):
        with pytest.raises(LeadglassError) as failed:
            client.call(verb, params, (0,), lambda *_: None)
        assert "plantedzq" not in str(failed.value)
    assert client.call("device-list", {}, (), lambda *_: None)
    client.close()
    is_served(archive, 1)
