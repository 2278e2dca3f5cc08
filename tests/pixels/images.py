"""Descriptions and frames for tests."""

from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.description import PixelDescription


def plain(
    rows: int = 8,
    columns: int = 8,
    *,
    samples: int = 1,
    bits: int = 16,
    stored: int = 0,
    signed: bool = False,
    photometric: str = "",
    transfer_syntax: str = EXPLICIT_LE,
) -> PixelDescription:
    """An image without any transformation."""
    return PixelDescription(
        transfer_syntax=transfer_syntax,
        rows=rows,
        columns=columns,
        samples_per_pixel=samples,
        photometric_interpretation=photometric or ("MONOCHROME2" if samples == 1 else "RGB"),
        bits_allocated=bits,
        bits_stored=stored or bits,
        high_bit=(stored or bits) - 1,
        signed=signed,
    )


def image(data: bytes) -> Image.Image:
    """A rendered image, read."""
    opened = Image.open(BytesIO(data))
    opened.load()
    return opened


def noise(description: PixelDescription, seed: int = 1) -> bytes:
    """A native frame that uses every value there is, smooth in places."""
    generator = np.random.default_rng(seed)
    shape = description.rows, description.columns, description.samples_per_pixel
    if description.bits_allocated == 1:
        return np.packbits(generator.integers(0, 2, shape).reshape(-1), bitorder="little").tobytes()
    low = -(1 << description.bits_stored - 1) if description.signed else 0
    values = generator.integers(low, low + (1 << description.bits_stored), shape, endpoint=False, dtype=np.int64)
    values[: shape[0] // 2] = low + (1 << description.bits_stored - 1)
    kind = "i" if description.signed else "u"
    return values.astype(f"<{kind}{description.bits_allocated // 8}").tobytes()


def pixels(description: PixelDescription, native: bytes) -> npt.NDArray[Any]:
    """A native frame as an array of rows × columns (× samples)."""
    kind = "i" if description.signed else "u"
    values = np.frombuffer(native, f"<{kind}{description.bits_allocated // 8}")
    shape = (description.rows, description.columns, description.samples_per_pixel)
    return values.reshape(shape[:2] if shape[2] == 1 else shape)
