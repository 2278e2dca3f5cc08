"""Whatever answers, the auditor neither crashes nor hangs, and what it writes down holds nothing of a patient's."""

import re
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leadglass.assess.counting.distinct import Fingerprints
from leadglass.assess.door import Looker
from leadglass.assess.observation import Endpoint, ServiceResult
from leadglass.assess.probes.dimse_answer import StudyReader
from leadglass.assess.probes.dimse_knock import EVERYTHING, Way
from leadglass.assess.probes.dimse_line import Line
from leadglass.assess.probes.dimse_record import Record, blank_pdu
from leadglass.assess.probes.tls import StrangerTls
from leadglass.assess.reach import Reach
from leadglass.dicom import tags
from leadglass.dicom.attributes import encode_attributes
from leadglass.dicom.uids import IMPLICIT_LE, STUDY_ROOT_FIND, TRANSFER_SYNTAXES
from leadglass.dimse import pdata
from leadglass.dimse.items import ACCEPTANCE, ContextResult, ExtendedNegotiation, UserInformation
from leadglass.dimse.message import CEchoRsp, CFindRsp, CStoreRsp, encode_command
from leadglass.dimse.pdu import Abort, AssociateAc, AssociateRj, ReleaseRp, ReleaseRq, encode
from leadglass.dimse.status import PENDING, SUCCESS
from tests.assess.test_reach import scope_of
from tests.lab.scripted import listening

HOST = "127.0.13.1"
SECRET = "Plantedsecret"
_SYNTAX = TRANSFER_SYNTAXES[IMPLICIT_LE]
_FIND = next(context.id for context in EVERYTHING if context.abstract_syntax == STUDY_ROOT_FIND)
_ACCEPT = encode(
    AssociateAc(
        SECRET,
        SECRET,
        tuple(ContextResult(context.id, ACCEPTANCE, IMPLICIT_LE) for context in EVERYTHING),
        UserInformation(16384, "1.2.3.536904000", SECRET),
    )
)


def _message(context_id: int, command: bytes, data: bytes | None) -> bytes:
    sent = pdata.fragment(context_id, pdata.COMMAND, command, 16384)
    return sent if data is None else sent + pdata.fragment(context_id, 0, data, 16384)


def _answer(number: int) -> bytes:
    study = {tags.STUDY_INSTANCE_UID: f"1.2.3.{number}", tags.PATIENT_NAME: SECRET, tags.PATIENT_ID: SECRET}
    command = encode_command(CFindRsp(2, PENDING, STUDY_ROOT_FIND), True)
    return _message(_FIND, command, encode_attributes(study, _SYNTAX, ()))


def _in_one_pdu(number: int) -> bytes:
    """Command and data set as two values of one PDU, which PS3.8 Annex E allows."""
    answer = _answer(number)
    first = 6 + int.from_bytes(answer[2:6], "big")
    values = answer[6:first] + answer[first + 6 :]
    return b"\x04\x00" + len(values).to_bytes(4, "big") + values


def _study_of(answer: bytes) -> str:
    found = re.search(rb"1\.2\.3\.\d+", answer)
    assert found is not None
    return found[0].decode()


_ECHOED = _message(1, encode_command(CEchoRsp(1, SUCCESS), False), None)
_DONE = _message(_FIND, encode_command(CFindRsp(2, SUCCESS, STUDY_ROOT_FIND), False), None)
_TOLD = _message(_FIND, encode_command(CFindRsp(2, 0xC001, STUDY_ROOT_FIND, SECRET), False), None)

_PIECES = st.one_of(
    st.sampled_from(
        [
            _ACCEPT,
            _ECHOED,
            _DONE,
            _TOLD,
            encode(AssociateRj(1, 1, 7)),
            encode(AssociateRj(2, 3, 1)),
            encode(Abort(2, 6)),
            encode(ReleaseRq()),
            encode(ReleaseRp()),
            b"\x04\x00\xff\xff\xff\xff",
            b"\x02\x00\x00\x00\x40\x00" + SECRET.encode() * 10,
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"220 " + SECRET.encode() + b"\r\n",
            b"SSH-2.0-" + SECRET.encode() + b"\r\n",
            b"\x15\x03\x01\x00\x02\x02\x28",
        ]
    ),
    st.integers(0, 5).map(_answer),
    st.binary(max_size=64),
)


@st.composite
def _scripts(draw: st.DrawFn) -> bytes:
    """Mostly what an archive says, in any order, with a byte changed or the end cut off."""
    begun = draw(st.sampled_from([b"", _ACCEPT, _ACCEPT + _ECHOED, _ACCEPT + _ECHOED + _answer(1)]))
    script = bytearray(begun + b"".join(draw(st.lists(_PIECES, max_size=6))))
    for _ in range(draw(st.integers(0, 2))):
        if script:
            script[draw(st.integers(0, len(script) - 1))] = draw(st.integers(0, 255))
    return bytes(script[: draw(st.integers(0, len(script)))] if draw(st.booleans()) else script)


class Hostile:
    """Says its script to whoever connects, then hangs up."""

    def __init__(self) -> None:
        self.script = b""

    def serve(self, connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(self.script)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[Hostile, Looker, Endpoint]]:
    server = Hostile()
    with listening(HOST, server.serve) as port:
        looker = Looker(Reach(scope_of(port)), Fingerprints(), StrangerTls.make(), patience=2.0)
        yield server, looker, Endpoint(HOST, port)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=_scripts())
def test_no_answer_crashes_or_misleads(hostile: tuple[Hostile, Looker, Endpoint], script: bytes) -> None:
    server, looker, endpoint = hostile
    server.script = script
    result, census = looker.look(endpoint, ())
    assert result.observations or result.unknowns
    assert result.counters == census.counters()
    assert result.counters.studies.value <= 6
    assert not _holds_secret(result)


def _holds_secret(result: ServiceResult) -> bool:
    exchanged = [part for each in result.observations for one in each.exchanges for part in (one.sent, one.received)]
    told = repr(result)
    return any(SECRET.encode() in part for part in exchanged) or SECRET in told


@given(st.lists(st.sampled_from([_ECHOED, _DONE, _TOLD, _answer(1), _ACCEPT]), max_size=4), st.integers(0, 600))
def test_blanking_keeps_the_length_and_no_secret(pieces: list[bytes], cut: int) -> None:
    pdu = b"".join(pieces)[:cut]
    blanked = blank_pdu(pdu)
    assert len(blanked) == len(pdu)
    assert SECRET.encode() not in blanked
    assert b"1.2.3.1" not in blanked


def test_of_an_acceptance_only_what_is_known_stays() -> None:
    user = UserInformation(
        16384,
        "1.2.276.0.7230010.3.0.3.536904000",
        "OFFIS_DCMTK_366",
        extended=(ExtendedNegotiation(STUDY_ROOT_FIND, SECRET.encode()),),
        user_identity_response=SECRET.encode(),
    )
    result = ContextResult(1, ACCEPTANCE, IMPLICIT_LE)
    blanked = blank_pdu(encode(AssociateAc(SECRET, SECRET, (result,), user, "1.2.840.10008.3.1.1.1")))
    assert SECRET.encode() not in blanked
    assert b"536904000" not in blanked
    for known in (b"OFFIS_DCMTK_366", b"1.2.276.0.7230010.3.0.3*", IMPLICIT_LE.encode(), b"1.2.840.10008.3.1.1.1"):
        assert known in blanked


def test_of_a_command_only_numbers_and_known_classes_stay() -> None:
    classes = _message(1, encode_command(CStoreRsp(1, SUCCESS, "1.2.536904000", "1.2.536904001", SECRET), False), None)
    assert b"536904" not in blank_pdu(classes)
    assert SECRET.encode() not in blank_pdu(classes)
    assert STUDY_ROOT_FIND.encode() in blank_pdu(_DONE)


def test_an_identifier_without_end_is_not_gathered(hostile: tuple[Hostile, Looker, Endpoint]) -> None:
    server, looker, endpoint = hostile
    command = pdata.fragment(_FIND, pdata.COMMAND, encode_command(CFindRsp(2, PENDING, STUDY_ROOT_FIND), True), 16384)
    piece = pdata.fragment(_FIND, 0, bytes(16_000), 16384)
    endless = piece[:11] + b"\x00" + piece[12:]
    server.script = _ACCEPT + _ECHOED + command + endless * 200
    result, _ = looker.look(endpoint, ())
    assert result.counters.studies.value == 0
    assert "dimse-query" not in {each.kind for each in result.observations}
    assert result.unknowns


@given(
    st.lists(st.sampled_from([_answer(number) for number in range(12)] + [_in_one_pdu(7)]), max_size=12),
    st.lists(st.integers(1, 4000), max_size=12),
)
def test_answers_are_read_however_they_are_cut(answers: list[bytes], cuts: list[int]) -> None:
    """Packets keep their boundaries: each is what one read brings."""
    said = _ACCEPT + _ECHOED + b"".join(answers) + _DONE
    places = sorted({0, *(cut for cut in cuts if cut < len(said)), len(said)})
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for start, end in pairwise(places):
            theirs.send(said[start:end])
        theirs.shutdown(socket.SHUT_WR)
        endpoint = Endpoint(HOST, 104)
        reach = Reach(scope_of(104))
        line = Line(ours, endpoint, reach, patience=30.0)
        line.associate(Way(reach, endpoint).request())
        line.echo(1)
        read = list(line.find(_FIND, b""))
    assert [status for status, _ in read] == [PENDING] * len(answers) + [SUCCESS]
    reader = StudyReader(_SYNTAX)
    assert [reader.read(data).study for _, data in read[:-1]] == [_study_of(answer) for answer in answers]


def test_an_identifier_that_we_send_is_blanked() -> None:
    record = Record()
    record.sent(_answer(1), b"")
    keys = encode_attributes({tags.STUDY_INSTANCE_UID: "1.2.840.99.1"}, _SYNTAX, ())
    record.sent(_message(1, b"", keys), keys)
    assert b"1.2.840.99.1" not in record.take("").sent
