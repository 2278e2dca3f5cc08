"""Peers that break the rules, by mistake or on purpose: they are cut off, and everybody else is served as before."""

import os
import random
import select
import socket
import ssl
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from leadglass.dicom import tags, uids
from leadglass.dicom.attributes import encode_attributes
from leadglass.dimse.message import CEchoRq, CFindRq, CGetRq, CStoreRq, encode_command
from leadglass.dimse.status import SUCCESS
from tests.clients import CT, ROOT, ct, find, get, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.wire import (
    ABORT,
    DATA,
    associated,
    client_hello,
    dripped,
    ended,
    eventually,
    is_served,
    largest,
    pdu,
    plain,
    read_pdu,
    request,
    tls,
    value,
)

#: Short times for peers, so that the tests see the end of each; an honest peer needs none of it.
SETTINGS = """
[dimse]
artim_seconds = 1
idle_seconds = 1
send_seconds = 1
"""
NUMBERS = count(1000)
ECHO = (uids.VERIFICATION, uids.EXPLICIT_LE)
STORE = (CT, uids.EXPLICIT_LE)
FIND = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)
GET = (uids.STUDY_ROOT_GET, uids.EXPLICIT_LE)


@pytest.fixture(scope="module")
def archive(copied: Copied, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with copied(tmp_path_factory.mktemp("hostile"), SETTINGS) as served:
        yield served


@pytest.fixture(autouse=True)
def everybody_else_is_served(archive: Served) -> Iterator[None]:
    """After each test: an honest device, and no defect on record."""
    logged = archive.log.stat().st_size
    yield
    is_served(archive, next(NUMBERS))
    assert "defect" not in archive.log.read_text()[logged:]


def pack_bytes(archive: Served) -> dict[str, int]:
    return {path.name: len(path.read_bytes().rstrip(b"\0")) for path in (archive.data / "packs").rglob("*.pack")}


# Before TLS


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: archive\r\n\r\n",
        b"\x00" * 4096,
        random.Random(1).randbytes(65_536),
        pdu(1, b"\0" * 100),  # DICOM without TLS
        b"\x16\x03\x01\xff\xff" + b"\xff" * 100,
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["http", "zeros", "random", "plain-dicom", "long-record", "ssh"],
)
def test_garbage_instead_of_tls(archive: Served, first: bytes) -> None:
    with plain(archive) as peer:
        peer.sendall(first)
        ended(peer)


@pytest.mark.parametrize("sent", [b"", client_hello()[:100]], ids=["nothing", "half-a-hello"])
def test_half_open_tls_is_cut(archive: Served, sent: bytes) -> None:
    with plain(archive) as peer:
        peer.sendall(sent)
        assert ended(peer) == b""


def test_a_hello_byte_by_byte_is_cut(archive: Served) -> None:
    """Every byte comes in time for a time-out of the socket, the handshake as a whole does not."""
    hello = client_hello()
    with plain(archive) as peer:
        assert dripped(peer, hello) < len(hello)


def test_peers_that_vanish(archive: Served) -> None:
    """A reset instead of an end, at several points of the handshake."""
    for sent in (b"", client_hello()[:10], client_hello()):
        peer = plain(archive)
        peer.sendall(sent)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()


# Inside TLS, before an association


def test_a_device_that_says_nothing_is_cut(archive: Served) -> None:
    with tls(archive, "scanner") as peer:
        assert ended(peer) == b""


def test_an_association_request_byte_by_byte_is_cut(archive: Served) -> None:
    with tls(archive, "scanner") as peer:
        _, asked = request("SCANNER", [ECHO])
        assert dripped(peer, asked) < len(asked)


def associate_body() -> bytes:
    return request("SCANNER", [ECHO])[1][6:]


@pytest.mark.parametrize(
    "sent",
    [
        pdu(1, associate_body(), 0xFFFFFFFF),
        pdu(1, associate_body(), 65_537),
        pdu(1, associate_body(), 10),
        pdu(1, b""),
        pdu(1, associate_body()[:-20]),
        pdu(1, associate_body() + b"\x50\x00\xff\xff"),
        pdu(DATA, value(1, 3, b"early")),
        pdu(5, b"\0\0\0\0"),
        pdu(6, b"\0\0\0\0"),
        pdu(2, associate_body()),
        pdu(3, b"\0\1\1\1"),
        pdu(0x42, b"\0\0\0\0"),
        random.Random(2).randbytes(4096),
    ],
    ids=[
        "4-GiB",
        "beyond-the-bound",
        "too-short",
        "empty",
        "cut",
        "item-overrun",
        "data-first",
        "release-first",
        "release-reply-first",
        "accept-first",
        "reject-first",
        "no-such-pdu",
        "random",
    ],
)
def test_a_bad_association_request_is_aborted(archive: Served, sent: bytes) -> None:
    with tls(archive, "scanner") as peer:
        peer.sendall(sent)
        answer = ended(peer)
    # Bytes that were never read make the kernel send a reset, which may overtake the A-ABORT.
    assert answer in (b"", pdu(ABORT, b"\0\0\0\0")) or answer[:1] == bytes((ABORT,))


def test_an_abort_before_the_association(archive: Served) -> None:
    with tls(archive, "scanner") as peer:
        peer.sendall(pdu(ABORT, b"\0\0\0\0"))
        assert ended(peer) == b""


def context_item(context_id: int) -> bytes:
    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(content)) + content

    return item(
        0x20,
        bytes((context_id, 0, 0, 0)) + item(0x30, uids.VERIFICATION.encode()) + item(0x40, uids.IMPLICIT_LE.encode()),
    )


def test_129_presentation_contexts_are_one_too_many(archive: Served) -> None:
    """Identifiers are the 128 odd bytes, so that one must come twice."""
    body = associate_body()
    _, plain_request = request("SCANNER", [(uids.VERIFICATION, uids.EXPLICIT_LE)] * 128)
    with tls(archive, "scanner") as peer:
        peer.sendall(plain_request)
        assert read_pdu(peer)[0] == 2
    with tls(archive, "scanner") as peer:
        more = plain_request[6:] + context_item(1)
        peer.sendall(pdu(1, more))
        assert ended(peer)[:1] == bytes((ABORT,))
    assert len(body) < len(more)


# Inside an association


def command(association_context: int, message: CStoreRq | CEchoRq | CFindRq | CGetRq, has_data: bool) -> bytes:
    return pdu(DATA, value(association_context, 3, encode_command(message, has_data)))


ECHO_COMMAND = command(1, CEchoRq(1, uids.VERIFICATION), False)


@pytest.mark.parametrize(
    "sent",
    [
        random.Random(3).randbytes(8192),
        pdu(1, associate_body()),
        pdu(2, associate_body()),
        pdu(6, b"\0\0\0\0"),
        pdu(0, b"\0\0\0\0"),
        pdu(DATA, b""),
        pdu(DATA, value(1, 3, b"x"), 0x7FFFFFFF),
        pdu(DATA, value(1, 3, b"x", length=400)),
        pdu(DATA, value(1, 3, b"x", length=1)),
        pdu(DATA, value(99, 3, encode_command(CEchoRq(1, uids.VERIFICATION), has_data_set=False))),
        pdu(DATA, value(1, 2, b"data before a command")),
        pdu(DATA, value(1, 3, os.urandom(64))),
        pdu(DATA, value(1, 1, b"\0" * 16_000)) * 2,
        command(1, CEchoRq(1, uids.VERIFICATION), True) + pdu(DATA, value(1, 2, b"x")),
        command(1, CFindRq(1, uids.STUDY_ROOT_FIND), True) + pdu(DATA, value(1, 2, b"")),
        command(1, CGetRq(1, uids.STUDY_ROOT_GET), True) + pdu(DATA, value(1, 2, b"")),
        command(1, CStoreRq(1, CT, "1.2.3"), False),
        command(3, CFindRq(1, uids.STUDY_ROOT_FIND), True) + pdu(DATA, value(3, 2, b"")),
        command(3, CGetRq(1, uids.STUDY_ROOT_GET), True) + pdu(DATA, value(3, 2, b"")),
        command(1, CStoreRq(1, CT, "1.2.3"), True) + pdu(DATA, value(1, 2, b"")),
    ],
    ids=[
        "random",
        "second-request",
        "accept",
        "release-reply",
        "no-such-pdu",
        "no-value",
        "2-GiB",
        "value-overrun",
        "value-too-short",
        "context-not-accepted",
        "data-before-command",
        "random-command",
        "endless-command",
        "echo-with-data",
        "find-on-verification",
        "get-on-verification",
        "store-without-data",
        "find-on-storage",
        "get-on-storage",
        "store-on-verification",
    ],
)
def test_what_breaks_the_protocol_is_aborted(archive: Served, sent: bytes) -> None:
    with associated(archive, "scanner", ECHO, STORE) as (peer, _):
        peer.sendall(ECHO_COMMAND)
        assert read_pdu(peer)[0] == DATA
        peer.sendall(sent)
        answer = ended(peer)
    assert answer == b"" or answer[:1] == bytes((ABORT,))


def test_another_message_in_the_middle_of_a_data_set(archive: Served) -> None:
    before = pack_bytes(archive)
    with associated(archive, "scanner", ECHO, STORE) as (peer, _):
        peer.sendall(command(3, CStoreRq(1, CT, "1.2.3"), True) + pdu(DATA, value(3, 0, ct()[:200])) + ECHO_COMMAND)
        assert ended(peer)[:1] in (b"", bytes((ABORT,)))
    eventually(lambda: pack_bytes(archive) == before)


def test_a_message_byte_by_byte_is_cut(archive: Served) -> None:
    with associated(archive, "scanner", ECHO) as (peer, _):
        assert dripped(peer, ECHO_COMMAND) < len(ECHO_COMMAND)


def test_an_idle_association_is_cut(archive: Served) -> None:
    with associated(archive, "scanner", ECHO) as (peer, _):
        ended(peer)


def test_an_identifier_that_never_ends(archive: Served) -> None:
    fragment = pdu(DATA, value(1, 0, bytes(65_536)))
    with associated(archive, "workstation", FIND) as (peer, _):
        peer.sendall(command(1, CFindRq(1, uids.STUDY_ROOT_FIND), True))
        assert sent_until_cut(peer, fragment, most=64) < 64


def sent_until_cut(peer: ssl.SSLSocket, fragment: bytes, most: int) -> int:
    for number in range(most):
        try:
            peer.sendall(fragment)
        except OSError:
            return number
        if select.select([peer], [], [], 0)[0]:
            return number
    return most


def nested(levels: int) -> bytes:
    """Sequences within sequences, none of them ever closed (PS3.5 7.5)."""
    sequence = struct.pack("<HH2sxxI", 0x0008, 0x1115, b"SQ", 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    return sequence * levels


@pytest.mark.parametrize(
    "repeated",
    [
        nested(5_000),
        struct.pack("<HH2sH", 0x0008, 0x0008, b"CS", 0) * 10_000,
        struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OB", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 10_000,
    ],
    ids=["deeper", "wider", "fragments"],
)
def test_a_data_set_that_never_ends(archive: Served, repeated: bytes) -> None:
    """It goes on for 4 MiB and stops without an end; nothing of it stays, and memory does not follow it."""
    is_served(archive, next(NUMBERS))
    before = pack_bytes(archive)
    with associated(archive, "scanner", STORE) as (peer, _):
        peer.sendall(command(1, CStoreRq(1, CT, "1.2.3"), True))
        fragment = pdu(DATA, value(1, 0, repeated))
        sent_until_cut(peer, fragment, most=4 * 1024**2 // len(fragment))
        ended(peer)
    eventually(lambda: pack_bytes(archive) == before)
    assert largest(archive) < 200 * 1024


@pytest.mark.parametrize("how", ["reset", "closed", "aborted", "silent"])
def test_a_store_dropped_in_the_middle_leaves_nothing(archive: Served, how: str) -> None:
    """2 MiB of an object are sealed into a pack already when its sender goes; the pack takes the next object."""
    is_served(archive, next(NUMBERS))
    before = pack_bytes(archive)
    study = f"{ROOT}.{next(NUMBERS)}"
    data = ct(study=study, pixels=bytes(4 * 1024**2))
    with associated(archive, "scanner", STORE) as (peer, _):
        peer.sendall(command(1, CStoreRq(1, CT, instance_of(data)), True))
        for start in range(0, 2 * 1024**2, 65_536):
            peer.sendall(pdu(DATA, value(1, 0, data[start : start + 65_536])))
        eventually(lambda: pack_bytes(archive) != before)
        if how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "aborted":
            peer.sendall(pdu(ABORT, b"\0\0\0\0"))
            ended(peer)
        elif how == "silent":
            ended(peer)
    eventually(lambda: pack_bytes(archive) == before)
    assert find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study}) == []
    is_served(archive, next(NUMBERS))
    assert set(pack_bytes(archive)) == set(before)


def test_a_slow_reader_in_the_middle_of_a_get_is_cut(archive: Served) -> None:
    """It reads nothing more after it has asked; 48 MiB do not fit into what the kernel buffers."""
    study = f"{ROOT}.{next(NUMBERS)}"
    objects = [ct(number, study=study, pixels=bytes(8 * 1024**2)) for number in range(6)]
    assert {response.status for response in store(archive, *objects)} == {SUCCESS}
    asked = encode_attributes(
        {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: study}, uids.TRANSFER_SYNTAXES[GET[1]], ()
    )
    with associated(archive, "workstation", GET, STORE, retrieves=True, receive_buffer=4096) as (peer, association):
        peer.sendall(association.reply(1, CGetRq(1, uids.STUDY_ROOT_GET), asked))
        # Only the kernel knows that the other side has given up: the connection's state leaves ESTABLISHED.
        eventually(lambda: hung_up(archive, peer))
    response, _, received = get(archive, {tags.STUDY_INSTANCE_UID: study})
    assert (response.status, len(received)) == (SUCCESS, 6)


def hung_up(archive: Served, peer: socket.socket) -> bool:
    """Whether the archive's end of the connection has been closed, without reading from it."""
    own = f":{peer.getsockname()[1]:04X}"
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    states = [row[3] for row in rows if row[1].endswith(f":{archive.port:04X}") and row[2].endswith(own)]
    return "01" not in states
