"""The requestor against pynetdicom's acceptor, dcmtk's servers and peers that misbehave, on loopback."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from leadglass.crypto.certificates import Issued, create_authority, issue_server, new_device
from leadglass.crypto.tls import CertificateChain, client_context, server_context
from leadglass.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, STUDY_ROOT_FIND, STUDY_ROOT_GET
from leadglass.dimse.connection import AssociationAborted, AssociationRefused
from leadglass.dimse.items import RoleSelection, UserIdentity, UserInformation
from leadglass.dimse.message import CEchoRsp, CStoreRq, CStoreRsp, encode_command
from leadglass.dimse.negotiation import choose
from leadglass.dimse.pdu import Abort, AssociateAc, AssociateRj, ReleaseRp, ReleaseRq, encode
from leadglass.dimse.requestor import Requestor
from leadglass.errors import NotAvailable, ProtocolError, UsageError
from leadglass.model import Attributes
from tests.dimse.peers import CONTEXTS, CT, STUDY, ct_slice, dcmtk, evt, pynetdicom_acceptor, slice_uid

QUERY: Attributes = {0x00080052: "IMAGE", 0x0020000D: STUDY, 0x0020000E: f"{STUDY}.1", 0x00080018: ""}
RETRIEVE: Attributes = {0x00080052: "STUDY", 0x0020000D: STUDY}
ROLES = (RoleSelection(CT, False, True),)


def connect(port: int, **more: Any) -> Requestor:
    return Requestor.connect(
        "127.0.0.1",
        port,
        **{"calling_ae": "LEADGLASS", "called_ae": "PEER", "contexts": CONTEXTS, "timeout": 20, **more},
    )


def store(requestor: Requestor, number: int, data: bytes) -> CStoreRsp:
    return requestor.store(CT, slice_uid(number), EXPLICIT_LE, [data])


class TestAgainstPynetdicom:
    def test_echo(self) -> None:
        with pynetdicom_acceptor({evt.EVT_C_ECHO: lambda _: 0}) as port, connect(port) as requestor:
            assert isinstance(requestor.echo(), CEchoRsp)
            assert requestor.echo().status == 0

    @pytest.mark.parametrize("maximum_pdu_size", [0, 4096, 16_382, 262_144])
    def test_stored_bytes_arrive_untouched(self, maximum_pdu_size: int) -> None:
        received: list[bytes] = []

        def handle(event: Any) -> int:
            received.append(event.encoded_dataset(include_meta=False))
            return 0xB000

        sent = [ct_slice(1), ct_slice(2, 700_001)]
        handlers = {evt.EVT_C_STORE: handle}
        with pynetdicom_acceptor(handlers, maximum_pdu_size=maximum_pdu_size) as port, connect(port) as requestor:
            responses = [store(requestor, number, data) for number, data in enumerate(sent)]
        assert [response.status for response in responses] == [0xB000, 0xB000]
        assert [response.sop_instance for response in responses] == [slice_uid(0), slice_uid(1)]
        assert received == sent

    def test_find_with_many_responses(self) -> None:
        def handle(event: Any) -> Iterator[tuple[int, Dataset | None]]:
            assert event.identifier.StudyInstanceUID == STUDY
            for number in range(500):
                match = Dataset()
                match.SOPInstanceUID = slice_uid(number)
                yield 0xFF00, match

        with pynetdicom_acceptor({evt.EVT_C_FIND: handle}) as port, connect(port) as requestor:
            answers = list(requestor.find(STUDY_ROOT_FIND, QUERY))
        assert [answer[0x00080018] for _, answer in answers[:-1]] == [slice_uid(number) for number in range(500)]
        assert {status for status, _ in answers[:-1]} == {0xFF00}
        assert answers[-1] == (0, {})

    def test_find_can_be_cancelled(self) -> None:
        def handle(event: Any) -> Iterator[tuple[int, Dataset | None]]:
            while not event.is_cancelled:
                match = Dataset()
                match.SOPInstanceUID = slice_uid(1)
                yield 0xFF00, match
            yield 0xFE00, None

        with pynetdicom_acceptor({evt.EVT_C_FIND: handle}) as port, connect(port) as requestor:
            answers = requestor.find(STUDY_ROOT_FIND, QUERY)
            next(answers)
            requestor.cancel()
            *_, (status, _) = answers
        assert status == 0xFE00

    def test_get_receives_over_the_same_association(self) -> None:
        sent = {slice_uid(number): ct_slice(number, 200_000) for number in range(1, 6)}

        def handle(event: Any) -> Iterator[Any]:
            yield len(sent)
            for data in sent.values():
                yield 0xFF00, _read(data)

        received: dict[str, int] = {}

        def on_store(rq: CStoreRq, transfer_syntax: str, fragments: Iterator[memoryview]) -> int:
            assert (rq.sop_class, transfer_syntax) == (CT, EXPLICIT_LE)
            # The third is refused without a look at its data set.
            if len(received) != 2:
                assert b"".join(map(bytes, fragments)) == sent[rq.sop_instance]
            received[rq.sop_instance] = 0xA700 if len(received) == 2 else 0
            return received[rq.sop_instance]

        with pynetdicom_acceptor({evt.EVT_C_GET: handle}) as port, connect(port, roles=ROLES) as requestor:
            assert requestor.accepted.user.roles == ROLES
            final, identifier = requestor.get(STUDY_ROOT_GET, RETRIEVE, on_store)
        assert list(received) == list(sent)
        assert (final.status, final.completed, final.failed) == (0xB000, 4, 1)
        assert identifier[0x00080058] == slice_uid(3)

    def test_user_identity_reaches_the_peer(self) -> None:
        seen: list[tuple[int, bytes]] = []

        def handle(event: Any) -> tuple[bool, bytes | None]:
            seen.append((event.user_id_type, event.primary_field))
            return True, b"welcome"

        identity = UserIdentity(5, True, b"a token")
        with pynetdicom_acceptor({evt.EVT_USER_ID: handle}) as port, connect(port, user_identity=identity) as requestor:
            assert requestor.accepted.user.user_identity_response == b"welcome"
        assert seen == [(5, b"a token")]

    def test_store_over_tls(self, tmp_path: Path) -> None:
        authority = create_authority("Test CA")
        server = _chain(tmp_path / "server", issue_server(authority, ["localhost"], "ec"))
        device = _chain(tmp_path / "device", new_device(authority, "device", "ec"))
        (tmp_path / "ca").write_bytes(authority.certificate.pem)
        received: list[bytes] = []

        def handle(event: Any) -> int:
            received.append(event.encoded_dataset(include_meta=False))
            return 0

        accepting = server_context([server], [authority.certificate.der])
        asking = client_context(tmp_path / "ca", device)
        with pynetdicom_acceptor({evt.EVT_C_STORE: handle}, accepting) as port:
            with connect(port, tls=asking, server_hostname="localhost") as requestor:
                assert store(requestor, 1, ct_slice(1, 300_000)).status == 0
            with pytest.raises(NotAvailable):
                connect(port, tls=asking, server_hostname="another.example")
        assert received == [ct_slice(1, 300_000)]

    def test_rejections_say_why(self) -> None:
        with (
            pynetdicom_acceptor({}, require_called_aet=True) as port,
            pytest.raises(AssociationRefused) as caught,
        ):
            connect(port, called_ae="SOMEBODY")
        assert caught.value.rj == AssociateRj(1, 1, 7)

    def test_sop_classes_that_were_not_accepted_are_not_sent(self) -> None:
        with pynetdicom_acceptor({}) as port, connect(port) as requestor, pytest.raises(NotAvailable):
            requestor.store(CT, slice_uid(1), IMPLICIT_LE, [b""])

    def test_an_exception_aborts(self) -> None:
        aborted = threading.Event()
        handlers = {evt.EVT_ABORTED: lambda _: aborted.set()}
        with pynetdicom_acceptor(handlers) as port, pytest.raises(KeyError), connect(port):
            raise KeyError
        assert aborted.wait(20)

    def test_aborts_of_the_peer_are_told(self) -> None:
        with (
            pynetdicom_acceptor({evt.EVT_C_ECHO: lambda event: event.assoc.abort()}) as port,
            pytest.raises(AssociationAborted),
            connect(port) as requestor,
        ):
            requestor.echo()


def _chain(path: Path, issued: Issued) -> CertificateChain:
    path.with_suffix(".crt").write_bytes(issued.certificate.pem)
    path.with_suffix(".key").write_bytes(issued.key)
    return CertificateChain(path.with_suffix(".crt"), path.with_suffix(".key"))


def _read(data: bytes) -> Dataset:
    data_set = dcmread(BytesIO(data), force=True)
    data_set.file_meta.TransferSyntaxUID = EXPLICIT_LE  # type: ignore[assignment]
    return data_set


@contextmanager
def scripted(*answers: bytes) -> Iterator[int]:
    """A peer that sends each answer after something arrived, then closes."""

    def run() -> None:
        with listener, listener.accept()[0] as connection:
            for answer in answers:
                connection.recv(1 << 20)
                connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):  # whoever aborts leaves bytes unread
                while connection.recv(1 << 20):
                    pass

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()


def p_data(control: int, data: bytes) -> bytes:
    return pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, 1, control) + data


ACCEPTED = encode(
    AssociateAc("PEER", "LEADGLASS", choose(CONTEXTS, lambda _: [EXPLICIT_LE]), UserInformation(16_384, "1.2.3"))
)


class TestAgainstPeersThatMisbehave:
    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(NotAvailable):
            connect(port)

    def test_titles_that_no_peer_could_read_are_not_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(UsageError):
            connect(listener.getsockname()[1], called_ae="SEVENTEEN LETTERS")

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (b"", NotAvailable),
            (ACCEPTED[:30], NotAvailable),
            (encode(Abort(2, 1)), AssociationAborted),
            (encode(ReleaseRp()), ProtocolError),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProtocolError),
            (bytes.fromhex("02 00 ffffffff"), ProtocolError),
        ],
    )
    def test_negotiation(self, answer: bytes, error: type[Exception]) -> None:
        with scripted(answer) as port, pytest.raises(error):
            connect(port)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (b"", NotAvailable),
            (encode(ReleaseRq()), NotAvailable),
            (p_data(3, encode_command(CEchoRsp(1, 0), True)), ProtocolError),
            (p_data(3, encode_command(CEchoRsp(2, 0), False)), ProtocolError),
            (p_data(3, encode_command(CStoreRsp(1, 0), False)), ProtocolError),
            (p_data(2, b"data"), ProtocolError),
            (p_data(3, b"garbage."), ProtocolError),
        ],
    )
    def test_responses(self, answer: bytes, error: type[Exception]) -> None:
        second = p_data(3, encode_command(CEchoRsp(1, 0), False))
        with scripted(ACCEPTED, answer + second) as port, pytest.raises(error), connect(port) as requestor:
            requestor.echo()

    def test_a_silent_peer_costs_the_timeout(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(NotAvailable):
            connect(listener.getsockname()[1], timeout=0.05)

    def test_data_of_an_operation_let_go_may_arrive_during_release(self) -> None:
        late = p_data(3, encode_command(CEchoRsp(9, 0), False))
        with scripted(ACCEPTED, late + encode(ReleaseRp())) as port:
            connect(port).release()

    def test_a_release_collision(self) -> None:
        with scripted(ACCEPTED, encode(ReleaseRq()), encode(ReleaseRp())) as port:
            connect(port).release()


def test_storescp_keeps_what_we_send(tmp_path: Path) -> None:
    received = tmp_path / "received"
    received.mkdir()
    sent = ct_slice(1, 300_000)
    with (
        dcmtk("storescp", "--bit-preserving", directory=received, log=tmp_path / "log") as port,
        connect(port) as requestor,
    ):
        assert requestor.echo().status == 0
        assert store(requestor, 1, sent).status == 0
    (file,) = received.iterdir()
    assert file.read_bytes().endswith(sent)


def test_dcmqrscp_stores_finds_and_gives_back(tmp_path: Path) -> None:
    database = tmp_path / "database"
    database.mkdir()
    configuration = tmp_path / "dcmqrscp.cfg"
    configuration.write_text(
        "MaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nHostTable END\nVendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nPEER {database} RW (9, 64mb) ANY\nAETable END\n"
    )
    sent = {slice_uid(number): ct_slice(number, 200_000) for number in range(1, 31)}
    received: dict[str, bytes] = {}

    def on_store(rq: CStoreRq, transfer_syntax: str, fragments: Iterator[memoryview]) -> int:
        received[rq.sop_instance] = b"".join(map(bytes, fragments))
        return 0

    arguments = ("-c", str(configuration))
    with (
        dcmtk("dcmqrscp", *arguments, directory=tmp_path, log=tmp_path / "log") as port,
        connect(port, roles=ROLES) as requestor,
    ):
        for number, data in enumerate(sent.values(), 1):
            assert store(requestor, number, data).status == 0
        *found, (status, _) = requestor.find(STUDY_ROOT_FIND, QUERY)
        assert sorted(str(match[0x00080018]).strip("\0 ") for _, match in found) == sorted(sent)
        assert status == 0
        final, _ = requestor.get(STUDY_ROOT_GET, RETRIEVE, on_store)
    assert (final.status, final.completed) == (0, len(sent))
    assert {uid: _read(data).PixelData for uid, data in received.items()} == dict.fromkeys(sent, bytes(200_000))


def test_get_can_be_cancelled() -> None:
    def handle(event: Any) -> Iterator[Any]:
        yield 60_000
        number = 0
        while not event.is_cancelled:
            number += 1
            yield 0xFF00, _read(ct_slice(number))
        yield 0xFE00, None

    def on_store(rq: CStoreRq, transfer_syntax: str, fragments: Iterator[memoryview]) -> int:
        requestor.cancel()
        return 0

    with pynetdicom_acceptor({evt.EVT_C_GET: handle}) as port, connect(port, roles=ROLES) as requestor:
        final, _ = requestor.get(STUDY_ROOT_GET, RETRIEVE, on_store)
    assert final.status == 0xFE00
