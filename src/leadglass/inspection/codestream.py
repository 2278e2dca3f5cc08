"""Compressed pixel data: what each fragment begins with, what it will decode to, and what follows its end.

Nothing is decoded. Entropy-coded bytes may hold any pattern, so they are not searched: what stands before, between and
after them is. JPEG, JPEG-LS and JPEG 2000 have no marker inside them, so that a marker ends them. In other codestreams
nothing tells where coded bytes end: those are searched as a whole.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from struct import Struct
from typing import Final

from leadglass.inspection.values import Receiver

#: Bytes that tell whether a fragment begins a codestream: RLE's header.
HEAD: Final = 64
_JPEG: Final = b"\xff\xd8\xff"
_J2K: Final = b"\xff\x4f\xff\x51"
_JP2: Final = b"\0\0\0\x0cjP  "
_CODESTREAM_BOX: Final = b"jp2c"
_SIZ: Final = Struct(">IIIIIIII")
_SIZ_LENGTH: Final = 43
_RLE: Final = Struct("<16I")
_TWO: Final = Struct(">H")
_PADDING: Final = b"\0\xff"
_MOST_PADDING: Final = 16
#: Markers of one codestream that are followed, beside one for so many bytes; beyond, all that is left is searched.
_MOST_MARKERS: Final = 4096
_MARKER_EACH: Final = 256

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


@dataclass(frozen=True, slots=True)
class _Markers:
    """Those of a standard: what ends coded bytes, which stand alone, what begins coded bytes (after its segment, if it
    has one), and what ends all."""

    in_coded: re.Pattern[bytes]
    alone: frozenset[int]
    start_of_coded: int
    end: int


_MARKERS: Final = {
    # ITU-T T.81 B.1.1.3. In T.87 C.1 a byte of coded data below 80H may follow FFH.
    Family.JPEG: _Markers(
        re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]"), frozenset({0x01, 0xD8, *range(0xD0, 0xD8)}), 0xDA, 0xD9
    ),
    # ITU-T T.800 A.2: between tile-parts, SOT.
    Family.JPEG_2000: _Markers(re.compile(rb"\xff[\x90\xd9]"), frozenset({0x4F, 0x92, 0x93}), 0x93, 0xD9),
}
_ANY_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")


class MarkedReader:
    """One codestream of JPEG's or JPEG 2000's kind as it streams past. `found` is told what it decodes to. `headers`
    and `tail` make what takes the bytes of a row of marker segments, and those after its end; each is told where they
    begin in the fragment."""

    def __init__(
        self,
        family: Family,
        length: int,
        found: Callable[[Geometry], None],
        headers: Callable[[int], Receiver],
        tail: Callable[[int], Receiver],
    ) -> None:
        self._markers = _MARKERS[family]
        self._geometry = _jpeg_geometry if family is Family.JPEG else _jpeg_2000_geometry
        self._length = length
        self._found = found
        self._make_headers = headers
        self._make_tail = tail
        self._headers: Receiver | None = None
        self._tail: Receiver | None = None
        self._rest = b""
        self._position = 0
        self._skip = 0
        self._left = _MOST_MARKERS + length // _MARKER_EACH
        self._step = self._box if family is Family.JPEG_2000 else self._marker

    def feed(self, part: memoryview) -> None:
        if self._tail is not None:
            self._tail.feed(part)
            return
        data = self._rest + bytes(part)
        at = 0
        while at < len(data) and self._tail is None:
            after = self._skipped(data, at) if self._skip else self._step(data, at)
            if after < 0:
                break
            at = after
        self._position += at
        self._rest = data[at:]
        if self._tail is not None:
            self._tail.feed(memoryview(self._rest))

    def finish(self) -> None:
        if self._tail is not None:
            self._tail.finish()
        elif self._rest and (self._skip or self._step != self._coded):
            self._show(self._rest, 0, len(self._rest))
        self._end_headers()

    def _show(self, data: bytes, at: int, end: int) -> int:
        if self._headers is None:
            self._headers = self._make_headers(self._position + at)
        self._headers.feed(memoryview(data)[at:end])
        return end

    def _end_headers(self) -> None:
        if self._headers is not None:
            self._headers.finish()
            self._headers = None

    def _everything(self, data: bytes, at: int) -> int:
        return self._show(data, at, len(data))

    def _skipped(self, data: bytes, at: int) -> int:
        size = min(self._skip, len(data) - at)
        self._skip -= size
        return self._show(data, at, at + size)

    def _box(self, data: bytes, at: int) -> int:
        """A box of a JP2 file around the codestream, ITU-T T.800 I.4."""
        if len(data) - at < 16:
            return -1
        if data.startswith(_J2K, at):
            self._step = self._marker
            return at
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 16 if size == 1 else 8
        size = int.from_bytes(data[at + 8 : at + 16], "big") if size == 1 else size
        if kind == _CODESTREAM_BOX:
            self._step = self._marker
        else:
            self._skip = max(0, size - head) if size else self._length
        return self._show(data, at, at + head)

    def _marker(self, data: bytes, at: int) -> int:
        """A marker, and its segment if it has one (ITU-T T.81 B.1.1.4, T.800 A.1)."""
        self._left -= 1
        if self._left < 0:
            self._step = self._everything
            return at
        match = _ANY_MARKER.search(data, at)
        if match is None or match.start() > at:
            # Decoders look for the next one, whatever stands here.
            return self._show(data, at, match.start() if match else len(data) - 1) if len(data) - at > 1 else -1
        marker = data[at + 1]
        if marker == self._markers.end:
            return self._end(data, at)
        if marker in self._markers.alone:
            if marker == self._markers.start_of_coded:
                self._step = self._coded
            return self._show(data, at, at + 2)
        if len(data) - at < min(_SIZ_LENGTH, self._length - self._position - at):
            return -1
        length = _TWO.unpack_from(data.ljust(at + 4, b"\0"), at + 2)[0]
        geometry = self._geometry(marker, data, at)
        if geometry is not None:
            self._found(geometry)
        self._skip = 2 + max(2, length)
        if marker == self._markers.start_of_coded:
            self._step = self._coded
        return at

    def _coded(self, data: bytes, at: int) -> int:
        self._end_headers()
        match = self._markers.in_coded.search(data, at)
        if match is None:
            return len(data) - 1 if len(data) - at > 1 else -1
        self._step = self._marker
        return match.start()

    def _end(self, data: bytes, at: int) -> int:
        """After the end nothing may follow but padding; as long as nothing else does, this is asked again."""
        rest = data[at + 2 :]
        end = self._position + at + 2
        if end < self._length and (len(rest) > _MOST_PADDING or rest.strip(_PADDING)):
            self._tail = self._make_tail(end)
            return at + 2
        return -1


def _jpeg_geometry(marker: int, data: bytes, at: int) -> Geometry | None:
    """Of a frame header, ITU-T T.81 B.2.2 and T.87 C.2.2."""
    is_frame = (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7
    if not is_frame or at + 10 > len(data):
        return None
    rows, columns = _TWO.unpack_from(data, at + 5)[0], _TWO.unpack_from(data, at + 7)[0]
    return Geometry(columns, rows, data[at + 9], data[at + 4])


def _jpeg_2000_geometry(marker: int, data: bytes, at: int) -> Geometry | None:
    """Of SIZ, ITU-T T.800 A.5.1."""
    if marker != 0x51 or at + 41 > len(data):
        return None
    wide, high, left, top, *_ = _SIZ.unpack_from(data, at + 6)
    components = _TWO.unpack_from(data, at + 38)[0]
    return Geometry(max(0, wide - left), max(0, high - top), components, (data[at + 40] & 0x7F) + 1)
