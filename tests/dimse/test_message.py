"""Round trips of every DIMSE message, and pynetdicom's codec as a second opinion."""

from contextlib import suppress
from struct import pack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA

from leadglass.dimse.message import (
    CCancelRq,
    CEchoRq,
    CFindRq,
    CGetRq,
    CMoveRq,
    CStoreRq,
    CStoreRsp,
    Message,
    decode_command,
    encode_command,
)
from leadglass.errors import ProtocolError, UsageError
from tests.dimse.strategies import messages

NEEDS_DATA_SET = CStoreRq | CFindRq | CGetRq | CMoveRq
UID = "1.2.840.10008.5.1.4.1.1.2"
# Ours → pynetdicom's name of the same element.
PEER_NAMES = {
    "sop_class": "AffectedSOPClassUID",
    "sop_instance": "AffectedSOPInstanceUID",
    "priority": "Priority",
    "status": "Status",
    "error_comment": "ErrorComment",
    "remaining": "NumberOfRemainingSuboperations",
    "completed": "NumberOfCompletedSuboperations",
    "failed": "NumberOfFailedSuboperations",
    "warning": "NumberOfWarningSuboperations",
    "move_destination": "MoveDestination",
    "move_originator_ae": "MoveOriginatorApplicationEntityTitle",
    "move_originator_message_id": "MoveOriginatorMessageID",
}


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


def is_request(message: Message) -> bool:
    return type(message).__name__.endswith("Rq") and not isinstance(message, CCancelRq)


@given(messages, st.booleans())
def test_every_message_survives_a_round_trip(message: Message, has_data_set: bool) -> None:
    has_data_set = has_data_set or isinstance(message, NEEDS_DATA_SET)
    assert decode_command(encode_command(message, has_data_set)) == (message, has_data_set)


@given(messages)
def test_pynetdicom_reads_what_we_write(message: Message) -> None:
    other = peer_message(message, isinstance(message, NEEDS_DATA_SET))
    command = other.command_set
    assert command.CommandGroupLength == len(encode_command(message, True)) - 12
    assert (command.MessageID if is_request(message) else command.MessageIDBeingRespondedTo) == message.message_id
    for ours, theirs in PEER_NAMES.items():
        value = getattr(message, ours, None)
        if value not in (None, ""):
            assert command[theirs].value == value


@given(messages)
def test_we_read_what_pynetdicom_writes(message: Message) -> None:
    received = peer_message(message, isinstance(message, NEEDS_DATA_SET))
    sent = type(received)()
    sent.primitive_to_message(received.message_to_primitive())
    first, *_ = sent.encode_msg(1, 0)
    ((_, value),) = first.presentation_data_value_list
    assert decode_without_check(bytes(value[1:])) == message


def decode_without_check(command: bytes) -> Message:
    # pynetdicom says that a data set follows only when it has one at hand.
    return decode_command(command.replace(element(0x0800, b"\x01\x01"), element(0x0800, b"\x00\x00")))[0]


def peer_message(message: Message, has_data_set: bool) -> Any:
    primitive = P_DATA()
    primitive.presentation_data_value_list.append((1, b"\x03" + encode_command(message, has_data_set)))
    received: Any = DIMSEMessage()
    received.decode_msg(primitive)
    return received


def test_a_command_set_is_that_of_the_standard() -> None:
    body = (
        element(0x0002, b"1.2.840.10008.1.1\0")
        + element(0x0100, b"\x30\x00")
        + element(0x0110, b"\x07\x00")
        + element(0x0800, b"\x01\x01")
    )
    assert encode_command(CEchoRq(7, "1.2.840.10008.1.1"), False) == element(0, pack("<I", len(body))) + body


def test_what_a_message_does_not_have_is_passed_over() -> None:
    command = encode_command(CEchoRq(7, UID), False)
    retired = element(0x0010, b"ACR-NEMA")  # (0000,0010) Recognition Code, retired
    assert decode_command(command + retired)[0] == CEchoRq(7, UID)


def test_empty_optional_elements_count_as_absent() -> None:
    command = encode_command(CStoreRsp(7, 0), False)
    assert decode_command(command + element(0x1000, b"") + element(0x0902, b""))[0] == CStoreRsp(7, 0)


def test_comments_are_cut_and_kept_to_ascii() -> None:
    decoded, _ = decode_command(encode_command(CStoreRsp(1, 0xC000, error_comment="ü" * 100), False))
    assert decoded == CStoreRsp(1, 0xC000, error_comment="?" * 64)


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"\0" * 7,
        encode_command(CEchoRq(1, UID), False)[:-1],
        encode_command(CEchoRq(1, UID), False) + element(0x0110, b"\1\0"),
        encode_command(CStoreRq(1, UID, UID), False),
        element(0x0100, b"\x30\x00") + element(0x0800, b"\x01\x01"),
        element(0x0100, b"\x00\x01") + element(0x0800, b"\x01\x01"),
        element(0x0100, b"\x30\x00\x00") + element(0x0800, b"\x01\x01"),
        encode_command(CStoreRsp(1, 0), False) + element(0x0901, bytes(3)),
        encode_command(CStoreRsp(1, 0), False) + pack("<HHI", 8, 0x18, 0),
        encode_command(CStoreRsp(1, 0), False) + pack("<HHI", 0, 0x1000, 0xFFFFFFFF),
    ],
)
def test_broken_commands_raise(command: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(command)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_protocol_error(command: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(command)


@given(messages, st.data())
def test_damaged_commands_raise_nothing_but_protocol_error(message: Message, data: st.DataObject) -> None:
    command = bytearray(encode_command(message, True))
    for _ in range(data.draw(st.integers(1, 3))):
        command[data.draw(st.integers(0, len(command) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        decode_command(bytes(command))


@pytest.mark.parametrize(
    "message", [CEchoRq(1, "no uid"), CMoveRq(1, UID, "BACK\\SLASH"), CStoreRq(1, UID, "1.2." + "3" * 61)]
)
def test_encoding_refuses_what_no_peer_could_read(message: Message) -> None:
    with pytest.raises(UsageError):
        encode_command(message, True)
