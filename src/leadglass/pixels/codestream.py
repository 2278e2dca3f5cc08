"""What a compressed frame says of itself, read before any decoder sees it: its size is checked before it is believed.

Raises CannotDecode for a header that is none.
"""

import struct
from struct import Struct
from typing import Final

from leadglass.pixels.failure import CannotDecode, Codestream, Failure

_SEGMENT: Final = Struct(">BBH")
_FRAME_HEADER: Final = Struct(">BHHB")
_SIZE: Final = Struct(">H8I H")
_BOX: Final = Struct(">I4s")

#: ITU-T T.81 Table B.1: SOF0 to SOF15 without DHT, JPG and DAC; T.87 C.1.1: SOF55.
_START_OF_FRAME: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_ADOBE: Final = b"Adobe"

#: ISO/IEC 18181-1 D.2: width for height of each ratio, and the bits of U32 sizes.
_RATIOS: Final = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE_BITS: Final = (9, 13, 18, 30)


def _broken() -> CannotDecode:
    return CannotDecode(Failure.BROKEN)


def jpeg_codestream(frame: memoryview) -> tuple[Codestream, int | None]:
    """Of JPEG (ITU-T T.81) and JPEG-LS (T.87): with the colour transform that an Adobe segment states (T.872 6.5.3),
    None without one."""
    if bytes(frame[:2]) != b"\xff\xd8":
        raise _broken()
    at, transform = 2, None
    try:
        while True:
            fill, marker, length = _SEGMENT.unpack_from(frame, at)
            if fill != 0xFF:
                raise _broken()
            if marker == 0xFF:
                at += 1
            elif marker in _STANDALONE:
                at += 2
            elif marker in _START_OF_FRAME:
                bits, rows, columns, samples = _FRAME_HEADER.unpack_from(frame, at + 4)
                return Codestream(rows, columns, samples, bits), transform
            else:
                if marker == 0xEE and length >= 14 and bytes(frame[at + 4 : at + 9]) == _ADOBE:
                    transform = frame[at + 15]
                at += 2 + max(2, length)
    except (struct.error, IndexError):
        raise _broken() from None


def jpeg2000_codestream(frame: memoryview) -> Codestream:
    """Of JPEG 2000 and HTJ2K (ITU-T T.800 A.5.1), also in a JP2 file that should not be there (PS3.5 A.4.4)."""
    try:
        at = _contiguous(frame) if bytes(frame[4:8]) == b"jP  " else 0
        if bytes(frame[at : at + 4]) != b"\xff\x4f\xff\x51":
            raise _broken()
        _, width, height, left, top, *tile, samples = _SIZE.unpack_from(frame, at + 6)
        components = [struct.unpack_from("BBB", frame, at + 42 + 3 * each) for each in range(samples)]
    except struct.error:
        raise _broken() from None
    tile_width, tile_height, tile_left, tile_top = tile
    # T.800 B.3: the first tile holds the first pixel. Decoders divide by these.
    if not (tile_left <= left < tile_left + tile_width and tile_top <= top < tile_top + tile_height):
        raise _broken()
    if height <= top or width <= left or not components or any(0 in each[1:] for each in components):
        raise _broken()
    codestream = Codestream(height - top, width - left, samples, max((each[0] & 0x7F) + 1 for each in components))
    if any(each[1:] != (1, 1) for each in components):
        raise CannotDecode(Failure.MISMATCH, codestream)
    return codestream


def _contiguous(frame: memoryview) -> int:
    """Where the codestream begins in a JP2 file, T.800 I.5.4."""
    at = 0
    while True:
        length, kind = _BOX.unpack_from(frame, at)
        if kind == b"jp2c":
            return at + (16 if length == 1 else 8)
        if length < 8:
            raise _broken()
        at += length


class _Bits:
    """ISO/IEC 18181-1 B.2: from the least significant bit of each byte."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise _broken()
        taken = self._value & (1 << count) - 1
        self._value >>= count
        self._left -= count
        return taken


def jpegxl_codestream(frame: memoryview) -> Codestream:
    """Of JPEG XL, bare or in its container (ISO/IEC 18181-1 D.2, 18181-2 9). Samples and bits are not read."""
    head = bytes(frame[:64])
    if head[4:8] == b"JXL ":
        head = _jpegxl_start(frame)
    if head[:2] != b"\xff\x0a":
        raise _broken()
    bits = _Bits(head[2:])
    small = bool(bits.take(1))
    rows = _jpegxl_size(bits, small)
    width, height = _RATIOS[bits.take(3)]
    columns = rows * width // height if height else _jpegxl_size(bits, small)
    return Codestream(rows, columns)


def _jpegxl_size(bits: _Bits, small: bool) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return 1 + bits.take(_SIZE_BITS[bits.take(2)])


def _jpegxl_start(frame: memoryview) -> bytes:
    at = 0
    try:
        while True:
            length, kind = _BOX.unpack_from(frame, at)
            body = at + (16 if length == 1 else 8)
            if kind in (b"jxlc", b"jxlp"):
                body += 4 if kind == b"jxlp" else 0
                return bytes(frame[body : body + 64])
            if length < 8:
                raise _broken()
            at += length
    except struct.error:
        raise _broken() from None
