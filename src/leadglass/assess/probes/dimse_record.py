"""A record of PDUs as evidence, in which patients cannot be found: data sets, and what a peer may say in its own words
or tell of its objects in a command, are asterisks."""

from datetime import UTC, datetime
from struct import Struct
from typing import Final

from leadglass.assess.observation import Exchange
from leadglass.dimse.pdata import COMMAND, split
from leadglass.dimse.pdu import P_DATA_TF, PDU_HEADER_BYTES
from leadglass.errors import ProtocolError

_MOST: Final = 8192
_FIRST: Final = 16
_BLANK: Final = b"*"
_ELEMENT: Final = Struct("<HHI")
_GROUP_LENGTH: Final = Struct("<HHII")
#: Command elements (group 0000) whose values are names, UIDs of objects or a peer's own words: PS3.7 E.1.
_TELLING: Final = frozenset({0x0902, 0x1000, 0x1001})


class Record:
    """Of each direction the first 8,192 bytes since it was last taken."""

    def __init__(self) -> None:
        self.first = b""
        self._begin()

    def _begin(self) -> None:
        self._at = datetime.now(UTC)
        self._sent = bytearray()
        self._received = bytearray()

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
        exchange = Exchange(self._at, summary, bytes(self._sent), bytes(self._received))
        self._begin()
        return exchange


def blank_pdu(pdu: bytes) -> bytes:
    """The PDU at its length, without what may be a patient's."""
    if not pdu or pdu[0] != P_DATA_TF:
        return pdu
    blanked = bytearray(pdu)
    body = memoryview(blanked)[PDU_HEADER_BYTES:]
    try:
        for _, control, fragment in split(body):
            if control & COMMAND:
                _blank_command(fragment)
            else:
                fragment[:] = _BLANK * len(fragment)
    except ProtocolError:
        body[:] = _BLANK * len(body)
    return bytes(blanked)


def _blank_command(command: memoryview) -> None:
    """A command that begins with its own length (PS3.7 6.3.1) is whole; any other is blanked as it stands, and so is
    the rest of one that cannot be read on."""
    end = len(command)
    whole = end >= _GROUP_LENGTH.size and _GROUP_LENGTH.unpack_from(command) == (0, 0, 4, end - _GROUP_LENGTH.size)
    position = _GROUP_LENGTH.size if whole else end
    if not whole:
        command[:] = _BLANK * end
    while position < end:
        if end - position < _ELEMENT.size:
            break
        group, number, length = _ELEMENT.unpack_from(command, position)
        value = position + _ELEMENT.size
        if group != 0 or length > end - value:
            break
        if number in _TELLING:
            command[value : value + length] = _BLANK * length
        position = value + length
    command[position:] = _BLANK * (end - position)
