"""Decoders of others: pydicom's (with Pillow), dcmtk's, and OpenJPEG for what only imagecodecs reads."""

import subprocess
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.pixels.utils import pixel_array

from leadglass.pixels.description import PixelDescription, Sample
from leadglass.pixels.syntaxes import DECODED, LOSSLESS_JPEG, Family
from leadglass.pixels.transcoding import native_form
from tests.served import peer_program

Array = npt.NDArray[Any]

_DCMTK = {Family.JPEG: "dcmdjpeg", Family.JPEG_LS: "dcmdjpls"}


def samples_of(description: PixelDescription, native: bytes) -> Array:
    """What `DecoderPool.decode` gave, as an array of rows × columns (× 3), YBR_FULL converted as pydicom does."""
    rows, columns, samples = description.rows, description.columns, description.samples_per_pixel
    if description.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(native, np.uint8), bitorder="little", count=rows * columns)
        return bits.reshape(rows, columns)
    kind = "f" if description.sample is not Sample.INTEGER else "i" if description.signed else "u"
    values = np.frombuffer(native, f"<{kind}{description.bits_allocated // 8}")
    if samples == 1:
        return values.reshape(rows, columns)
    shaped = values.reshape(rows, columns, samples)
    if native_form(description).photometric_interpretation == "YBR_FULL":
        return np.asarray(Image.fromarray(shaped, "YCbCr").convert("RGB"))
    return shaped


def expected(path: Path, description: PixelDescription, frame: bytes, index: int, folder: Path) -> Array:
    """The samples of frame `index`, counted from 0."""
    family = DECODED[description.transfer_syntax]
    if family is Family.HTJ2K or path.name.endswith("GDCMJ2K_TextGBR.dcm"):  # Pillow takes no codestream cut short
        openjpeg: Array = imagecodecs.jpeg2k_decode(frame)
        return openjpeg
    if family is Family.DEFLATED:
        return samples_of(description, zlib.decompress(frame, -zlib.MAX_WBITS))
    lossless = description.transfer_syntax in LOSSLESS_JPEG
    if family is Family.JPEG_LS or (family is Family.JPEG and (lossless or description.samples_per_pixel == 1)):
        path = _by_dcmtk(path, family, folder)
    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(description.transfer_syntax)
    return pixel_array(dataset, index=index)


def _by_dcmtk(path: Path, family: Family, folder: Path) -> Path:
    target = folder / f"{path.name}.native"
    if not target.exists():
        subprocess.run([peer_program(_DCMTK[family]), path, target], check=True, capture_output=True)
    return target
