"""Encapsulated pixel data, PS3.5 A.4: fragments against their frames, their offset table and their codestreams."""

import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from leadglass.errors import DataSetError
from leadglass.inspection.codestream import HEAD, Family, Geometry, MarkedReader, begins, family_of
from leadglass.inspection.pixels import FRAME_BYTES, Image, rle_falls_short
from leadglass.inspection.reasons import Reason
from leadglass.inspection.values import OpaqueStream, Receiver
from leadglass.inspection.verdict import Findings

_OFFSETS: Final = Struct("<I")
_LONG_OFFSETS: Final = Struct("<Q")
_ITEM_HEADER: Final = 8
_STEP: Final = 256 * 1024
#: Fragments beside one for so many bytes of codestream: no frame is as small as that.
_MOST_FRAGMENTS: Final = 4096
_FRAGMENT_EACH: Final = 128
#: Bytes that deflated frames are inflated to, beside so many times their own length: no more is counted.
_INFLATED: Final = 32 * 1024 * 1024
_RATIO: Final = 64
#: Fragments of which one by one is told that they begin no codestream.
_MOST_TOLD: Final = 64


class OffsetTable:
    """An extended offset table, (7FE0,0001) or its lengths (7FE0,0002), taken as it streams past."""

    def __init__(self, length: int, most: int) -> None:
        """`length`: of the value in bytes; a table of more than `most` entries is not read."""
        self._values = bytearray()
        self.is_read = length <= most * _LONG_OFFSETS.size

    def feed(self, part: memoryview) -> None:
        if self.is_read:
            self._values += part

    def finish(self) -> None:
        """Nothing is left to do."""

    def __iter__(self) -> Iterator[int]:
        whole = memoryview(self._values)[: len(self._values) // _LONG_OFFSETS.size * _LONG_OFFSETS.size]
        return (value for (value,) in _LONG_OFFSETS.iter_unpack(whole))

    def __len__(self) -> int:
        return len(self._values) // _LONG_OFFSETS.size


class FragmentChecks:
    """Told of the offset tables and each fragment as they come; `finish` when the last has ended."""

    def __init__(
        self,
        syntax: str,
        findings: Findings,
        image: Image | None,
        path: str,
        offsets: OffsetTable | None = None,
        lengths: OffsetTable | None = None,
    ) -> None:
        self._family = family_of(syntax)
        self._findings = findings
        self._image = image
        self._path = path
        self._first = 0
        self._table: bytes = b""
        self._offsets = offsets
        self._lengths = lengths
        self._starts = array("Q")
        self._strange = array("Q")
        self._encoded = 0
        self._count = 0
        self._last = 0
        self._inflated = _Allowance(_INFLATED)
        if image is not None and image.excess:
            findings.add(Reason.FRAME_BOUND, 0, path, detail=image.excess)

    def begin(self, first: int, table: bytes | None) -> None:
        """`first`: where the first fragment's item begins; offsets count from there."""
        self._first = first
        self._table = table or b""

    def unread_table(self, offset: int) -> Receiver:
        """What takes an offset table that nobody reads, at `offset`."""
        return OpaqueStream(self._findings, offset, f"{self._path} offset table", private=False)

    def fragment(self, offset: int, length: int) -> Receiver:
        """What takes the bytes of a fragment whose value begins at `offset`. Raises DataSetError when there are more
        than such bytes could be frames."""
        self._count += 1
        self._encoded += length
        self._last = length
        if self._count > _MOST_FRAGMENTS + self._encoded // _FRAGMENT_EACH:
            raise DataSetError("Pixel data of so many bytes has more fragments than the limit.", offset)
        self._starts.append(offset - _ITEM_HEADER - self._first)
        path = f"{self._path} fragment {self._count}"
        if self._family is Family.DEFLATED:
            return self._deflated(offset, length, path)
        number = self._count
        return _Begun(min(length, HEAD), lambda first: self._reader(first, number, offset, length, path))

    def _reader(self, first: bytes, number: int, offset: int, length: int, path: str) -> Receiver:
        """What takes a fragment that begins with `first`."""
        if not begins(self._family, first, length):
            # A frame may go on over several fragments; which of them must begin one is known at the end.
            self._strange.append(number)
        elif self._family in (Family.JPEG, Family.JPEG_2000):
            return MarkedReader(
                self._family,
                length,
                lambda found: self._compare(found, offset, path),
                lambda at: OpaqueStream(self._findings, offset + at, path, private=False, start=not at),
                lambda at: self._tail(offset, at, length, path),
            )
        return OpaqueStream(self._findings, offset, path, private=False)

    def _deflated(self, offset: int, length: int, path: str) -> Receiver:
        """Nothing is inflated of an image that declares more than any has, nor beyond its frames."""
        image = self._image
        self._inflated.left += _RATIO * length
        if self._inflated.left < 0 or (image is not None and (image.excess or self._count > image.frames)):
            return OpaqueStream(self._findings, offset, path, private=False)
        most = FRAME_BYTES if image is None else (image.frame_bits + 7) // 8 + 1
        return _DeflatedFrame(
            most,
            self._inflated,
            lambda reason: self._findings.add(reason, offset, path),
            lambda at: OpaqueStream(self._findings, offset + at, path, private=False),
            lambda at: self._tail(offset, at, length, path),
        )

    def _tail(self, offset: int, at: int, length: int, path: str) -> Receiver:
        self._findings.add(Reason.CODESTREAM_TAIL, offset + at, path, detail=f"{length - at} bytes")
        return OpaqueStream(self._findings, offset + at, path, private=False)

    def _compare(self, found: Geometry, offset: int, path: str) -> None:
        image = self._image
        octets = found.columns * found.rows * max(1, found.components) * ((found.bits + 7) // 8)
        said = f"{found.columns} × {found.rows} pixels, {found.components} components"
        if octets > FRAME_BYTES:
            self._findings.add(Reason.FRAME_BOUND, offset, path, detail=said)
        elif image is not None and found.rows and (found.columns, found.rows) != (image.columns, image.rows):
            detail = f"{said}; declared {image.columns} × {image.rows}"
            self._findings.add(Reason.CODESTREAM_SIZE, offset, path, detail=detail)

    def finish(self) -> None:
        """What only the whole can tell: which fragments begin a frame, and whether the tables point to them."""
        frames = self._image.frames if self._image is not None else 1
        whole = memoryview(self._table)[: len(self._table) & ~3]
        offsets = (value for (value,) in _OFFSETS.iter_unpack(whole))
        # PS3.5 A.4: an offset a frame; some writers have one a fragment.
        is_sensible = len(whole) <= _OFFSETS.size * max(frames, self._count)
        begun = self._pointed_at(offsets, frames) if is_sensible else None
        if begun is None or not self._extended_table_holds():
            self._findings.add(Reason.OFFSET_TABLE, self._first, self._path)
        told = 0
        for each in self._strange:
            if each == 1 or self._count == frames or (begun is not None and begun[each - 1]):
                where = self._first + self._starts[each - 1] + _ITEM_HEADER
                self._findings.add(Reason.CODESTREAM, where, f"{self._path} fragment {each}")
                told += 1
                if told == _MOST_TOLD:
                    break
        if self._family is not Family.OTHER and self._count < frames:
            detail = f"{self._count} fragments for {frames} frames"
            self._findings.add(Reason.PIXELS_SHORT, self._first, self._path, detail=detail)
        elif self._family is Family.RLE and self._image is not None and rle_falls_short(self._image, self._encoded):
            detail = f"{self._encoded} bytes for {self._image.length}"
            self._findings.add(Reason.PIXELS_SHORT, self._first, self._path, detail=detail)

    def _pointed_at(self, offsets: Iterable[int], frames: int) -> bytearray | None:
        """For each fragment whether one of the first `frames` offsets points to it. None when one points elsewhere."""
        begun = bytearray(len(self._starts))
        for number, offset in enumerate(offsets):
            at = bisect_left(self._starts, offset)
            if at == len(self._starts) or self._starts[at] != offset:
                return None
            begun[at] |= number < frames
        return begun

    def _extended_table_holds(self) -> bool:
        """PS3.3 C.7.6.3.1.8: an offset and a length for each frame, which is one fragment. A length may leave out the
        byte that pads the fragment."""
        offsets, lengths = self._offsets, self._lengths
        if offsets is None and lengths is None:
            return True
        if offsets is None or lengths is None or not offsets.is_read or not lengths.is_read:
            return False
        frames = self._image.frames if self._image is not None else len(offsets)
        if len(offsets) != frames or len(lengths) != frames or self._pointed_at(offsets, frames) is None:
            return False
        end = self._starts[-1] + _ITEM_HEADER + self._last
        for offset, length in zip(offsets, lengths, strict=True):
            at = bisect_left(self._starts, offset)
            after = self._starts[at + 1] if at + 1 < len(self._starts) else end
            if not length <= after - offset - _ITEM_HEADER <= length + 1:
                return False
        return True


@dataclass(slots=True)
class _Allowance:
    left: int


class _Begun:
    """Holds the first bytes of a fragment until they tell what it is."""

    def __init__(self, wanted: int, make: Callable[[bytes], Receiver]) -> None:
        self._wanted = wanted
        self._make = make
        self._first = bytearray()
        self._receiver: Receiver | None = None

    def feed(self, part: memoryview) -> None:
        if self._receiver is None:
            needed = self._wanted - len(self._first)
            self._first += part[:needed]
            part = part[needed:]
            if len(self._first) < self._wanted:
                return
            self._begin()
        if self._receiver is not None:
            self._receiver.feed(part)

    def finish(self) -> None:
        if self._receiver is None:
            self._begin()
        if self._receiver is not None:
            self._receiver.finish()

    def _begin(self) -> None:
        first = bytes(self._first)
        self._receiver = self._make(first)
        self._receiver.feed(memoryview(first))


class _DeflatedFrame:
    """PS3.5 A.4.13: a frame is one raw deflate stream in one fragment. It is inflated to be counted, and not kept.
    `tail` is told where something other than a padding byte follows it, `opaque` where it is not inflated any more."""

    def __init__(
        self,
        most: int,
        allowance: _Allowance,
        say: Callable[[Reason], None],
        opaque: Callable[[int], Receiver],
        tail: Callable[[int], Receiver],
    ) -> None:
        self._allowance = allowance
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = most
        self._say = say
        self._opaque = opaque
        self._make_tail = tail
        self._tail: Receiver | None = None
        self._position = 0

    def feed(self, part: memoryview) -> None:
        if self._tail is None:
            rest = self._inflate(part)
            self._position += len(part) - len(rest)
            if self._tail is None and len(rest) and (len(rest) > 1 or rest[0]):
                self._tail = self._make_tail(self._position)
            part = rest
        if self._tail is not None:
            self._tail.feed(part)

    def finish(self) -> None:
        if self._tail is not None:
            self._tail.finish()
        elif not self._stream.eof:
            self._say(Reason.CODESTREAM)

    def _inflate(self, part: memoryview) -> memoryview:
        """What follows the stream in `part`."""
        if self._stream.eof:
            return part
        rest: bytes | memoryview = part
        while True:
            try:
                inflated = self._stream.decompress(rest, _STEP)
            except zlib.error:
                return self._give_up(Reason.CODESTREAM, part)
            self._left -= len(inflated)
            self._allowance.left -= len(inflated)
            if self._left < 0:
                return self._give_up(Reason.FRAME_BOUND, part)
            if self._allowance.left < 0:
                return self._give_up(Reason.PIXELS_UNCHECKED, part)
            rest = self._stream.unconsumed_tail
            if self._stream.eof:
                return memoryview(self._stream.unused_data)
            if not rest and len(inflated) < _STEP:
                return memoryview(b"")

    def _give_up(self, reason: Reason, part: memoryview) -> memoryview:
        self._say(reason)
        self._tail = self._opaque(self._position)
        return part
