"""A peer on the wire, byte by byte: for what no honest requestor would send. Nothing here waits without a bound."""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from leadglass.crypto.tls import CertificateChain, client_context
from leadglass.dicom import uids
from leadglass.dimse.association import Association
from leadglass.dimse.items import ProposedContext, RoleSelection, UserInformation
from leadglass.dimse.message import CEchoRsp
from leadglass.dimse.pdu import AssociateRq
from leadglass.dimse.status import SUCCESS
from leadglass.model import AssociationLimits
from tests.clients import connected, ct, store
from tests.served import Served

TIMEOUT = 60.0
ABORT, ACCEPT, REJECT, DATA = 7, 2, 3, 4


def plain(archive: Served, *, receive_buffer: int = 0) -> socket.socket:
    """A TCP connection to the DICOM port."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(TIMEOUT)
    connection.connect(("127.0.0.1", archive.port))
    return connection


def tls(archive: Served, device: str, *, receive_buffer: int = 0) -> ssl.SSLSocket:
    """A TLS connection with the key and certificate of a device."""
    chain = CertificateChain(archive.devices / f"{device}.crt", archive.devices / f"{device}.key")
    context = client_context(archive.devices / "ca.crt", chain)
    return context.wrap_socket(plain(archive, receive_buffer=receive_buffer), server_hostname="localhost")


def stranger(archive: Served, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLSocket:
    """A TLS connection of somebody who checks nothing and shows what is given, perhaps nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context.wrap_socket(plain(archive))


def ended(connection: socket.socket) -> bytes:
    """What the peer still sends until it closes; fails when it does not within the time-out."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ssl.SSLError:
        # An alert is not yet the end: that is when the connection below closes.
        with socket.socket(fileno=connection.detach()) as below:
            below.settimeout(TIMEOUT)
            ended(below)
    except (ConnectionResetError, BrokenPipeError):
        return received
    return received


def dripped(connection: socket.socket, data: bytes, every: float = 0.05) -> int:
    """Send one byte after the other until the peer hangs up; how many went out."""
    for number in range(len(data)):
        try:
            connection.send(data[number : number + 1])
        except OSError:
            return number
        if select.select([connection], [], [], every)[0]:
            ended(connection)
            return number + 1
    return len(data)


def client_hello() -> bytes:
    """A ClientHello as OpenSSL makes it, from memory."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLWantReadError):  # the server's answer is what it wants
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU whose length field may lie."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def value(context_id: int, control: int, data: bytes, length: int | None = None) -> bytes:
    """A presentation data value whose length may lie; control 1 = command, 2 = last."""
    return struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data


def request(
    calling: str, contexts: Iterable[tuple[str, str]], *, called: str = "LEADGLASS", retrieves: bool = False
) -> tuple[Association, bytes]:
    """The requestor's side and its encoded A-ASSOCIATE-RQ."""
    limits = AssociationLimits()
    pairs = tuple(contexts)
    proposed = tuple(ProposedContext(2 * number + 1, uid, (syntax,)) for number, (uid, syntax) in enumerate(pairs))
    storage = sorted({uid for uid, _ in pairs if uid in uids.STORAGE_SOP_CLASSES})
    roles = tuple(RoleSelection(uid, scu=False, scp=True) for uid in storage) if retrieves else ()
    association = Association.requestor(limits)
    user = UserInformation(limits.max_pdu, uids.IMPLEMENTATION_CLASS_UID, uids.IMPLEMENTATION_VERSION_NAME, roles=roles)
    return association, association.request(AssociateRq(called, calling, proposed, user))


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU."""
    kind, length = struct.unpack(">BxI", _exactly(connection, 6))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "the archive hung up"
        data += part
    return data


@contextmanager
def associated(
    archive: Served,
    device: str,
    *contexts: tuple[str, str],
    retrieves: bool = False,
    receive_buffer: int = 0,
) -> Iterator[tuple[ssl.SSLSocket, Association]]:
    """An accepted association of a device that then goes its own way; the connection is closed in the end."""
    with tls(archive, device, receive_buffer=receive_buffer) as connection:
        association, asked = request(device.upper(), contexts, retrieves=retrieves)
        connection.sendall(asked)
        kind, body = read_pdu(connection)
        assert kind == ACCEPT
        association.receive(pdu(kind, body))
        yield connection, association


def is_served(archive: Served, number: int) -> None:
    """An honest device gets its C-ECHO and stores an object of its own."""
    with connected(archive, "scanner", (uids.VERIFICATION, uids.EXPLICIT_LE)) as scanner:
        assert isinstance(answer := scanner.echo(), CEchoRsp)
        assert answer.status == SUCCESS
    data = ct(number, study=f"2.25.77.{number}")
    assert [response.status for response in store(archive, data)] == [SUCCESS]
    assert archive.process is not None
    assert archive.process.poll() is None


def status_of(archive: Served, field: str) -> int:
    """A number from /proc/PID/status of `serve`, over all its processes: VmRSS (in KiB), Threads …"""
    return sum(_each_status(archive, field))


def largest(archive: Served) -> int:
    """KiB of the process of `serve` that has most in memory."""
    return max(_each_status(archive, "VmRSS"))


def _each_status(archive: Served, field: str) -> list[int]:
    texts = (Path(f"/proc/{pid}/status").read_text() for pid in archive.pids())
    return [int(line.split()[1]) for text in texts for line in text.splitlines() if line.startswith(f"{field}:")]


def unread_by(archive: Served) -> int:
    """Bytes that peers have sent and `serve` has not read yet (the kernel's receive queues of its port)."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    port = f":{archive.port:04X}"
    fields = [row.split() for row in rows]
    return sum(int(each[4].split(":")[1], 16) for each in fields if each[1].endswith(port) and each[3] == "01")


def eventually(holds: Callable[[], bool]) -> None:
    """Ask until it holds, for as long as a peer program's time-out: what the archive does after it has hung up."""
    waiting = threading.Event()
    for _ in range(600):
        if holds():
            return
        waiting.wait(0.1)
    pytest.fail("it never came to hold")
