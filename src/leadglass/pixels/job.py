"""What a worker is asked to do with one frame."""

from dataclasses import dataclass

from leadglass.pixels.description import PixelDescription
from leadglass.pixels.rendering import Rendering


@dataclass(frozen=True, slots=True)
class Decode:
    """To native samples: little endian, colour by pixel (Planar Configuration 0), pixels of 1 bit packed."""

    description: PixelDescription


@dataclass(frozen=True, slots=True)
class Check:
    """Decode, and throw the pixels away."""

    description: PixelDescription


@dataclass(frozen=True, slots=True)
class Render:
    """To an image in a format of the web."""

    description: PixelDescription
    rendering: Rendering


@dataclass(frozen=True, slots=True)
class Transcode:
    """To a frame of another transfer syntax, without further loss."""

    description: PixelDescription
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class Read:
    """To the words that stand in the image, one a line, in UTF-8: for a worker that has an engine for that."""

    description: PixelDescription


@dataclass(frozen=True, slots=True)
class Compare:
    """To where two frames differ; they come one after the other, the first of `length` bytes."""

    description: PixelDescription
    other: PixelDescription
    length: int
    rendering: Rendering


Job = Decode | Check | Render | Transcode | Read | Compare
