"""Lookup tables as they are stored: PS3.3 C.7.6.3.1.5, C.7.6.3.1.6, C.7.9.2, C.11.1 and C.11.2."""

from array import array

from leadglass.errors import DataSetError
from leadglass.pixels import header
from leadglass.pixels.description import LookupTable, Palette
from leadglass.pixels.header import Group


def lookup_table(item: Group, signed: bool) -> LookupTable:
    """The table of an item of the Modality or VOI LUT Sequence. Raises DataSetError."""
    length, first, bits = _descriptor(item, header.LUT_DESCRIPTOR, signed)
    return LookupTable(first, bits, _entries(item, header.LUT_DATA, length, bits))


def palette(root: Group, signed: bool) -> Palette | None:
    """The Palette Color Lookup Tables, segmented or not; None when there is none. Raises DataSetError."""
    if header.PALETTE_DESCRIPTORS[0] not in root:
        return None
    tables = []
    for index, tag in enumerate(header.PALETTE_DESCRIPTORS):
        length, first, bits = _descriptor(root, tag, signed)
        segmented = header.SEGMENTED_PALETTE_DATA[index]
        if segmented in root:
            words = _expanded(root.words(segmented), length, bits)
        else:
            words = _entries(root, header.PALETTE_DATA[index], length, bits)
        tables.append(LookupTable(first, bits, words))
    return Palette(*tables)


def _descriptor(group: Group, tag: int, signed: bool) -> tuple[int, int, int]:
    """Number of entries, first value mapped and bits of an entry, C.7.6.3.1.5."""
    unsigned, values = group.integers(tag), group.integers(tag, signed=signed)
    if len(values) != 3:
        raise DataSetError("A lookup table has no descriptor (PS3.3 C.7.6.3.1.5).")
    bits = unsigned[2]
    if not 8 <= bits <= 16:
        raise DataSetError("The entries of a lookup table are not of 8 to 16 bits (PS3.3 C.11.1.1).")
    return (unsigned[0] & 0xFFFF) or 65_536, values[1], bits


def _entries(group: Group, tag: int, length: int, bits: int) -> bytes:
    data = group.words(tag) if tag in group else b""
    if len(data) >= 2 * length:
        return data[: 2 * length]
    if bits == 8 and len(data) >= length:  # Two entries in a word, C.7.9.
        widened = bytearray(2 * length)
        widened[0::2] = data[:length]
        return bytes(widened)
    raise DataSetError("A lookup table is shorter than its descriptor says (PS3.3 C.7.6.3.1.5).")


def _expanded(data: bytes, length: int, bits: int) -> bytes:
    """The entries of segmented data, PS3.3 C.7.9.2. Raises DataSetError unless they are `length`."""
    values = array("H", data[: len(data) // 2 * 2]) if bits > 8 else array("H", list(data))
    expansion = _Expansion(values, length, bits)
    at = 0
    while len(expansion.entries) < length:
        at = expansion.segment(at, nested=False)
    if len(expansion.entries) != length:
        raise _segment_error()
    return expansion.entries.tobytes()


def _segment_error() -> DataSetError:
    return DataSetError("A segmented lookup table is not after PS3.3 C.7.9.2.")


class _Expansion:
    """The entries so far. Every segment adds at least one, and no more than are wanted: the work is bounded."""

    def __init__(self, values: "array[int]", length: int, bits: int) -> None:
        self.entries: array[int] = array("H")
        self._values = values
        self._length = length
        self._bits = bits

    def segment(self, at: int, *, nested: bool) -> int:
        """Expands the segment at `at`; returns the position of the next."""
        if at + 2 > len(self._values):
            raise _segment_error()
        code, count = self._values[at], self._values[at + 1]
        if not count or count > self._length - len(self.entries):
            raise _segment_error()
        if code == 0:
            return self._discrete(at + 2, count)
        if code == 1 and self.entries:
            return self._linear(at + 2, count)
        if code == 2 and not nested:
            return self._indirect(at + 2, count)
        raise _segment_error()

    def _discrete(self, at: int, count: int) -> int:
        if at + count > len(self._values):
            raise _segment_error()
        self.entries.extend(self._values[at : at + count])
        return at + count

    def _linear(self, at: int, count: int) -> int:
        if at >= len(self._values):
            raise _segment_error()
        start, stop = self.entries[-1], self._values[at]
        self.entries.extend(start + round((stop - start) * step / count) for step in range(1, count + 1))
        return at + 1

    def _indirect(self, at: int, count: int) -> int:
        """`count` segments again, from a byte offset in as many values as 32 bits need."""
        width = 16 if self._bits > 8 else 8
        parts = self._values[at : at + 32 // width]
        if len(parts) != 32 // width:
            raise _segment_error()
        offset = sum(part << width * index for index, part in enumerate(parts))
        again = offset * 8 // width
        for _ in range(count):
            again = self.segment(again, nested=True)
        return at + len(parts)
