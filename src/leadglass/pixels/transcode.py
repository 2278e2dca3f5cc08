"""From decoded samples to a frame of another transfer syntax, without loss. Runs in a worker only."""

from struct import Struct
from typing import Final

import imagecodecs
import numpy as np

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.codecs import Array, Decoded
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import CannotDecode, Failure
from leadglass.pixels.syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE

_RLE_HEADER: Final = Struct("<16I")


def transcode(description: PixelDescription, decoded: Decoded, transfer_syntax: str) -> bytes:
    """The frame in `transfer_syntax`, of even length (PS3.5 A.4). Raises CannotDecode."""
    encoder = {
        EXPLICIT_LE: _native,
        RLE: _rle,
        JPEG_LS_LOSSLESS: _jpeg_ls,
        JPEG_2000_LOSSLESS: _jpeg_2000,
        HTJ2K_LOSSLESS: _htj2k,
    }.get(transfer_syntax)
    if encoder is None or description.bits_allocated not in (8, 16):
        raise CannotDecode(Failure.UNSUPPORTED)
    frame = encoder(decoded.samples)
    return frame + b"\0" if len(frame) & 1 else frame


def _native(samples: Array) -> bytes:
    return samples.tobytes()


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
            plane = np.ascontiguousarray(planes[:, :, sample, byte])
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


def _jpeg_2000(samples: Array) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(_flat(samples), level=0, codecformat="J2K", reversible=True, mct=False, numthreads=1)
    )


def _htj2k(samples: Array) -> bytes:
    return bytes(imagecodecs.htj2k_encode(_flat(samples), reversible=True, rgb=False))
