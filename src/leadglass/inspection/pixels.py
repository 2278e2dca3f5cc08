"""Pixel, overlay and icon data against what rows, columns, samples, bits and frames say (PS3.3 C.7.6.3, C.9.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.container import Element

#: No image decodes to more than this a frame, in bytes; 16384 × 16384 × 16 bit is half of it.
FRAME_BYTES: Final = 1 << 30
#: Nor to more than this in all its frames.
IMAGE_BYTES: Final = 64 << 30
#: PackBits gives at most 128 bytes for two (PS3.5 G.3.2).
_RLE_RATIO: Final = 64
OVERLAY_DATA: Final = 0x60003000
#: PS3.5 7.6: of the repeating group 60xx, the even ones up to 601E.
OVERLAYS: Final = frozenset(OVERLAY_DATA + 0x20000 * i for i in range(16))
OVERLAY_ROWS: Final = 0x60000010
OVERLAY_COLUMNS: Final = 0x60000011
OVERLAY_FRAMES: Final = 0x60000015
OVERLAY_BITS: Final = 0x60000100
ICON_IMAGE_SEQUENCE: Final = 0x00880200
#: What an image says about its pixels.
DESCRIBING: Final = frozenset(
    {
        tags.SAMPLES_PER_PIXEL,
        tags.PHOTOMETRIC_INTERPRETATION,
        tags.NUMBER_OF_FRAMES,
        tags.ROWS,
        tags.COLUMNS,
        tags.BITS_ALLOCATED,
    }
    | {base + 0x20000 * i for i in range(16) for base in (OVERLAY_ROWS, OVERLAY_COLUMNS, OVERLAY_FRAMES, OVERLAY_BITS)}
)


@dataclass(frozen=True, slots=True)
class Image:
    """What is declared. `frame_bits`: of one decoded frame without padding."""

    rows: int
    columns: int
    frames: int
    frame_bits: int

    @property
    def excess(self) -> str:
        """What it declares beyond any image, in words; "" when it does not."""
        if self.frame_bits // 8 > FRAME_BYTES:
            return f"{self.columns} × {self.rows} pixels declared"
        return f"{self.frames} frames of {self.frame_bits // 8} bytes declared" if self.length > IMAGE_BYTES else ""

    @property
    def length(self) -> int:
        """Bytes of native pixel data, without the padding to an even number."""
        return (self.frame_bits * self.frames + 7) // 8


def number(elements: Mapping[int, Element], tag: int, little_endian: bool, default: int = 0) -> int:
    """The first value of a US element, or of an IS one; `default` when it is absent or no number."""
    element = elements.get(tag)
    if element is None or not element.value:
        return default
    if element.vr == "IS":
        text = element.value.split(b"\\")[0].strip(b" \0")
        return int(text) if text.isdigit() and len(text) <= 10 else default
    if len(element.value) < 2:
        return default
    return int.from_bytes(element.value[:2], "little" if little_endian else "big")


def image_of(elements: Mapping[int, Element], little_endian: bool) -> Image | None:
    """None without rows, columns and bits."""
    rows = number(elements, tags.ROWS, little_endian)
    columns = number(elements, tags.COLUMNS, little_endian)
    bits = number(elements, tags.BITS_ALLOCATED, little_endian)
    if not (rows and columns and bits):
        return None
    samples = number(elements, tags.SAMPLES_PER_PIXEL, little_endian, 1) or 1
    photometric = elements.get(tags.PHOTOMETRIC_INTERPRETATION)
    halved = photometric is not None and photometric.value.rstrip(b" \0") in (b"YBR_FULL_422", b"YBR_PARTIAL_422")
    bits_of_pixel = 2 * bits if halved and samples == 3 else bits * samples
    frames = number(elements, tags.NUMBER_OF_FRAMES, little_endian, 1) or 1
    return Image(rows, columns, frames, rows * columns * bits_of_pixel)


def overlay_length(elements: Mapping[int, Element], tag: int, little_endian: bool) -> int | None:
    """Bytes of the overlay plane at `tag`, (60xx,3000); None when its size is not told."""
    base = tag & 0xFFFF0000

    def value(of: int, default: int) -> int:
        return number(elements, base | of & 0xFFFF, little_endian, default)

    rows, columns = value(OVERLAY_ROWS, 0), value(OVERLAY_COLUMNS, 0)
    if not (rows and columns):
        return None
    return (rows * columns * (value(OVERLAY_FRAMES, 1) or 1) + 7) // 8


def is_overlay(tag: int) -> bool:
    return tag & 0xFF00FFFF == OVERLAY_DATA and not tag & 0x10000


def rle_falls_short(image: Image, encoded: int) -> bool:
    """Whether so few bytes cannot hold that many pixels, however well they pack."""
    return image.length > _RLE_RATIO * encoded
