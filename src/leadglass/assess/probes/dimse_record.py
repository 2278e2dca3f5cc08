"""A record of PDUs as evidence, in which patients cannot be found: of what a peer sends, numbers that the standard
defines and words that are known stay; data sets, and whatever it says in its own words, are asterisks."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import Final

from leadglass.assess.observation import Exchange
from leadglass.assess.probes.dimse_product import root_of
from leadglass.assess.probes.tokens import HIDDEN, implementation_version
from leadglass.dicom.uids import is_registered
from leadglass.dimse.items import (
    APPLICATION_CONTEXT_ITEM,
    CONTEXT_RESULT_ITEM,
    USER_INFORMATION_ITEM,
    split_items,
)
from leadglass.dimse.pdata import COMMAND, split
from leadglass.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    P_DATA_TF,
    PDU_HEADER_BYTES,
    RELEASE_RP,
    RELEASE_RQ,
    SHORT_BODY_BYTES,
)
from leadglass.errors import ProtocolError

_MOST: Final = 8192
_FIRST: Final = 16
_BLANK: Final = b"*"
_ELEMENT: Final = Struct("<HHI")
_GROUP_LENGTH: Final = Struct("<HHII")
#: Command elements (group 0000) whose values are numbers, with their length; PS3.7 E.1.
_NUMBERS: Final[Mapping[int, int]] = MappingProxyType(
    {0x0000: 4}
    | dict.fromkeys((0x0100, 0x0110, 0x0120, 0x0700, 0x0800, 0x0900, 0x1008, 0x1020, 0x1021, 0x1022, 0x1023, 0x1031), 2)
)
#: Command elements that name SOP classes.
_CLASSES: Final = frozenset({0x0002, 0x0003})
#: Version and reserved (PS3.8 9.3.3), then AE titles and reserved bytes that nobody tests: they are blanked.
_VERSION_BYTES: Final = 4
_FIXED_BYTES: Final = 68
_TRANSFER_SYNTAX, _MAX_LENGTH, _CLASS_UID, _WINDOW, _VERSION_NAME = 0x40, 0x51, 0x52, 0x53, 0x55
_SHORT: Final = frozenset({ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP, ABORT})


class Record:
    """Of each direction the first 8,192 bytes since it was last taken."""

    def __init__(self) -> None:
        self.first = b""
        self._begin()

    def _begin(self) -> None:
        self._at = datetime.now(UTC)
        self._sent = bytearray()
        self._received = bytearray()

    @property
    def is_full(self) -> bool:
        """Whether nothing more of what is received would be kept."""
        return len(self._received) >= _MOST

    def sent(self, pdus: bytes, data: bytes) -> None:
        """`data`: what of the PDUs' end is an identifier."""
        if len(self._sent) < _MOST:
            kept = pdus[: len(pdus) - len(data)] + _BLANK * len(data) if pdus.endswith(data) else _BLANK * len(pdus)
            self._sent += kept[: _MOST - len(self._sent)]

    def received(self, pdu: memoryview) -> None:
        """A whole PDU."""
        if not self.first:
            self.first = bytes(pdu[:_FIRST])
        if len(self._received) < _MOST:
            self._received += blank_pdu(bytes(pdu))[: _MOST - len(self._received)]

    def unreadable(self, data: memoryview) -> None:
        """What is no PDU, or part of one: only its beginning may be looked at, and all of it is blanked."""
        if not self.first:
            self.first = bytes(data[:_FIRST])
        self._received += _BLANK * min(len(data), _MOST - len(self._received))

    def take(self, summary: str) -> Exchange:
        exchange = Exchange(self._at, summary, _one_copy(bytes(self._sent)), _one_copy(bytes(self._received)))
        self._begin()
        return exchange


@lru_cache(maxsize=1 << 10)
def _one_copy(part: bytes) -> bytes:
    """What was said is the same at a thousand doors, and kept once."""
    return part


def blank_pdu(pdu: bytes) -> bytes:
    """The PDU at its length, without what may be a patient's."""
    blanked = bytearray(pdu)
    body = memoryview(blanked)[PDU_HEADER_BYTES:]
    blank = _BLANKERS.get(pdu[0] if pdu else 0, _blank_all)
    try:
        blank(body)
    except ProtocolError:
        _blank_all(body)
    return bytes(blanked)


def _blank_all(part: memoryview) -> None:
    part[:] = _BLANK * len(part)


def _blank_data(body: memoryview) -> None:
    for _, control, fragment in split(body):
        if control & COMMAND:
            _blank_command(fragment)
        else:
            _blank_all(fragment)


def _blank_acceptance(body: memoryview) -> None:
    _blank_all(body[_VERSION_BYTES:_FIXED_BYTES])
    _blank_items(body[_FIXED_BYTES:])


def _blank_items(items: memoryview) -> None:
    for kind, value in split_items(items):
        if kind == CONTEXT_RESULT_ITEM:
            _blank_items(value[4:])
        elif kind == USER_INFORMATION_ITEM:
            _blank_items(value)
        elif kind == _CLASS_UID:
            _blank_all(value[len(root_of(_text(value))) :])
        elif not _is_known(kind, value):
            _blank_all(value)


def _is_known(kind: int, value: memoryview) -> bool:
    if kind in (APPLICATION_CONTEXT_ITEM, _TRANSFER_SYNTAX):
        return is_registered(_text(value))
    if kind == _VERSION_NAME:
        return implementation_version(_text(value)) != HIDDEN
    return kind in (_MAX_LENGTH, _WINDOW) and len(value) == 4


def _text(value: memoryview) -> str:
    return bytes(value).decode("ascii", "replace").rstrip("\0 ")


def _blank_short(body: memoryview) -> None:
    if len(body) != SHORT_BODY_BYTES:
        _blank_all(body)


_BLANKERS: Final[Mapping[int, Callable[[memoryview], None]]] = MappingProxyType(
    {P_DATA_TF: _blank_data, ASSOCIATE_AC: _blank_acceptance} | dict.fromkeys(_SHORT, _blank_short)
)


def _blank_command(command: memoryview) -> None:
    """A command that begins with its own length (PS3.7 6.3.1) is whole; any other is blanked as it stands, and so is
    the rest of one that cannot be read on."""
    end = len(command)
    whole = end >= _GROUP_LENGTH.size and _GROUP_LENGTH.unpack_from(command) == (0, 0, 4, end - _GROUP_LENGTH.size)
    position = _GROUP_LENGTH.size if whole else end
    if not whole:
        _blank_all(command)
    while position < end:
        if end - position < _ELEMENT.size:
            break
        group, number, length = _ELEMENT.unpack_from(command, position)
        value = position + _ELEMENT.size
        if group != 0 or length > end - value:
            break
        if not _is_plain(number, command[value : value + length]):
            _blank_all(command[value : value + length])
        position = value + length
    _blank_all(command[position:])


def _is_plain(number: int, value: memoryview) -> bool:
    return len(value) == _NUMBERS.get(number) or (number in _CLASSES and is_registered(_text(value)))
