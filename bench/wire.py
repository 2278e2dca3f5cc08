"""Just enough of PS3.7 and PS3.8 to time a server: encoders and decoders without state.

It shares no code with Leadglass, so that a mistake cannot cancel itself out.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

ASSOCIATE_AC, P_DATA, RELEASE_RQ = 2, 4, 5
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_ECHO_RQ = 0x0001, 0x0010, 0x0020, 0x0030
NO_DATA_SET = 0x0101
#: Message control header (PS3.8 E.2): bit 0 command, bit 1 last fragment.
COMMAND, LAST = 1, 2
_RECEIVE_LENGTH = 131072


@dataclass(frozen=True, slots=True)
class Context:
    """A proposed presentation context; `serve` proposes the SCP role, as a C-GET requestor does."""

    abstract_syntax: str
    transfer_syntax: str = IMPLICIT_LITTLE_ENDIAN
    serve: bool = False


def associate(called: str, calling: str, contexts: Sequence[Context]) -> bytes:
    """A-ASSOCIATE-RQ; context identifiers are 1, 3, 5 … in the order given."""
    fixed = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    proposed = b"".join(_context(2 * place + 1, context) for place, context in enumerate(contexts))
    roles = b"".join(_role(context.abstract_syntax) for context in contexts if context.serve)
    user = _item(0x50, _item(0x51, struct.pack(">I", _RECEIVE_LENGTH)) + _item(0x52, b"2.25.1") + roles)
    return _pdu(1, fixed + _item(0x10, _APPLICATION_CONTEXT.encode()) + proposed + user)


def release() -> bytes:
    return _pdu(RELEASE_RQ, b"\0\0\0\0")


def accepted(body: bytes) -> tuple[int, set[int]]:
    """(maximum length the acceptor receives, accepted context identifiers) of an A-ASSOCIATE-AC."""
    length, contexts = 0, set()
    for kind, item in _items(body, 68):
        if kind == 0x21 and item[2] == 0:
            contexts.add(item[0])
        elif kind == 0x50:
            length = next((struct.unpack(">I", value)[0] for inner, value in _items(item, 0) if inner == 0x51), 0)
    return length or _RECEIVE_LENGTH, contexts


def p_data(context: int, control: int, data: bytes, limit: int) -> bytes:
    """P-DATA-TF PDUs of at most `limit` bytes with one PDV each."""
    step = limit - 6
    pdus = []
    for start in range(0, len(data), step):
        fragment = data[start : start + step]
        last = LAST if start + step >= len(data) else 0
        pdus.append(_pdu(P_DATA, struct.pack(">IBB", len(fragment) + 2, context, control | last) + fragment))
    return b"".join(pdus)


def fragments(body: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """(context, control, data) of each PDV in a P-DATA-TF body."""
    position = 0
    while position < len(body):
        length, context, control = struct.unpack_from(">IBB", body, position)
        yield context, control, body[position + 6 : position + 4 + length]
        position += 4 + length


def request(sop_class: str, field: int, data_set_type: int, instance: str = "") -> bytes:
    """A command set with message identifier 1."""
    body = _text(0x0002, sop_class) + _short(0x0100, field) + _short(0x0110, 1)
    body += _short(0x0700, 0) + _short(0x0800, data_set_type)
    return _command(body + (_text(0x1000, instance) if instance else b""))


def store_response(command: Mapping[int, bytes]) -> bytes:
    """Success for a C-STORE-RQ whose elements are given."""
    body = _element(0x0002, command[0x0002]) + _short(0x0100, 0x8001) + _element(0x0120, command[0x0110])
    return _command(body + _short(0x0800, NO_DATA_SET) + _short(0x0900, 0) + _element(0x1000, command[0x1000]))


def command_elements(command: bytes) -> dict[int, bytes]:
    """Value by element number of group 0000."""
    elements, position = {}, 0
    while position < len(command):
        _, number, length = struct.unpack_from("<HHI", command, position)
        elements[number] = command[position + 8 : position + 8 + length]
        position += 8 + length
    return elements


def identifier(keys: Mapping[str, str]) -> bytes:
    """A flat data set in Implicit VR Little Endian, in the order of the tags."""
    tagged = sorted((tag_for_keyword(keyword) or 0, keyword) for keyword in keys)
    return b"".join(_text(tag, keys[word], "\0" if word.endswith("UID") else " ") for tag, word in tagged)


def data_set_of(file: bytes) -> bytes:
    """What follows the file meta information of a PS3.10 file."""
    length: int = struct.unpack_from("<I", file, 140)[0]
    return file[144 + length :]


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _items(body: bytes, position: int) -> Iterator[tuple[int, bytes]]:
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        yield kind, body[position + 4 : position + 4 + length]
        position += 4 + length


def _context(number: int, context: Context) -> bytes:
    syntaxes = _item(0x30, context.abstract_syntax.encode()) + _item(0x40, context.transfer_syntax.encode())
    return _item(0x20, struct.pack(">B3x", number) + syntaxes)


def _role(sop_class: str) -> bytes:
    return _item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + b"\0\1")


def _element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def _short(tag: int, value: int) -> bytes:
    return _element(tag, struct.pack("<H", value))


def _text(tag: int, text: str, padding: str = "\0") -> bytes:
    return _element(tag, (text + padding * (len(text) % 2)).encode())


def _command(body: bytes) -> bytes:
    return _element(0, struct.pack("<I", len(body))) + body
