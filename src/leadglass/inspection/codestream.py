"""Compressed pixel data: what each fragment begins with, what it will decode to, and what follows its end.

Nothing is decoded. Coded bytes may hold any pattern, so they are never searched: only the marker segments before them
and the bytes after the end-of-image marker are (neither JPEG nor JPEG 2000 can hold that marker inside coded data).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from struct import Struct
from typing import Final

from leadglass.inspection.values import Receiver

#: Bytes of a fragment that are read as its header. A longer one (big ICC profiles in APP2) is left unread.
HEADER: Final = 64 * 1024
_JPEG: Final = b"\xff\xd8\xff"
_J2K: Final = b"\xff\x4f\xff\x51"
_JP2: Final = b"\0\0\0\x0cjP  "
_END: Final = b"\xff\xd9"
_SIZ: Final = Struct(">IIIIIIII")
_RLE: Final = Struct("<16I")
_PADDING: Final = b"\0\xff"

_PREFIX: Final = "1.2.840.10008.1.2."


class Family(Enum):
    JPEG = "JPEG"
    JPEG_2000 = "JPEG 2000"
    JPEG_XL = "JPEG XL"
    RLE = "RLE"
    DEFLATED = "deflated"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a codestream decodes to."""

    columns: int
    rows: int
    components: int
    bits: int


def family_of(syntax: str) -> Family:
    """PS3.5 A.4: the family of codestreams that a transfer syntax encapsulates; OTHER for video."""
    name = syntax.removeprefix(_PREFIX)
    if name in ("5", "8.1"):
        return Family.RLE if name == "5" else Family.DEFLATED
    if name in ("4.90", "4.91", "4.92", "4.93", "4.201", "4.202", "4.203"):
        return Family.JPEG_2000
    if name in ("4.110", "4.111", "4.112"):
        return Family.JPEG_XL
    return Family.JPEG if name.startswith("4.") and int(name[2:]) < 90 else Family.OTHER


def begins(family: Family, data: bytes, length: int) -> bool:
    """Whether a fragment of `length` bytes that begins with `data` begins a codestream of `family`."""
    if family is Family.JPEG:
        return data.startswith(_JPEG)
    if family is Family.JPEG_2000:
        return data.startswith((_J2K, _JP2))
    if family is Family.JPEG_XL:
        return data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL "))
    return _is_rle(data, length) if family is Family.RLE else True


def _is_rle(data: bytes, length: int) -> bool:
    """PS3.5 G.5: up to 15 segments, whose offsets ascend from the end of the 64-byte header."""
    if len(data) < _RLE.size:
        return False
    count, *offsets = _RLE.unpack_from(data)
    used = offsets[:count]
    ordered = all(before < after for before, after in pairwise(used))
    return 1 <= count <= 15 and used[0] == _RLE.size and ordered and used[-1] <= length


def geometry(family: Family, data: bytes) -> tuple[Geometry | None, int]:
    """What the header says that the codestream decodes to, and where its coded data begin (0 when unknown)."""
    if family is Family.JPEG:
        return _jpeg(data)
    return _jpeg_2000(data) if family is Family.JPEG_2000 else (None, 0)


def _jpeg(data: bytes) -> tuple[Geometry | None, int]:
    """ITU-T T.81 B.2 and T.87 C.2: marker segments up to the first start of scan."""
    found = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        is_frame = 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)
        if (is_frame or marker == 0xF7) and at + 10 <= len(data):
            rows, columns = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            found = Geometry(columns, rows, data[at + 9], data[at + 4])
        at += 2 + length
        if marker == 0xDA:
            return found, at
    return found, 0


def _jpeg_2000(data: bytes) -> tuple[Geometry | None, int]:
    """ITU-T T.800 A.5.1, perhaps behind the boxes of a JP2 file, and where the first tile-part's data begin."""
    start = data.find(_J2K)
    if start < 0 or start + 43 > len(data):
        return None, 0
    wide, high, left, top, *_ = _SIZ.unpack_from(data, start + 8)
    components = int.from_bytes(data[start + 40 : start + 42], "big")
    found = Geometry(max(0, wide - left), max(0, high - top), components, (data[start + 42] & 0x7F) + 1)
    coded = data.find(b"\xff\x93", start)
    return found, coded + 2 if coded >= 0 else 0


class CodestreamReader:
    """One fragment as it streams past. `header` is given its first bytes; `tail` makes what takes the bytes after its
    end, told where they begin in the fragment."""

    def __init__(
        self, family: Family, length: int, header: Callable[[bytes], int], tail: Callable[[int], Receiver]
    ) -> None:
        self._has_end = family in (Family.JPEG, Family.JPEG_2000)
        self._wanted = min(length, HEADER)
        self._length = length
        self._header = header
        self._make_tail = tail
        self._first = bytearray()
        self._position = 0
        self._last = b""
        self._tail: Receiver | None = None

    def feed(self, part: memoryview) -> None:
        if len(self._first) < self._wanted:
            needed = self._wanted - len(self._first)
            self._first += part[:needed]
            part = part[needed:]
            if len(self._first) < self._wanted:
                return
            first = bytes(self._first)
            coded = self._header(first)
            self._position = coded
            self._search(first[coded:])
        if len(part):
            self._search(part)

    def finish(self) -> None:
        if self._tail is not None:
            self._tail.finish()

    def _search(self, part: bytes | memoryview) -> None:
        if self._tail is not None:
            self._tail.feed(memoryview(part))
            return
        if not self._has_end:
            return
        data = self._last + bytes(part)
        start = self._position - len(self._last)
        self._position += len(part)
        end = data.find(_END)
        if end < 0:
            self._last = data[-1:]
            return
        rest = data[end + 2 :]
        if start + end + 2 < self._length and (rest.strip(_PADDING) or len(rest) > 16):
            self._tail = self._make_tail(start + end + 2)
            self._tail.feed(memoryview(rest))
        elif not rest.strip(_PADDING):
            # An end marker, and nothing known yet to follow it: padding may go on, or something else come.
            self._last = _END
