"""Encapsulated pixel data, PS3.5 A.4: fragments against their frames, their offset table and their codestreams."""

import zlib
from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final

from leadglass.inspection.codestream import CodestreamReader, Family, begins, family_of, geometry
from leadglass.inspection.pixels import FRAME_BYTES, Image, rle_falls_short
from leadglass.inspection.reasons import Reason
from leadglass.inspection.values import OpaqueStream, Receiver
from leadglass.inspection.verdict import Findings

_OFFSETS: Final = Struct("<I")
_ITEM_HEADER: Final = 8
_STEP: Final = 256 * 1024


class FragmentChecks:
    """Told of the offset table and each fragment as they come; `finish` when the last has ended."""

    def __init__(self, syntax: str, findings: Findings, image: Image | None, path: str) -> None:
        self._family = family_of(syntax)
        self._findings = findings
        self._image = image
        self._path = path
        self._first = 0
        self._table: bytes = b""
        self._starts = array("Q")
        self._strange = array("Q")
        self._encoded = 0
        self._count = 0
        if image is not None and image.frame_bits // 8 > FRAME_BYTES:
            findings.add(Reason.FRAME_BOUND, 0, path, detail=f"{image.columns} × {image.rows} pixels declared")

    def begin(self, first: int, table: bytes | None) -> None:
        """`first`: where the first fragment's item begins; offsets count from there."""
        self._first = first
        self._table = table or b""

    def fragment(self, offset: int, length: int) -> Receiver:
        """What takes the bytes of a fragment whose value begins at `offset`."""
        self._count += 1
        self._encoded += length
        self._starts.append(offset - _ITEM_HEADER - self._first)
        path = f"{self._path} fragment {self._count}"

        def header(data: bytes) -> int:
            return self._header(data, offset, length, path)

        def tail(at: int) -> Receiver:
            self._findings.add(Reason.CODESTREAM_TAIL, offset + at, path, detail=f"{length - at} bytes")
            return OpaqueStream(self._findings, offset + at, path, private=False)

        if self._family is Family.OTHER:
            return _Nothing()
        if self._family is Family.DEFLATED:
            most = FRAME_BYTES if self._image is None else (self._image.frame_bits + 7) // 8 + 1
            return _DeflatedFrame(most, lambda reason: self._findings.add(reason, offset, path))
        return CodestreamReader(self._family, length, header, tail)

    def _header(self, data: bytes, offset: int, length: int, path: str) -> int:
        if not begins(self._family, data, length):
            # A frame may go on over several fragments; which of them must begin one is known at the end.
            self._strange.append(self._count)
            self._look(data, offset, path)
            return 0
        found, coded = geometry(self._family, data)
        self._look(data[:coded], offset, path)
        if found is None:
            return coded
        image = self._image
        octets = found.columns * found.rows * max(1, found.components) * ((found.bits + 7) // 8)
        said = f"{found.columns} × {found.rows} pixels, {found.components} components"
        if octets > FRAME_BYTES:
            self._findings.add(Reason.FRAME_BOUND, offset, path, detail=said)
        elif image is not None and found.rows and (found.columns, found.rows) != (image.columns, image.rows):
            detail = f"{said}; declared {image.columns} × {image.rows}"
            self._findings.add(Reason.CODESTREAM_SIZE, offset, path, detail=detail)
        return coded

    def _look(self, data: bytes, offset: int, path: str) -> None:
        stream = OpaqueStream(self._findings, offset, path, private=False)
        stream.feed(memoryview(data))
        stream.finish()

    def finish(self) -> None:
        """What only the whole can tell: which fragments begin a frame, and whether the table points to them."""
        table = [each for (each,) in _OFFSETS.iter_unpack(self._table[: len(self._table) & ~3])]
        known = set(self._starts)
        if any(each not in known for each in table):
            self._findings.add(Reason.OFFSET_TABLE, self._first, self._path)
        frames = self._image.frames if self._image is not None else 1
        for each in self._strange:
            start = self._starts[each - 1]
            if each == 1 or self._count == frames or start in table[:frames]:
                where = self._first + start + _ITEM_HEADER
                self._findings.add(Reason.CODESTREAM, where, f"{self._path} fragment {each}")
        if self._family is not Family.OTHER and self._count < frames:
            detail = f"{self._count} fragments for {frames} frames"
            self._findings.add(Reason.PIXELS_SHORT, self._first, self._path, detail=detail)
        elif self._family is Family.RLE and self._image is not None and rle_falls_short(self._image, self._encoded):
            detail = f"{self._encoded} bytes for {self._image.length}"
            self._findings.add(Reason.PIXELS_SHORT, self._first, self._path, detail=detail)


class _DeflatedFrame:
    """PS3.5 A.4.13: a frame is one raw deflate stream in one fragment. It is inflated to be counted, and not kept."""

    def __init__(self, most: int, say: Callable[[Reason], None]) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._left = most
        self._say = say
        self._done = False

    def feed(self, part: memoryview) -> None:
        rest: bytes | memoryview = part
        while not self._done and not self._stream.eof:
            try:
                inflated = self._stream.decompress(rest, _STEP)
            except zlib.error:
                self._end(Reason.CODESTREAM)
                return
            self._left -= len(inflated)
            if self._left < 0:
                self._end(Reason.FRAME_BOUND)
            rest = self._stream.unconsumed_tail
            if not rest and len(inflated) < _STEP:
                return

    def finish(self) -> None:
        if not self._done and not self._stream.eof:
            self._end(Reason.CODESTREAM)

    def _end(self, reason: Reason) -> None:
        self._done = True
        self._say(reason)


class _Nothing:
    def feed(self, part: memoryview) -> None:
        """Video has no header to check."""

    def finish(self) -> None:
        """Nothing was kept."""
