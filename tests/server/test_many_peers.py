"""Many peers at once, known and unknown: bounded in number and in what each costs."""

import select
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from leadglass.dicom import uids
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from tests.clients import connected
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.wire import client_hello, ended, eventually, is_served, plain, status_of, unread_by

ECHO = (uids.VERIFICATION, uids.EXPLICIT_LE)


def test_200_associations_at_once(copied: Copied, tmp_path: Path) -> None:
    together = threading.Barrier(200)

    def echo(served: Served) -> int:
        with connected(served, "scanner", ECHO) as scanner:
            together.wait(60)
            return scanner.echo().status

    with copied(tmp_path) as served, ThreadPoolExecutor(200) as peers:
        assert list(peers.map(echo, [served] * 200)) == [SUCCESS] * 200
        is_served(served, 1)


def test_a_stranger_costs_little_memory(copied: Copied, tmp_path: Path) -> None:
    """At most 128 KiB of resident memory for each connection that has not authenticated."""
    hello = client_hello()
    with copied(tmp_path) as served, ExitStack() as stack:
        is_served(served, 1)
        before = status_of(served, "VmRSS")
        for number in range(100):
            peer = stack.enter_context(plain(served))
            # Every second handshake gets as far as it can without the peer's certificate.
            peer.sendall(hello if number % 2 else hello[:-1])
        eventually(lambda: status_of(served, "Threads") > 100 and not unread_by(served))
        after = status_of(served, "VmRSS")
    assert after - before <= 100 * 128


def test_strangers_are_capped_in_number(copied: Copied, tmp_path: Path) -> None:
    """The ninth is turned away at once; devices that are in stay in, and places come free."""
    settings = "[dimse]\nstrangers = 8\nartim_seconds = 60\n"
    with copied(tmp_path, settings) as served, connected(served, "scanner", ECHO) as scanner, ExitStack() as stack:
        held = [stack.enter_context(plain(served)) for _ in range(8)]
        for _ in range(3):
            with plain(served) as late:
                assert ended(late) == b""
        assert not select.select(held, [], [], 0)[0]
        assert scanner.echo().status == SUCCESS
        held.pop().close()
        eventually(lambda: echoes(served))
        while held:
            held.pop().close()
        eventually(lambda: echoes(served))
        is_served(served, 1)
        assert "too_many" in served.run("device", "log", "scanner")


def echoes(archive: Served) -> bool:
    try:
        with connected(archive, "scanner", ECHO) as scanner:
            return scanner.echo().status == SUCCESS
    except LeadglassError:
        return False
