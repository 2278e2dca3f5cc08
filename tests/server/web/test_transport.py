"""The transport of the web door, as peers on raw sockets see it."""

import asyncio
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.archive.provision import server_chains
from leadglass.crypto.keys import KeyDirectory
from leadglass.crypto.tls import web_context
from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.listener import TlsListener
from leadglass.server.web.transport import LINGER_BYTES, TlsTransport
from tests.clients import ROOT, ct, store
from tests.served import Served
from tests.server.web.records import DATA, HANDSHAKE, Records
from tests.web import add_user, as_user, token_of, trusting

STUDY = f"/dicom-web/studies/{ROOT}.61"
MEBIBYTE = bytes(1024 * 1024)
SLICES = 16
#: Of a client's socket, so that little of an answer is on its way.
NARROW = 4096


@dataclass
class Listening:
    """A door of one protocol, in a thread of its own."""

    port: int
    trust: ssl.SSLContext
    loop: asyncio.AbstractEventLoop
    ended: asyncio.Event

    def end(self) -> None:
        """Begin to."""
        self.loop.call_soon_threadsafe(self.ended.set)

    def tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 30)

    def tls(self) -> ssl.SSLSocket:
        return self.trust.wrap_socket(self.tcp(), server_hostname="localhost")

    def narrow(self) -> ssl.SSLSocket:
        return self.trust.wrap_socket(narrow(self.port), server_hostname="localhost")


def narrow(port: int) -> socket.socket:
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
    plain.settimeout(30)
    plain.connect(("127.0.0.1", port))
    return plain


Listen = Callable[[Callable[[], asyncio.Protocol]], Listening]


@pytest.fixture
def listen(furnished: Served) -> Iterator[Listen]:
    """Gives up on a handshake, and on who takes nothing, within a second."""
    context = web_context(server_chains(KeyDirectory.open(furnished.keys)))
    with ExitStack() as stack:

        def start(protocol: Callable[[], asyncio.Protocol]) -> Listening:
            return stack.enter_context(_listening(context, protocol, trusting(furnished)))

        yield start


@contextmanager
def _listening(
    context: ssl.SSLContext, protocol: Callable[[], asyncio.Protocol], trust: ssl.SSLContext
) -> Iterator[Listening]:
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        async def serve() -> None:
            listener = TlsListener(listening, context, protocol, WebConfig(handshake_seconds=0.5, stall_seconds=0.5))
            started.set()
            await ended.wait()
            listener.close()
            await listener.wait_closed()

        started, ended = threading.Event(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        started.wait()
        server = Listening(listening.getsockname()[1], trust, loop, ended)
        yield server
        server.end()
        thread.join()
        loop.close()


class Echo(asyncio.Protocol):
    """Says what it hears."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(bytes(data))


class Much(Echo):
    """Says much at once; and a last word when that is nearly gone."""

    data = bytes(range(256)) * 4096 * 24

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - as asyncio has it
        self.paused = False
        self.transport.write(self.data)
        assert self.paused

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.transport.write(b"the end")
        self.transport.close()


def test_what_is_written_waits_for_who_takes_it(listen: Listen) -> None:
    with listen(Much).tls() as peer:
        peer.sendall(b"go on")
        taken = bytearray()
        while data := peer.recv(65_536):
            taken += data
    assert taken == Much.data + b"the end"


def test_who_does_not_shake_hands_is_let_go(listen: Listen) -> None:
    server = listen(Echo)
    with server.tcp() as silent, server.tcp() as garbage, server.tls() as peer:
        garbage.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with suppress(ConnectionResetError):
            while garbage.recv(1024):  # an alert at most
                pass
        with pytest.raises(ConnectionResetError):
            silent.recv(1)
        peer.sendall(b"still there")
        assert peer.recv(1024) == b"still there"


class LastWord(asyncio.Protocol):
    """Refuses whatever comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - as asyncio has it
        self.transport.write(b"no")
        self.transport.close()


def test_a_last_word_arrives_although_the_peer_goes_on_sending(listen: Listen) -> None:
    with listen(LastWord).tls() as peer:
        for _ in range(8):
            peer.sendall(MEBIBYTE)
        assert peer.recv(1024) == b"no"
        assert peer.recv(1024) == b""


def test_who_never_stops_sending_is_cut(listen: Listen) -> None:
    with listen(LastWord).tls() as peer, pytest.raises(OSError):
        for _ in range(8 * LINGER_BYTES // len(MEBIBYTE)):
            peer.sendall(MEBIBYTE)


class Parting(Much):
    """Says much, and no more."""

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - as asyncio has it
        self.transport.write(self.data)
        self.transport.close()

    def resume_writing(self) -> None:
        pass


def hung_up(peer: socket.socket) -> bool:
    waiting = select.poll()
    waiting.register(peer, select.POLLRDHUP)
    return bool(waiting.poll(30_000))


def test_who_does_not_take_the_last_word_is_cut(listen: Listen) -> None:
    with listen(Parting).tls() as peer:
        peer.sendall(b"go on")
        assert hung_up(peer)


def test_who_takes_a_little_all_the_time_gets_all_of_it(listen: Listen) -> None:
    """The system says that there is room when a third of megabytes is."""
    pace, got = threading.Event(), bytearray()
    with listen(Parting).tls() as peer:
        peer.sendall(b"go on")
        while data := peer.recv(65_536):
            got += data
            if len(got) < 2 * len(MEBIBYTE):
                pace.wait(0.02)
    assert got == Much.data


class Brief(Parting):
    data = MEBIBYTE


def test_what_was_said_arrives_although_the_door_is_closed(listen: Listen) -> None:
    server = listen(Brief)
    with server.narrow() as peer:
        peer.sendall(b"go on")
        got = bytearray(peer.recv(1))
        server.end()
        while data := peer.recv(65_536):
            got += data
    assert got == MEBIBYTE


def test_who_stops_in_the_midst_of_a_message_of_tls_gets_no_answer(listen: Listen, tmp_path: Path) -> None:
    """OpenSSL would read the rest before it writes, and would be asked for ever."""
    server = listen(Echo)
    peer = Records(server.tcp(), server.trust, tmp_path / "keys")
    with peer.connection:
        peer.send((DATA, b"first"), (HANDSHAKE, b"\x18\0\0\1"))  # KeyUpdate without its end
        assert hung_up(peer.connection)
        assert not peer.connection.recv(1024)


class Counting(Echo):
    most = 0

    def data_received(self, data: bytes) -> None:
        self.most = max(self.most, len(data))
        if data[-1:] == b"!":
            self.transport.write(str(self.most).encode())


def test_records_of_a_byte_do_not_keep_the_loop(listen: Listen, tmp_path: Path) -> None:
    server = listen(Counting)
    peer = Records(server.tcp(), server.trust, tmp_path / "keys")
    with peer.connection:
        peer.send(*[(DATA, b".")] * 5000, (DATA, b"!"))
        assert int(peer.connection.recv(1024)) < 100


class Made(Echo):
    """Answers with what is made in a thread, which is told to wait."""

    def __init__(self, executor: ThreadPoolExecutor, buffers: Callable[[], Iterator[bytes]]) -> None:
        self._executor = executor
        self._buffers = buffers

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - as asyncio has it
        sending = self.transport.send_made(self._executor, self._buffers())
        self.task = asyncio.get_running_loop().create_task(sending)


def test_a_connection_that_is_aborted_is_taken_from_its_thread_first(listen: Listen) -> None:
    """Nothing of what was under way goes out in the clear, or to whoever has the descriptor next."""
    made: list[Made] = []
    begun, aborted = threading.Event(), threading.Event()

    def buffers() -> Iterator[bytes]:
        yield MEBIBYTE
        begun.set()
        aborted.wait()
        yield b"secret" * 100_000

    with ThreadPoolExecutor(1) as executor:

        def protocol() -> Made:
            made.append(Made(executor, buffers))
            return made[-1]

        server = listen(protocol)
        with server.tls() as peer:
            peer.sendall(b"begin")
            begun.wait()
            server.loop.call_soon_threadsafe(made[0].transport.abort)
            server.loop.call_soon_threadsafe(aborted.set)
            received = bytearray()
            with pytest.raises(OSError):
                while data := socket.socket.recv(peer, 65_536):
                    received += data
                raise ConnectionError("an end without a last word")
            assert b"secret" not in received
        executor.shutdown()


def test_a_connection_that_its_peer_has_reset_is_aborted_like_others(listen: Listen) -> None:
    made: list[Made] = []
    begun, gone = threading.Event(), threading.Event()
    failures: list[dict[str, object]] = []

    def buffers() -> Iterator[bytes]:
        begun.set()
        gone.wait()
        yield b"too late"

    def fail(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        failures.append(context)
        gone.set()

    def abort() -> None:
        made[0].transport.abort()
        gone.set()

    with ThreadPoolExecutor(1) as executor:

        def protocol() -> Made:
            made.append(Made(executor, buffers))
            return made[-1]

        server = listen(protocol)
        server.loop.set_exception_handler(fail)
        with server.tls() as peer:
            peer.sendall(b"begin")
            begun.wait()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.loop.call_soon_threadsafe(abort)
        gone.wait()
    assert not failures


@pytest.fixture(scope="module")
def held(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Holds a study that no socket's buffers take, and loses patience within a second."""
    settings = "[web]\nstall_seconds = 1\nheader_seconds = 1\n"
    with furnished.copy(tmp_path_factory.mktemp("held"), settings=settings) as served:
        store(served, *(ct(number, study=f"{ROOT}.61", pixels=MEBIBYTE) for number in range(1, SLICES + 1)))
        add_user(served, "reader", "clinician")
        yield served


def asked(archive: Served, behind: str = "") -> ssl.SSLSocket:
    """A narrow connection on which the study has been asked for, and `behind`."""
    connection = trusting(archive).wrap_socket(narrow(archive.https_port), server_hostname="localhost")
    connection.sendall(
        (
            f"GET {STUDY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token_of(archive, 'reader')}\r\n"
            f'Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r\n\r\n{behind}'
        ).encode()
    )
    return connection


def test_who_takes_nothing_holds_no_thread_and_is_cut(held: Served) -> None:
    with ExitStack() as stack:
        stuck = [stack.enter_context(asked(held)) for _ in range(12)]
        for each in stuck:
            assert each.recv(12) == b"HTTP/1.1 200"
        with as_user(held, "clinician") as client:
            assert len(client.get(STUDY).content) > SLICES * len(MEBIBYTE)
        for each in stuck:
            assert hung_up(each)


def test_who_is_slow_gets_all_of_it(held: Served) -> None:
    """A small window opens again and again; what was asked for behind it comes next."""
    got = bytearray()
    with asked(held, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as slow:
        while data := slow.recv(NARROW):
            got += data
    header, _, rest = got.partition(b"\r\n\r\n")
    (length,) = (
        int(line.split(b":")[1]) for line in header.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    assert length > SLICES * len(MEBIBYTE)
    assert rest[length:].startswith(b"HTTP/1.1 200")


def test_what_is_asked_behind_a_long_answer_has_its_time_after_it(held: Served) -> None:
    pace, got = threading.Event(), bytearray()
    with asked(held, "GET /healthz HTTP/1.1\r\n") as peer:
        for _ in range(100):
            got += peer.recv(NARROW)
            pace.wait(0.02)
        peer.sendall(b"Host: localhost\r\nConnection: close\r\n\r\n")
        while data := peer.recv(65_536):
            got += data
    assert len(got) > SLICES * len(MEBIBYTE)
    assert got.count(b"HTTP/1.1 200") == 2
