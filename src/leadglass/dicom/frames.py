"""Where each frame of the pixel data lies, PS3.3 C.7.6.3, PS3.5 8.1.1, 8.2 and A.4. No input or output.

Native frames follow each other without padding: one of single bits may begin inside a byte. Encapsulated frames are one
fragment each, or as many as the extended or basic offset table says, or (when there is no table) those up to the next
fragment that begins a code stream.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from struct import Struct
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.container import Element
from leadglass.errors import DataSetError

#: What `Geometry.of` reads.
GEOMETRY_TAGS: Final = frozenset(
    {
        tags.SAMPLES_PER_PIXEL,
        tags.PHOTOMETRIC_INTERPRETATION,
        tags.NUMBER_OF_FRAMES,
        tags.ROWS,
        tags.COLUMNS,
        tags.BITS_ALLOCATED,
    }
)
#: Bits a sample of the pixel data elements that have no Bits Allocated of their own (PS3.3 C.7.6.24).
_FLOAT_BITS: Final = {tags.FLOAT_PIXEL_DATA: 32, tags.DOUBLE_FLOAT_PIXEL_DATA: 64}
#: How a code stream begins: SOI of JPEG and JPEG-LS, SOC and SIZ of JPEG 2000, both forms of JPEG XL.
_CODE_STREAMS: Final = (b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\0\0\0\x0cJXL ")
#: Bytes of a fragment that tell whether a code stream begins with it.
STREAM_START: Final = 8
#: The item header before each fragment, PS3.5 A.4.
_ITEM_HEADER: Final = 8
_MOST_FRAMES: Final = 2**31 - 1

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a data set says about its frames; `bits` of one frame in native form."""

    frames: int
    rows: int
    columns: int
    bits: int
    bits_allocated: int

    @classmethod
    def of(cls, elements: Mapping[int, Element], little_endian: bool, pixel_tag: int) -> "Geometry":
        """From the elements of `GEOMETRY_TAGS`. Raises DataSetError when they do not describe an image."""
        rows, columns, samples, allocated = (
            _unsigned(elements, tag, little_endian)
            for tag in (tags.ROWS, tags.COLUMNS, tags.SAMPLES_PER_PIXEL, tags.BITS_ALLOCATED)
        )
        allocated = _FLOAT_BITS.get(pixel_tag, allocated)
        samples = samples or 1
        if not (rows and columns and allocated):
            raise DataSetError("The data set does not say how large its frames are (PS3.3 C.7.6.3).")
        bits = rows * columns * samples * allocated
        if _text(elements, tags.PHOTOMETRIC_INTERPRETATION) == "YBR_FULL_422" and samples == 3:
            bits = bits // 3 * 2  # PS3.3 C.7.6.3.1.2: two luminance values share their colour
        return cls(_frames(elements), rows, columns, bits, allocated)


@dataclass(frozen=True, slots=True)
class NativeFrame:
    """Bytes `start` to `start + length` of the pixel data hold the frame, which begins after `shift` bits."""

    start: int
    length: int
    shift: int
    bits: int

    def cut(self, data: bytes) -> bytes:
        """The frame alone, beginning with a byte, out of the bytes that hold it (PS3.18 10.4.1.2: a frame stands for
        itself). Bits beyond its last are zero."""
        if not self.shift and not self.bits % 8:
            return data
        number = (int.from_bytes(data, "little") >> self.shift) & ((1 << self.bits) - 1)
        return number.to_bytes((self.bits + 7) // 8, "little")


def native_frame(geometry: Geometry, number: int, pixel_length: int) -> NativeFrame:
    """Where frame `number`, counted from 1, lies in `pixel_length` bytes of native pixel data. Raises DataSetError when
    the pixel data is shorter than its description."""
    first = (number - 1) * geometry.bits
    end = (first + geometry.bits + 7) // 8
    if end > pixel_length:
        raise DataSetError("The pixel data is shorter than its frames (PS3.5 8.1.1).")
    start = first // 8
    return NativeFrame(start, end - start, first % 8, geometry.bits)


def encapsulated_frames(
    geometry_frames: int,
    fragments: Sequence[Span],
    basic_offsets: bytes,
    extended_offsets: bytes,
    begins: Callable[[Span], bytes],
) -> tuple[tuple[Span, ...], ...]:
    """The fragments of each frame. `begins`: the first `STREAM_START` bytes of a fragment, asked for only when nothing
    else tells frames apart. Raises DataSetError when nothing does."""
    if len(fragments) == geometry_frames:
        return tuple((fragment,) for fragment in fragments)
    if geometry_frames == 1:
        return (tuple(fragments),)
    firsts = _by_table(fragments, extended_offsets, "<Q") or _by_table(fragments, basic_offsets, "<I")
    if not firsts:
        firsts = [at for at, fragment in enumerate(fragments) if begins(fragment).startswith(_CODE_STREAMS)]
    if len(firsts) != geometry_frames or firsts[0] != 0:
        raise DataSetError("The frames of the encapsulated pixel data cannot be told apart (PS3.5 A.4).")
    return tuple(tuple(fragments[first:stop]) for first, stop in pairwise([*firsts, len(fragments)]))


def _by_table(fragments: Sequence[Span], table: bytes, form: str) -> list[int]:
    """Indices of each frame's first fragment. A table of one offset tells nothing; one that points between fragments
    raises DataSetError, since believing half of it would show wrong pixels."""
    entry = Struct(form)
    if not fragments or len(table) < 2 * entry.size or len(table) % entry.size:
        return []
    base = fragments[0][0] - _ITEM_HEADER
    starts = [start - _ITEM_HEADER - base for start, _ in fragments]
    firsts: list[int] = []
    for (offset,) in entry.iter_unpack(table):
        at = bisect_left(starts, offset)
        if at == len(starts) or starts[at] != offset or (firsts and at <= firsts[-1]):
            raise DataSetError("An offset table does not point at fragments (PS3.5 A.4).")
        firsts.append(at)
    return firsts


def _unsigned(elements: Mapping[int, Element], tag: int, little_endian: bool) -> int:
    element = elements.get(tag)
    if element is None or len(element.value) < 2:
        return 0
    return int.from_bytes(element.value[:2], "little" if little_endian else "big")


def _text(elements: Mapping[int, Element], tag: int) -> str:
    element = elements.get(tag)
    return element.value.decode("ascii", "replace").strip("\0 ") if element is not None else ""


def _frames(elements: Mapping[int, Element]) -> int:
    text = _text(elements, tags.NUMBER_OF_FRAMES)
    if not text:
        return 1
    if not text.isdecimal() or int(text) > _MOST_FRAMES:
        raise DataSetError("Number of Frames is not a positive number (PS3.3 C.7.6.6).")
    return int(text) or 1  # some writers mean one by 0
