"""From decoded samples to a frame of another transfer syntax, without loss. Runs in a worker only."""

from struct import Struct
from typing import Final

import imagecodecs
import numpy as np

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.codecs import Array, Decoded
from leadglass.pixels.description import PixelDescription, Sample
from leadglass.pixels.failure import CannotDecode, Failure
from leadglass.pixels.syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE

_RLE_HEADER: Final = Struct("<16I")
_WHOLE_BYTES: Final = (8, 16, 32, 64)


def transcode(description: PixelDescription, decoded: Decoded, transfer_syntax: str) -> bytes:
    """The frame in `transfer_syntax`; an encapsulated one of even length (PS3.5 A.4). Raises CannotDecode."""
    if transfer_syntax == EXPLICIT_LE:
        return native(description, decoded)
    # The codecs of imagecodecs write samples of up to 16 bits.
    widths = _WHOLE_BYTES if transfer_syntax == RLE else (8, 16)
    if description.bits_allocated not in widths or description.sample is not Sample.INTEGER:
        raise CannotDecode(Failure.UNSUPPORTED)
    if transfer_syntax == RLE:
        frame = _rle(decoded.samples)
    elif transfer_syntax == JPEG_LS_LOSSLESS:
        frame = _jpeg_ls(decoded.samples)
    elif transfer_syntax == JPEG_2000_LOSSLESS:
        frame = _jpeg_2000(decoded.samples, description.bits_stored)
    elif transfer_syntax == HTJ2K_LOSSLESS:
        frame = _htj2k(decoded.samples)
    else:
        raise CannotDecode(Failure.UNSUPPORTED)
    return frame + b"\0" if len(frame) & 1 else frame


def native(description: PixelDescription, decoded: Decoded) -> bytes:
    """Native little endian, PS3.5 8.1: colour by pixel, pixels of 1 bit packed."""
    if description.bits_allocated == 1:
        return np.packbits(decoded.samples.reshape(-1), bitorder="little").tobytes()
    return decoded.samples.tobytes()


def _flat(samples: Array) -> Array:
    """Codecs know nothing of a third dimension of one."""
    return np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _unsigned(samples: Array) -> Array:
    """JPEG-LS has no signs: the bits are kept, and Pixel Representation says what they mean (PS3.5 8.2.3)."""
    return samples.view(f"<u{samples.itemsize}")


def _rle(samples: Array) -> bytes:
    """PS3.5 Annex G: each row of each byte plane by itself."""
    rows, columns, count = samples.shape
    planes = np.ascontiguousarray(samples).view(np.uint8).reshape(rows, columns, count, samples.itemsize)
    segments = []
    for sample in range(count):
        for byte in reversed(range(samples.itemsize)):
            plane = planes[:, :, sample, byte].copy()
            segment = bytes(imagecodecs.packbits_encode(plane, axis=-1))
            segments.append(segment + b"\0" if len(segment) & 1 else segment)
    starts = [_RLE_HEADER.size]
    for segment in segments[:-1]:
        starts.append(starts[-1] + len(segment))
    header = _RLE_HEADER.pack(len(segments), *starts, *(0,) * (15 - len(starts)))
    return header + b"".join(segments)


def _jpeg_ls(samples: Array) -> bytes:
    flat = _flat(_unsigned(samples))
    # The encoder guesses a size that incompressible pixels exceed.
    return bytes(imagecodecs.jpegls_encode(flat, out=2 * flat.nbytes + 4096))


def _jpeg_2000(samples: Array, bits_stored: int) -> bytes:
    # PS3.5 8.2.4: as deep as Bits Stored, unless the bits above hold something too.
    bits = max(bits_stored, _bits_of(samples))
    frame = imagecodecs.jpeg2k_encode(
        *(_flat(samples), 0), codecformat="J2K", reversible=True, mct=False, bitspersample=bits, numthreads=1
    )
    return bytes(frame)


def _bits_of(samples: Array) -> int:
    lowest, highest = int(samples.min()), int(samples.max())
    bits = max(highest.bit_length(), (-lowest - 1).bit_length() if lowest < 0 else 0)
    return bits + (samples.dtype.kind == "i")


def _htj2k(samples: Array) -> bytes:
    return bytes(imagecodecs.htj2k_encode(_flat(samples), reversible=True, rgb=False))
