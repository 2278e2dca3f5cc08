"""P-DATA-TF PDUs (PS3.8 9.3.5): presentation data values and their message control header (PS3.8 Annex E.2)."""

from collections.abc import Iterable, Iterator
from struct import Struct

from leadglass.dimse.pdu import P_DATA_TF
from leadglass.dimse.values import INVALID_PARAMETER
from leadglass.errors import ProtocolError

#: Bits of the message control header.
COMMAND, LAST = 1, 2

_VALUE_HEADER = Struct(">IBB")
#: PDU header, then the header of one presentation data value that fills the PDU.
_HEADERS = Struct(">BxIIBB")
# An honest peer sends one or two; each costs an event, so they are bounded.
_VALUES_PER_PDU = 256
#: Bytes of PDUs that go out in one write.
_GATHERED = 131_072


def split(body: memoryview) -> list[tuple[int, int, memoryview]]:
    """Context identifier, control header and fragment (a view) of each value. Raises ProtocolError."""
    values: list[tuple[int, int, memoryview]] = []
    position, end = 0, len(body)
    while position < end:
        if end - position < 6 or len(values) == _VALUES_PER_PDU:
            raise ProtocolError("a P-DATA-TF PDU is cut short or holds too many values", INVALID_PARAMETER)
        length, context_id, control = _VALUE_HEADER.unpack_from(body, position)
        following = position + 4 + length
        if length < 2 or following > end:
            raise ProtocolError("a presentation data value does not fit in its PDU", INVALID_PARAMETER)
        values.append((context_id, control, body[position + 6 : following]))
        position = following
    if not values:
        raise ProtocolError("a P-DATA-TF PDU holds no value", INVALID_PARAMETER)
    return values


def fragment(context_id: int, control: int, data: bytes, max_length: int) -> bytes:
    """`data`, which is at hand and small, as P-DATA-TF PDUs of at most `max_length` bytes after their header."""
    capacity = _capacity(max_length)
    if len(data) <= capacity:
        return _HEADERS.pack(P_DATA_TF, len(data) + 6, len(data) + 2, context_id, control | LAST) + data
    return b"".join(bytes(pdu) for pdu in fragments(context_id, control, (data,), max_length))


def fragments(
    context_id: int, control: int, chunks: Iterable[bytes | bytearray | memoryview], max_length: int
) -> Iterator[bytearray | memoryview]:
    """The chunks joined and cut into full P-DATA-TF PDUs, the last one marked; each byte is copied once.

    As many PDUs are put together as make a write worth its while: one by one, each would end in a record of TLS of a
    few bytes. All are written into one buffer: what is given is valid until the next is asked for. A PDU leaves only
    when the first byte after it is at hand, since only then it is known not to be the last.
    """
    size = _HEADERS.size + _capacity(max_length)
    full = range(size, max(1, _GATHERED // size) * size + 1, size)
    buffer = bytearray(full[-1])
    view = memoryview(buffer)
    for end in full:
        _HEADERS.pack_into(buffer, end - size, P_DATA_TF, size - 6, size - 10, context_id, control)
    ends = iter(full)
    used, end = _HEADERS.size, next(ends)
    for chunk in chunks:
        source = memoryview(chunk)
        left = len(source)
        while left:
            if used == end:
                if end == len(buffer):
                    yield buffer
                    ends, end = iter(full), 0
                used, end = end + _HEADERS.size, next(ends)
            taken = min(left, end - used)
            view[used : used + taken] = source[len(source) - left :][:taken]
            used += taken
            left -= taken
    last = used - (end - size)
    _HEADERS.pack_into(buffer, end - size, P_DATA_TF, last - 6, last - 10, context_id, control | LAST)
    yield view[:used]


def _capacity(max_length: int) -> int:
    # Fragments but the last have an even number of bytes (PS3.8 Annex E.2).
    return (max_length - 6) & ~1
