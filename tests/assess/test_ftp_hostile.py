"""FTP servers that mean harm: they cannot hang, fill, crash or lead astray whoever looks at them."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.observation import Endpoint, ServiceResult
from leadglass.assess.probes.ftp import FtpProbe, NotFtp
from leadglass.assess.reach import Budget
from leadglass.errors import NotAvailable
from tests.assess.web_servers import ADDRESS, TIMEOUT, greeting_with, way_to

Send = Callable[[socket.socket], None]
FILE = b"-rw-r--r-- 1 ftp ftp 100 Jan 01 2020 %s\r\n"


def content(data: bytes) -> Send:
    return lambda connection: connection.sendall(data)


def endless(data: bytes) -> Send:
    def send(connection: socket.socket) -> None:
        while True:
            connection.sendall(data)

    return send


def nothing(connection: socket.socket) -> None:
    """Until the auditor hangs up."""
    connection.recv(1)


@contextmanager
def scripted(listing: Send, file: Send, *, passive: bytes = b"", asked: list[bytes] | None = None) -> Iterator[int]:
    """Lets anybody in; what LIST and RETR bring is sent by `listing` and `file`. `passive`: its answer to EPSV and
    PASV, if not the truth."""
    commands = asked if asked is not None else []

    def attend(control: socket.socket, data: socket.socket) -> None:
        with control, suppress(OSError):
            control.settimeout(TIMEOUT)
            control.sendall(b"220 ready\r\n")
            for line in control.makefile("rb"):
                commands.append(line.strip())
                word = line.split()[0].upper() if line.split() else b""
                if word in (b"EPSV", b"PASV"):
                    told = b"229 (|||%d|)\r\n" % data.getsockname()[1]
                    control.sendall(passive or told)
                elif word in (b"LIST", b"RETR"):
                    control.sendall(b"150 here it comes\r\n")
                    connection, _ = data.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(TIMEOUT)
                        (listing if word == b"LIST" else file)(connection)
                    control.sendall(b"226 done\r\n")
                else:
                    control.sendall(b"230 welcome\r\n" if word == b"USER" else b"200 yes\r\n")

    with socket.create_server((ADDRESS, 0)) as listener, socket.create_server((ADDRESS, 0)) as data:
        data.settimeout(TIMEOUT)

        def accept() -> None:
            with suppress(OSError):
                attend(listener.accept()[0], data)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            for each in (listener, data):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


def look(port: int, *, budget: Budget | None = None) -> ServiceResult:
    way = way_to(port, budget=budget)
    return FtpProbe(way.reach, Endpoint(ADDRESS, port), Fingerprints(), patience=0.5, longest=3.0).run()


@pytest.mark.parametrize(
    ("listing", "file"),
    [
        (endless(FILE % b"IM0001"), nothing),
        (endless(b"a" * 65_536), nothing),
        (endless(b"drwxr-xr-x 1 ftp ftp 0 Jan 01 2020 folder\r\n"), nothing),
        (nothing, nothing),
        (content(bytes(range(256)) * 100), nothing),
        (content(FILE % b"IM0001"), endless(b"a" * 65_536)),
        (content(FILE % b"IM0001"), nothing),
        (content(FILE % b"IM0001"), content(bytes(128) + b"DICM" + b"\xff" * 1000)),
        (content(b"drwxr-xr-x 1 ftp ftp 0 Jan 01 2020 again\r\n"), nothing),
    ],
    ids=["listing", "line", "folders", "silence", "noise", "file", "no file", "bad file", "folders in folders"],
)
def test_a_hostile_server_is_left_with_a_result(listing: Send, file: Send) -> None:
    with scripted(listing, file) as port:
        service = look(port, budget=Budget(seconds=4, octets=30_000_000, connections=400))
    assert service.protocol == "ftp"
    assert service.counters.studies.value == 0
    assert any(each.kind == "ftp-anonymous" for each in service.observations)


@pytest.mark.parametrize(
    "passive",
    [b"227 (1,2,3,4,0,0)\r\n", b"229 (|||0|)\r\n", b"229 (|||99999|)\r\n", b"227 nothing\r\n", b"500 no\r\n", b"\r\n"],
)
def test_no_data_connection_is_no_disaster(passive: bytes) -> None:
    with scripted(nothing, nothing, passive=passive) as port:
        service = look(port)
    assert service.counters.images_advertised.value == 0
    assert any("breaks off" in each for each in service.unknowns)


def test_names_that_would_be_commands_are_not_said() -> None:
    asked: list[bytes] = []
    lines = [FILE % name for name in (b"IM1\rDELE IM2", b"../../etc/passwd", b"IM2\0x", b"I" * 100_000, b"IM3")]
    with scripted(content(b"".join(lines)), content(b"x"), asked=asked) as port:
        look(port)
    assert b"RETR /IM3" in asked
    assert not [each for each in asked if b"DELE" in each or b"passwd" in each or b"\0" in each or len(each) > 300]


@pytest.mark.parametrize("greeting", [b"220-" * 10_000, b"220-a\r\n" * 5_000, b"", b"\xff\xfe\r\n", b"99 x\r\n"])
def test_greetings_are_bounded(greeting: bytes) -> None:
    with greeting_with(greeting) as port, pytest.raises((NotFtp, NotAvailable)):
        look(port)
