"""Descriptions and frames for tests."""

from io import BytesIO

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
