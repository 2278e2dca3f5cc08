"""Two decoded frames beside each other: which pixels differ, by how much, and a picture that shows where. Runs in a
worker only."""

from typing import Final

import numpy as np
from PIL import Image

from leadglass.pixels.codecs import Array, Decoded
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.difference import Box, PixelDifference
from leadglass.pixels.failure import CannotDecode, Failure
from leadglass.pixels.render import encoded, image_of, placed
from leadglass.pixels.rendering import Rendering

#: How much of the first frame's light is left, so that the marks stand out.
_DIMMED: Final = 0.45
_MARK: Final = (255, 92, 70)
_FRAME: Final = (255, 206, 84)
#: The frame around the marks is as thick as one part in so many of the longer side.
_THICKNESS: Final = 256


def compare(description: PixelDescription, first: Decoded, second: Decoded, rendering: Rendering) -> PixelDifference:
    """Of frames of one size; the picture is of the first, which `description` is about. Raises CannotDecode."""
    one, other = first.samples, second.samples
    if one.shape != other.shape:
        raise CannotDecode(Failure.MISMATCH)
    differs = _differs(one, other)
    box = _box_around(differs)
    image = image_of(description, first, rendering.window).convert("RGB")
    marked = np.rint(np.asarray(image, dtype=np.float32) * _DIMMED).astype(np.uint8)
    if box is not None:
        _frame(marked, box)
    marked[differs] = _MARK
    shown = placed(Image.fromarray(marked), description.aspect, rendering.viewport)
    return PixelDifference(int(differs.sum()), box, _largest(one, other, differs), encoded(shown, rendering))


def _differs(one: Array, other: Array) -> Array:
    """Rows × columns; samples that are both no number are alike."""
    unlike = one != other
    if one.dtype.kind == other.dtype.kind == "f":
        unlike &= ~(np.isnan(one) & np.isnan(other))
    marked: Array = unlike.any(axis=2)
    return marked


def _box_around(differs: Array) -> Box | None:
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))


def _largest(one: Array, other: Array, differs: Array) -> float:
    if not differs.any():
        return 0.0
    apart = np.abs(one[differs].astype(np.float64) - other[differs].astype(np.float64))
    return float(np.nan_to_num(apart, posinf=0.0).max())


def _frame(marked: Array, box: Box) -> None:
    """Draws it just outside of the box, as far as there is room."""
    thick = 1 + max(marked.shape[:2]) // _THICKNESS
    left, top = max(box.left - 2 * thick, 0), max(box.top - 2 * thick, 0)
    right, bottom = box.right + 2 * thick + 1, box.bottom + 2 * thick + 1
    within = marked[top:bottom, left:right]
    kept = within[thick:-thick, thick:-thick].copy()
    within[:] = _FRAME
    within[thick:-thick, thick:-thick] = kept
