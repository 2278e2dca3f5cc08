"""What an object declares about its pixels: the Image Pixel module and what is needed to show them.

Values only, all of them checked (PS3.3 C.7.6.3, C.7.9, C.11.1, C.11.2); `leadglass.pixels.reading` reads them. Lookup
tables are kept as bytes of unsigned 16-bit little endian words, so that a description is cheap to hand to a worker.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

#: PS3.3 C.7.6.3.1.2.
MONOCHROME: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
PALETTE_COLOR: Final = "PALETTE COLOR"


class Sample(StrEnum):
    """What one sample is, by the element that holds it: (7FE0,0010), (7FE0,0008) or (7FE0,0009)."""

    INTEGER = "integer"
    FLOAT = "float"
    DOUBLE = "double"


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056), PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class LookupTable:
    """`words`: entries as unsigned 16-bit little endian; `first` is the value that the first entry stands for; values
    below and above take the first and the last entry. `bits`: of an entry, 8 to 16 (PS3.3 C.11.1.1)."""

    first: int
    bits: int
    words: bytes

    @property
    def length(self) -> int:
        return len(self.words) // 2


@dataclass(frozen=True, slots=True)
class Palette:
    """Palette Color Lookup Table module, PS3.3 C.7.9."""

    red: LookupTable
    green: LookupTable
    blue: LookupTable


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center and Width, PS3.3 C.11.2.1.2, in the units that the modality transformation gives."""

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR


@dataclass(frozen=True, slots=True)
class GrayTransform:
    """From stored values to values of interest: modality LUT or rescale (C.11.1), windows or VOI LUTs (C.11.2)."""

    slope: float = 1.0
    intercept: float = 0.0
    modality_lut: LookupTable | None = None
    windows: tuple[Window, ...] = ()
    voi_luts: tuple[LookupTable, ...] = ()


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """What an object declares about its pixels. `frames`: transforms of its own for each frame, where it has them.

    `word_swapped`: 8-bit samples lie in big endian 16-bit words (OW in Explicit VR Big Endian, PS3.5 D).
    `aspect`: height of a pixel divided by its width. `padding`: lowest and highest stored value that is no pixel.
    """

    transfer_syntax: str
    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    planar_configuration: int = 0
    number_of_frames: int = 1
    sample: Sample = Sample.INTEGER
    word_swapped: bool = False
    aspect: float = 1.0
    padding: tuple[int, int] | None = None
    gray: GrayTransform = GrayTransform()
    frames: tuple[GrayTransform, ...] = ()
    inverse: bool = False
    palette: Palette | None = None

    @property
    def pixel_representation(self) -> int:
        return int(self.signed)

    @property
    def subsampled(self) -> bool:
        """Two chroma samples for two pixels, where no codec is in use (PS3.3 C.7.6.3.1.2)."""
        return self.photometric_interpretation == "YBR_FULL_422"

    @property
    def frame_bytes(self) -> int:
        """The length of one decoded frame: pixels of 1 bit stay packed, chroma is no longer subsampled."""
        samples = self.rows * self.columns * self.samples_per_pixel
        return (samples + 7) // 8 if self.bits_allocated == 1 else samples * (self.bits_allocated // 8)

    @property
    def object_bytes(self) -> int:
        """The length of all frames, decoded."""
        return self.frame_bytes * self.number_of_frames

    def of_frame(self, number: int) -> "PixelDescription":
        """The description of frame `number`, counted from 1, alone: small whatever the number of frames."""
        gray = self.frames[number - 1] if 0 < number <= len(self.frames) else self.gray
        return replace(self, gray=gray, frames=(), number_of_frames=1)
