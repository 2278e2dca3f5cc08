"""Where two frames differ, as a worker answers it.

    u64 pixels that differ · u32 left, top, right, bottom · f64 largest difference of a sample · a PNG

A worker is believed nothing: `PixelDifference.decode` takes no numbers that the frames cannot have.
"""

import math
from dataclasses import dataclass
from struct import Struct
from typing import Final

from leadglass.errors import DecodingFailed
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import MESSAGES, Failure

_HEAD: Final = Struct("<Q4Id")


@dataclass(frozen=True, slots=True)
class Box:
    """The smallest one around all pixels that differ: columns and rows from 0, the last ones included."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class PixelDifference:
    """`pixels` that differ, `box` around them (None when there are none), the `largest` difference of two samples in
    stored values, and a PNG of the first frame with them marked."""

    pixels: int
    box: Box | None
    largest: float
    picture: bytes

    def encode(self) -> bytes:
        box = self.box or Box(0, 0, 0, 0)
        return _HEAD.pack(self.pixels, box.left, box.top, box.right, box.bottom, self.largest) + self.picture

    @classmethod
    def decode(cls, answer: bytes, description: PixelDescription) -> "PixelDifference":
        """Raises DecodingFailed for an answer that makes no sense."""
        if len(answer) < _HEAD.size:
            raise _nonsense()
        pixels, left, top, right, bottom, largest = _HEAD.unpack_from(answer)
        within = left <= right < description.columns and top <= bottom < description.rows
        if not within or pixels > (right - left + 1) * (bottom - top + 1) or not math.isfinite(largest):
            raise _nonsense()
        return cls(pixels, Box(left, top, right, bottom) if pixels else None, largest, answer[_HEAD.size :])


def _nonsense() -> DecodingFailed:
    return DecodingFailed(MESSAGES[Failure.NONSENSE], reason=Failure.NONSENSE.name)
