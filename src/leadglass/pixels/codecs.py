"""From a stored frame to an array of its samples. Runs in a worker only: nothing else imports this.

Every decoder is asked only after the frame's own header said the declared size, and is bounded by it.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

import imagecodecs
import numpy as np
import numpy.typing as npt

from leadglass.dicom.uids import EXPLICIT_BE
from leadglass.pixels.codestream import jpeg2000_codestream, jpeg_codestream, jpegxl_codestream
from leadglass.pixels.description import PixelDescription, Sample
from leadglass.pixels.failure import CannotDecode, Codestream, Failure
from leadglass.pixels.syntaxes import DECODED, LOSSLESS_JPEG, Family

Array = npt.NDArray[Any]

_RLE_HEADER: Final = Struct("<16I")
_END_OF_IMAGE: Final = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Decoded:
    """`samples`: rows × columns × samples per pixel, in the declared type (pixels of 1 bit as bytes of 0 and 1); what
    they mean, `transcoding.decoded_photometric` says. `codestream`: what the frame's own header says."""

    samples: Array
    codestream: Codestream


def decode(description: PixelDescription, frame: memoryview) -> Decoded:
    """Raises CannotDecode, MemoryError."""
    family = DECODED.get(description.transfer_syntax)
    if family is None or (description.sample is not Sample.INTEGER and family not in _ANY_SAMPLE):
        raise CannotDecode(Failure.UNSUPPORTED)
    return _DECODERS[family](description, frame)


def stored_type(description: PixelDescription) -> np.dtype[Any]:
    """The type of a stored sample, little endian; pixels of 1 bit are bytes once they are unpacked."""
    if description.sample is not Sample.INTEGER:
        return np.dtype(f"<f{description.bits_allocated // 8}")
    kind = "i" if description.signed else "u"
    return np.dtype(f"<{kind}{max(8, description.bits_allocated) // 8}")


# Without a codec.


def _native(description: PixelDescription, frame: memoryview) -> Decoded:
    return _from_bytes(description, frame, big_endian=description.transfer_syntax == EXPLICIT_BE)


def _from_bytes(description: PixelDescription, frame: memoryview, *, big_endian: bool = False) -> Decoded:
    if description.subsampled:
        return _subsampled(description, frame)
    expected = description.frame_bytes
    # A single frame of odd length carries a byte of padding, PS3.5 8.1.1.
    if not expected <= frame.nbytes <= expected + (expected & 1):
        raise CannotDecode(Failure.MISMATCH)
    stored = np.frombuffer(frame, np.uint8, expected)
    rows, columns, samples = description.rows, description.columns, description.samples_per_pixel
    if description.bits_allocated == 1:
        values = np.unpackbits(stored, count=rows * columns * samples, bitorder="little")
    elif description.word_swapped:
        values = _pairs_swapped(frame, expected)
    else:
        kind = stored_type(description)
        values = stored.view(kind.newbyteorder(">")).astype(kind) if big_endian else stored.view(kind)
    shaped = _interleaved(values, description)
    return Decoded(shaped, Codestream())


def _pairs_swapped(frame: memoryview, expected: int) -> Array:
    if frame.nbytes & 1:
        raise CannotDecode(Failure.UNSUPPORTED)
    words = np.frombuffer(frame, np.dtype("<u2"))
    return words.byteswap().view(np.uint8)[:expected]


def _interleaved(values: Array, description: PixelDescription) -> Array:
    rows, columns, samples = description.rows, description.columns, description.samples_per_pixel
    if samples > 1 and description.planar_configuration:
        return values.reshape(samples, rows, columns).transpose(1, 2, 0)
    return values.reshape(rows, columns, samples)


def _subsampled(description: PixelDescription, frame: memoryview) -> Decoded:
    """Y Y Cb Cr of each two pixels, PS3.3 C.7.6.3.1.2, to three samples each."""
    rows, columns = description.rows, description.columns
    expected = rows * columns * 2
    if description.bits_allocated != 8 or columns & 1 or description.samples_per_pixel != 3:
        raise CannotDecode(Failure.UNSUPPORTED)
    if not expected <= frame.nbytes <= expected + 1:
        raise CannotDecode(Failure.MISMATCH)
    four = np.frombuffer(frame, np.uint8, expected).reshape(rows, columns // 2, 4)
    pixels = np.empty((rows, columns // 2, 2, 3), np.uint8)
    pixels[..., 0] = four[..., :2]
    pixels[..., 1:] = four[..., None, 2:]
    return Decoded(pixels.reshape(rows, columns, 3), Codestream())


def _deflated(description: PixelDescription, frame: memoryview) -> Decoded:
    """PS3.5 A.4.13 and 8.2.17: each frame a raw deflate stream."""
    expected = description.rows * description.columns * 2 if description.subsampled else description.frame_bytes
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(frame, expected + 2)
    except zlib.error:
        raise CannotDecode(Failure.BROKEN) from None
    if not stream.eof:
        raise CannotDecode(Failure.MISMATCH if len(inflated) > expected else Failure.BROKEN)
    return _from_bytes(description, memoryview(inflated))


def _rle(description: PixelDescription, frame: memoryview) -> Decoded:
    """PS3.5 Annex G: a segment for each byte of each sample, most significant first."""
    if description.bits_allocated == 1:
        raise CannotDecode(Failure.UNSUPPORTED)
    width = description.bits_allocated // 8
    planes = description.samples_per_pixel * width
    if frame.nbytes < _RLE_HEADER.size:
        raise CannotDecode(Failure.BROKEN)
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    if count != planes:
        raise CannotDecode(Failure.MISMATCH if 0 < count <= 15 else Failure.BROKEN)
    ends = [*offsets[1:count], frame.nbytes]
    size = description.rows * description.columns
    pixels = np.empty((size, description.samples_per_pixel, width), np.uint8)
    for index, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not _RLE_HEADER.size <= start <= end <= frame.nbytes:
            raise CannotDecode(Failure.BROKEN)
        sample, byte = divmod(index, width)
        pixels[:, sample, width - 1 - byte] = _unpacked(frame[start:end], size)
    values = pixels.reshape(-1).view(stored_type(description))
    shaped = values.reshape(description.rows, description.columns, description.samples_per_pixel)
    return Decoded(shaped, Codestream())


def _unpacked(segment: memoryview, size: int) -> Array:
    # One byte more than the plane, since a segment of odd length may be padded by a run of its own.
    plane = bytearray(size + 1)
    if len(_called(imagecodecs.packbits_decode, bytes(segment), out=plane)) < size:
        raise CannotDecode(Failure.MISMATCH)
    return np.frombuffer(plane, np.uint8, size)


# With a codec of imagecodecs.


def _jpeg(description: PixelDescription, frame: memoryview) -> Decoded:
    codestream, transform = jpeg_codestream(frame)
    _check(description, codestream)
    if description.transfer_syntax in LOSSLESS_JPEG or description.samples_per_pixel == 1:
        samples = _called(imagecodecs.jpeg8_decode, frame)
    else:
        # PS3.5 8.2.1: the Photometric Interpretation says what the components are; only an Adobe segment that says
        # otherwise is believed more, since nobody writes one by accident.
        photometric = description.photometric_interpretation
        stated = photometric.startswith("YBR") if transform is None else transform == 1
        space = "YCBCR" if stated else "RGB"
        samples = _called(imagecodecs.jpeg8_decode, frame, colorspace=space, outcolorspace="RGB")
    return _fitted(description, samples, codestream)


def _jpeg_ls(description: PixelDescription, frame: memoryview) -> Decoded:
    codestream, _ = jpeg_codestream(frame)
    _check(description, codestream)
    # CharLS never comes back from a scan that does not end; behind another one it may find what it likes.
    samples = _called(imagecodecs.jpegls_decode, bytes(frame) + _END_OF_IMAGE)
    return _fitted(description, samples, codestream)


def _jpeg_2000(description: PixelDescription, frame: memoryview) -> Decoded:
    codestream = jpeg2000_codestream(frame)
    _check(description, codestream)
    samples = _called(imagecodecs.jpeg2k_decode, frame, planar=False, numthreads=1)
    return _fitted(description, samples, codestream)


def _htj2k(description: PixelDescription, frame: memoryview) -> Decoded:
    codestream = jpeg2000_codestream(frame)
    _check(description, codestream)
    samples = _called(imagecodecs.htj2k_decode, frame, planar=False)
    return _fitted(description, samples, codestream)


def _jpeg_xl(description: PixelDescription, frame: memoryview) -> Decoded:
    codestream = jpegxl_codestream(frame)
    if (codestream.rows, codestream.columns) != (description.rows, description.columns):
        raise CannotDecode(Failure.MISMATCH, codestream)
    samples = _called(imagecodecs.jpegxl_decode, frame, numthreads=1, keeporientation=True)
    depth = samples.shape[2] if samples.ndim == 3 else 1
    actual = Codestream(codestream.rows, codestream.columns, depth, samples.itemsize * 8)
    return _fitted(description, samples, actual)


def _check(description: PixelDescription, codestream: Codestream) -> None:
    declared = description.rows, description.columns, description.samples_per_pixel
    if declared != (codestream.rows, codestream.columns, codestream.samples):
        raise CannotDecode(Failure.MISMATCH, codestream)
    if codestream.bits > description.bits_allocated:
        raise CannotDecode(Failure.MISMATCH, codestream)


def _called(decoder: Callable[..., Any], frame: memoryview | bytes, **options: object) -> Any:
    try:
        return decoder(frame, **options)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - each codec has errors of its own, loaded when named: too late in here.
        raise CannotDecode(Failure.BROKEN) from None


def _fitted(description: PixelDescription, samples: Array, codestream: Codestream) -> Decoded:
    """The samples in the declared type. Codestreams hold fewer bits than are allocated, and some lie about signs."""
    shape = description.rows, description.columns, description.samples_per_pixel
    if samples.size != shape[0] * shape[1] * shape[2] or samples.dtype.kind not in "iu":
        raise CannotDecode(Failure.MISMATCH, codestream)
    kind = stored_type(description)
    if samples.dtype.kind != kind.kind:
        spare = samples.itemsize * 8 - codestream.bits
        turned = samples.view(f"{kind.kind}{samples.itemsize}")
        samples = turned << spare >> spare
    if samples.itemsize > kind.itemsize and codestream.bits > description.bits_allocated:
        raise CannotDecode(Failure.MISMATCH, codestream)
    return Decoded(samples.astype(kind, copy=False).reshape(shape), codestream)


_ANY_SAMPLE: Final = frozenset({Family.NATIVE, Family.DEFLATED, Family.RLE})
_DECODERS: Final[Mapping[Family, Callable[[PixelDescription, memoryview], Decoded]]] = {
    Family.NATIVE: _native,
    Family.RLE: _rle,
    Family.DEFLATED: _deflated,
    Family.JPEG: _jpeg,
    Family.JPEG_LS: _jpeg_ls,
    Family.JPEG_2000: _jpeg_2000,
    Family.HTJ2K: _htj2k,
    Family.JPEG_XL: _jpeg_xl,
}
