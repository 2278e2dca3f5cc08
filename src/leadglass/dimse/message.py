"""DIMSE-C messages and their command sets (PS3.7 9.3 and Annex E): Implicit VR Little Endian, group 0000 only.

Written with `struct` and one table per message, since a command set is read and written for every stored object.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from leadglass.dimse.values import (
    INVALID_PARAMETER,
    UNEXPECTED_PARAMETER,
    decode_ae_title,
    decode_uid,
    encode_ae_title,
    encode_uid,
)
from leadglass.errors import ProtocolError

MEDIUM, HIGH, LOW = 0, 1, 2

_NO_DATA_SET = 0x0101
_LO_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class CEchoRq:
    message_id: int
    sop_class: str


@dataclass(frozen=True, slots=True)
class CEchoRsp:
    """In this and every other response `message_id` is the Message ID Being Responded To."""

    message_id: int
    status: int
    sop_class: str = ""
    error_comment: str = ""


@dataclass(frozen=True, slots=True)
class CStoreRq:
    message_id: int
    sop_class: str
    sop_instance: str
    priority: int = MEDIUM
    move_originator_ae: str = ""
    move_originator_message_id: int | None = None


@dataclass(frozen=True, slots=True)
class CStoreRsp:
    message_id: int
    status: int
    sop_class: str = ""
    sop_instance: str = ""
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CFindRq:
    message_id: int
    sop_class: str
    priority: int = MEDIUM


@dataclass(frozen=True, slots=True)
class CFindRsp:
    message_id: int
    status: int
    sop_class: str = ""
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CGetRq:
    message_id: int
    sop_class: str
    priority: int = MEDIUM


@dataclass(frozen=True, slots=True)
class CGetRsp:
    message_id: int
    status: int
    sop_class: str = ""
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CMoveRq:
    message_id: int
    sop_class: str
    move_destination: str
    priority: int = MEDIUM


@dataclass(frozen=True, slots=True)
class CMoveRsp:
    message_id: int
    status: int
    sop_class: str = ""
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    error_comment: str = ""
    offending_elements: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CCancelRq:
    """`message_id` is that of the request to cancel; nothing answers a C-CANCEL itself (PS3.7 9.3.2.3)."""

    message_id: int


Request = CEchoRq | CStoreRq | CFindRq | CGetRq | CMoveRq
Response = CEchoRsp | CStoreRsp | CFindRsp | CGetRsp | CMoveRsp
Message = Request | Response | CCancelRq

_ELEMENT = Struct("<HHI")
_US_ELEMENT = Struct("<HHIH")
_UL_ELEMENT = Struct("<HHII")
_US = Struct("<H")
_AT = Struct("<HH")


@dataclass(frozen=True, slots=True)
class _Field:
    """One element of a command set: its number in group 0000 and how its value is read and written."""

    name: str
    number: int
    decode: Callable[[bytes], Any]
    encode: Callable[[int, Any], bytes]
    required: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """The elements of one message, split where the two fixed ones stand, so that tags ascend (PS3.5 7.1)."""

    build: type
    before_command_field: tuple[_Field, ...]
    command_field: bytes
    before_data_set_type: tuple[_Field, ...]
    rest: tuple[_Field, ...]
    fields: tuple[_Field, ...]
    needs_data_set: bool


def _encode_element(number: int, value: bytes, pad: bytes) -> bytes:
    if len(value) & 1:
        value += pad
    return _ELEMENT.pack(0, number, len(value)) + value


def _decode_us(raw: bytes) -> int:
    if len(raw) != 2:
        raise ProtocolError("a US value in a command set is not 2 bytes long", INVALID_PARAMETER)
    value: int = _US.unpack(raw)[0]
    return value


def _encode_us(number: int, value: int) -> bytes:
    return _US_ELEMENT.pack(0, number, 2, value)


def _encode_ui(number: int, value: str) -> bytes:
    return _encode_element(number, encode_uid(value), b"\0")


def _encode_ae(number: int, value: str) -> bytes:
    return _encode_element(number, encode_ae_title(value), b" ")


def _decode_optional_ae(raw: bytes) -> str:
    # Some peers send a Move Originator of spaces where there is none.
    return decode_ae_title(raw) if raw.strip(b"\0 ") else ""


def _decode_lo(raw: bytes) -> str:
    # A command set has no specific character set: what is not ASCII is only marked as such.
    return raw[:_LO_CHARACTERS].decode("ascii", "replace").replace("\ufffd", "?").rstrip("\0 ")


def _encode_lo(number: int, value: str) -> bytes:
    return _encode_element(number, value[:_LO_CHARACTERS].encode("ascii", "replace"), b" ")


def _decode_at(raw: bytes) -> tuple[int, ...]:
    if len(raw) & 3:
        raise ProtocolError("an AT value in a command set is not a multiple of 4 bytes", INVALID_PARAMETER)
    return tuple(group << 16 | element for group, element in _AT.iter_unpack(raw))


def _encode_at(number: int, value: tuple[int, ...]) -> bytes:
    return _encode_element(number, b"".join(_AT.pack(tag >> 16, tag & 0xFFFF) for tag in value), b"")


def _ui(name: str, number: int, required: bool = False) -> _Field:
    return _Field(name, number, decode_uid, _encode_ui, required)


def _us(name: str, number: int, required: bool = False) -> _Field:
    return _Field(name, number, _decode_us, _encode_us, required)


def _ae(name: str, number: int, required: bool = False) -> _Field:
    return _Field(name, number, decode_ae_title if required else _decode_optional_ae, _encode_ae, required)


_REQUEST = (_ui("sop_class", 0x0002, True), _us("message_id", 0x0110, True))
_PRIORITY = _us("priority", 0x0700)
_RESPONSE = (
    _ui("sop_class", 0x0002),
    _us("message_id", 0x0120, True),
    _us("status", 0x0900, True),
    _Field("error_comment", 0x0902, _decode_lo, _encode_lo),
)
_OFFENDING = _Field("offending_elements", 0x0901, _decode_at, _encode_at)
_COUNTS = (
    _us("remaining", 0x1020),
    _us("completed", 0x1021),
    _us("failed", 0x1022),
    _us("warning", 0x1023),
)


def _layout(build: type, command_field: int, fields: tuple[_Field, ...], needs_data_set: bool = False) -> _Layout:
    ordered = tuple(sorted(fields, key=lambda field: field.number))
    return _Layout(
        build,
        tuple(field for field in ordered if field.number < 0x0100),
        _encode_us(0x0100, command_field),
        tuple(field for field in ordered if 0x0100 < field.number < 0x0800),
        tuple(field for field in ordered if field.number > 0x0800),
        ordered,
        needs_data_set,
    )


_LAYOUTS = {  # PS3.7 9.3.1 to 9.3.5, command fields from Table E.1-1
    0x0001: (
        CStoreRq,
        (
            *_REQUEST,
            _PRIORITY,
            _ui("sop_instance", 0x1000, True),
            _ae("move_originator_ae", 0x1030),
            _us("move_originator_message_id", 0x1031),
        ),
        True,
    ),
    0x8001: (CStoreRsp, (*_RESPONSE, _OFFENDING, _ui("sop_instance", 0x1000)), False),
    0x0010: (CGetRq, (*_REQUEST, _PRIORITY), True),
    0x8010: (CGetRsp, (*_RESPONSE, _OFFENDING, *_COUNTS), False),
    0x0020: (CFindRq, (*_REQUEST, _PRIORITY), True),
    0x8020: (CFindRsp, (*_RESPONSE, _OFFENDING), False),
    0x0021: (CMoveRq, (*_REQUEST, _PRIORITY, _ae("move_destination", 0x0600, True)), True),
    0x8021: (CMoveRsp, (*_RESPONSE, _OFFENDING, *_COUNTS), False),
    0x0030: (CEchoRq, _REQUEST, False),
    0x8030: (CEchoRsp, _RESPONSE, False),
    0x0FFF: (CCancelRq, (_us("message_id", 0x0120, True),), False),
}
_BY_COMMAND_FIELD = {number: _layout(row[0], number, row[1], row[2]) for number, row in _LAYOUTS.items()}
_BY_TYPE: dict[type, _Layout] = {layout.build: layout for layout in _BY_COMMAND_FIELD.values()}
_DATA_SET_TYPES = (_encode_us(0x0800, _NO_DATA_SET), _encode_us(0x0800, 0x0001))


def _elements(message: Message, fields: tuple[_Field, ...]) -> bytes:
    encoded = b""
    for field in fields:
        value = getattr(message, field.name)
        if value is not None and value != "" and value != ():
            encoded += field.encode(field.number, value)
    return encoded


def encode_command(message: Message, has_data_set: bool) -> bytes:
    """The command set, its group length included. Raises UsageError for a UID or AE title that is none."""
    layout = _BY_TYPE[type(message)]
    body = b"".join(
        (
            _elements(message, layout.before_command_field),
            layout.command_field,
            _elements(message, layout.before_data_set_type),
            _DATA_SET_TYPES[has_data_set],
            _elements(message, layout.rest),
        )
    )
    return _UL_ELEMENT.pack(0, 0, 4, len(body)) + body


def decode_command(data: bytes) -> tuple[Message, bool]:
    """The message and whether a data set follows. Raises ProtocolError.

    Elements that the message does not have (retired ones, as of ACR-NEMA) and a wrong group length are passed over.
    """
    values = _split(data)
    command_field = values.get(0x0100, b"")
    layout = _BY_COMMAND_FIELD.get(_decode_us(command_field))
    if layout is None:
        raise ProtocolError(f"command field {command_field[::-1].hex().upper()}H is none of DIMSE-C", INVALID_PARAMETER)
    has_data_set = _decode_us(values.get(0x0800, b"")) != _NO_DATA_SET
    if layout.needs_data_set and not has_data_set:
        raise ProtocolError(f"a {layout.build.__name__} must have a data set", INVALID_PARAMETER)
    arguments: dict[str, Any] = {}
    for field in layout.fields:
        raw = values.get(field.number)
        if raw:
            arguments[field.name] = field.decode(raw)
        elif field.required:
            raise ProtocolError(
                f"a {layout.build.__name__} lacks element (0000,{field.number:04X})", UNEXPECTED_PARAMETER
            )
    return layout.build(**arguments), has_data_set


def _split(data: bytes) -> dict[int, bytes]:
    """Element number → value, for a command set of group 0000. The caller bounds its length."""
    values: dict[int, bytes] = {}
    position, end = 0, len(data)
    while position < end:
        if end - position < 8:
            raise ProtocolError("a command set ends within an element", INVALID_PARAMETER)
        group, number, length = _ELEMENT.unpack_from(data, position)
        position += 8
        if group != 0 or length > end - position:
            raise ProtocolError("a command set holds an element of another group or too long", INVALID_PARAMETER)
        if number in values:
            raise ProtocolError(f"a command set holds (0000,{number:04X}) twice", INVALID_PARAMETER)
        values[number] = data[position : position + length]
        position += length
    return values
