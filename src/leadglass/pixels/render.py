"""From decoded samples to an image that a screen can show: PS3.4 N.2, PS3.3 C.7.6.3, C.7.9, C.11."""

import io
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from leadglass.pixels.codecs import Array, Decoded
from leadglass.pixels.description import (
    MONOCHROME,
    PALETTE_COLOR,
    GrayTransform,
    LookupTable,
    Palette,
    PixelDescription,
    Sample,
    VoiFunction,
    Window,
)
from leadglass.pixels.failure import CannotDecode, Failure
from leadglass.pixels.rendering import Format, Rendering, Viewport
from leadglass.pixels.transcoding import decoded_photometric

Gray = npt.NDArray[np.uint8]

_WHITE: Final = 255.0
#: Share of the pixels below and above the window that is chosen where the object has none.
_TAIL: Final = 0.005
#: An image is enlarged up to this many pixels, to make its pixels square or to fill a viewport.
_MOST_PIXELS: Final = 64 * 1024**2
#: What libjpeg can write.
_MOST_SIDE: Final = 65_500
#: From here on colour is not subsampled.
_FINE_QUALITY: Final = 90


def render(description: PixelDescription, decoded: Decoded, rendering: Rendering) -> bytes:
    """The encoded image. Overlays are not burnt in. Raises CannotDecode."""
    image = image_of(description, decoded, rendering.window)
    return encoded(placed(image, description.aspect, rendering.viewport), rendering)


def image_of(description: PixelDescription, decoded: Decoded, window: Window | None) -> Image.Image:
    """In gray or RGB, pixel by pixel. Raises CannotDecode."""
    photometric = decoded_photometric(description)
    if photometric in MONOCHROME:
        shown = _gray(description, decoded.samples[..., 0], window)
    elif photometric == PALETTE_COLOR and description.palette is not None:
        shown = _coloured(_meaningful(description, decoded.samples[..., 0]), description.palette)
    elif photometric in ("RGB", "YBR_FULL") and description.samples_per_pixel == 3:
        shown = _to_8_bits(description, decoded.samples)
    else:
        raise CannotDecode(Failure.UNSUPPORTED)
    image = Image.fromarray(np.ascontiguousarray(shown), "YCbCr" if photometric == "YBR_FULL" else None)
    if image.mode == "YCbCr":  # PS3.3 C.7.6.3.1.2, YBR_FULL: the equations of JFIF.
        image = image.convert("RGB")
    return image


# Gray: PS3.4 Figure N.2-1.


def _gray(description: PixelDescription, samples: Array, asked: Window | None) -> Gray:
    if samples.dtype.kind == "f":
        stored = np.nan_to_num(samples.astype(np.float64), posinf=0, neginf=0)
    else:
        stored = _meaningful(description, samples)
    lowest, highest = stored.min(), stored.max()
    if samples.dtype.kind == "f" or int(highest) - int(lowest) > 0xFFFF:
        shown = _voi(description, _modality(description.gray, stored), asked, None)
    else:
        shown = _tabulated(description, stored, int(lowest), int(highest), asked)
    if description.photometric_interpretation == "MONOCHROME1" or description.inverse:
        shown = 255 - shown
    if description.padding is not None:  # Background is black either way, C.7.5.1.1.2.
        shown[(stored >= description.padding[0]) & (stored <= description.padding[1])] = 0
    return shown


def _tabulated(description: PixelDescription, stored: Array, lowest: int, highest: int, asked: Window | None) -> Gray:
    """Each value that there may be is worked out once, and then looked up."""
    places = stored.astype(np.uint16) - np.uint16(lowest & 0xFFFF)  # modulo 2^16, as far apart as they are

    def counted() -> Array:
        counts = np.bincount(places.reshape(-1), minlength=highest - lowest + 1)
        if description.padding is not None:
            first, last = (min(max(each - lowest, -1), len(counts)) for each in description.padding)
            counts[max(first, 0) : last + 1] = 0
        return counts

    values = _modality(description.gray, np.arange(lowest, highest + 1, dtype=np.int64))
    shown: Gray = _voi(description, values, asked, counted)[places]
    return shown


def _meaningful(description: PixelDescription, samples: Array) -> Array:
    """Without the bits that are not stored ones, PS3.5 8.1.1: old objects keep overlays there."""
    above = description.bits_allocated - 1 - description.high_bit
    below = description.high_bit + 1 - description.bits_stored
    if description.bits_allocated == 1 or not above + below:
        return samples
    return (samples << above) >> (above + below)


def _modality(gray: GrayTransform, stored: Array) -> Array:
    """C.11.1: the lookup table, else the rescale."""
    if gray.modality_lut is not None:
        return _looked_up(gray.modality_lut, stored).astype(np.float64)
    return stored * gray.slope + gray.intercept


def _looked_up(table: LookupTable, values: Array) -> Array:
    """C.11.1.1 and C.11.2.1.1: values outside take the first or the last entry."""
    entries = np.frombuffer(table.words, np.dtype("<u2"))
    return entries[np.clip(values, table.first, table.first + table.length - 1).astype(np.int64) - table.first]


def _voi(
    description: PixelDescription, values: Array, asked: Window | None, counted: Callable[[], Array] | None
) -> Gray:
    """To 0 … 255: by the window asked for, else the object's first window or VOI LUT, else one that fits. `counted`
    tells how often each of `values` occurs; once each when None."""
    gray = description.gray
    if asked is None and not gray.windows and gray.voi_luts:
        table = gray.voi_luts[0]
        return (_looked_up(table, values) * (_WHITE / ((1 << table.bits) - 1))).astype(np.uint8)
    window = asked or next(iter(gray.windows), None) or _fitting(description, values, counted)
    return _windowed(values, window)


def _fitting(description: PixelDescription, values: Array, counted: Callable[[], Array] | None) -> Window:
    """All of the range where samples have at most 8 bits; else all but the darkest and brightest pixels."""
    if description.sample is Sample.INTEGER and description.bits_stored <= 8:
        low = -(1 << description.bits_stored - 1) if description.signed else 0
        ends = _modality(description.gray, np.array((low, low + (1 << description.bits_stored) - 1)))
        first, last = float(ends.min()), float(ends.max())
    elif counted is None:
        places = [int(values.size * _TAIL), int(values.size * (1 - _TAIL))]
        first, last = (float(each) for each in np.partition(values, places, axis=None)[places])
    else:
        total = np.cumsum(counted())
        ends = np.searchsorted(total, (total[-1] * _TAIL, total[-1] * (1 - _TAIL)))
        first, last = sorted(float(values[min(each, len(values) - 1)]) for each in ends)
    return Window((first + last) / 2, (last - first) or 1.0, VoiFunction.LINEAR_EXACT)


def _windowed(values: Array, window: Window) -> Gray:
    """C.11.2.1.2.1, C.11.2.1.3.1 and C.11.2.1.3.2."""
    center, width = window.center, window.width
    match window.function:
        case VoiFunction.SIGMOID:
            shares = 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
        case VoiFunction.LINEAR_EXACT:
            shares = (values - center) / width + 0.5
        case VoiFunction.LINEAR if width > 1:
            shares = (values - (center - 0.5)) / (width - 1) + 0.5
        case _:
            shares = (values > center - 0.5).astype(np.float64)
    return np.rint(np.clip(shares, 0, 1) * _WHITE).astype(np.uint8)


# Colour.


def _coloured(indices: Array, palette: Palette) -> Gray:
    """C.7.9."""
    tables = (palette.red, palette.green, palette.blue)
    entries = [np.frombuffer(table.words, np.dtype("<u2")) for table in tables]
    # Many writers declare 16 bits and store 8.
    deep = max(int(each.max()) for each in entries) > 0xFF
    channels = []
    for table, each in zip(tables, entries, strict=True):
        bright = (each >> (table.bits - 8)).astype(np.uint8) if deep else each.astype(np.uint8)
        places = np.clip(indices.astype(np.int64) - table.first, 0, table.length - 1)
        channels.append(bright[places])
    return np.stack(channels, axis=-1)


def _to_8_bits(description: PixelDescription, samples: Array) -> Gray:
    stored = _meaningful(description, samples)
    if description.bits_stored < 8:
        return (stored << (8 - description.bits_stored)).astype(np.uint8)
    return (stored >> (description.bits_stored - 8)).astype(np.uint8)


# Place and format.


def placed(image: Image.Image, aspect: float, viewport: Viewport | None) -> Image.Image:
    """Square pixels (C.7.6.3.1.7), then the region and size asked for (PS3.18 8.3.5.1.3)."""
    left, top, width, height = 0, 0, image.width, image.height
    if viewport is not None:
        left = min(max(viewport.left or 0, 0), image.width - 1)
        top = min(max(viewport.top or 0, 0), image.height - 1)
        width = min(abs(viewport.source_width or image.width), image.width - left)
        height = min(abs(viewport.source_height or image.height), image.height - top)
    shown_width, shown_height = width * max(1.0, 1 / aspect), height * max(1.0, aspect)
    scale = 1.0
    if viewport is not None:
        scale = min(viewport.width / shown_width, viewport.height / shown_height)
    scale = min(
        scale, (_MOST_PIXELS / (shown_width * shown_height)) ** 0.5, _MOST_SIDE / max(shown_width, shown_height)
    )
    size = max(1, round(shown_width * scale)), max(1, round(shown_height * scale))
    box = (left, top, left + width, top + height)
    if size != image.size or box != (0, 0, *image.size):
        image = image.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=2.0)
    if viewport is not None and (viewport.source_width or 0) < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if viewport is not None and (viewport.source_height or 0) < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image


def encoded(image: Image.Image, rendering: Rendering) -> bytes:
    target = io.BytesIO()
    if rendering.format is Format.PNG:
        image.save(target, "PNG", compress_level=4)
    else:
        fine = 0 if rendering.quality >= _FINE_QUALITY else 2
        image.save(target, "JPEG", quality=rendering.quality, subsampling=fine)
    return target.getvalue()
