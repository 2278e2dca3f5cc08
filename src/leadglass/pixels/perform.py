"""Does a job inside a worker. Nothing but the worker imports this: here the codecs are."""

from dataclasses import replace

import imagecodecs
import numpy as np

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.codecs import Decoded, decode
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import CannotDecode, Codestream, Failure
from leadglass.pixels.job import Check, Decode, Job, Render, Transcode
from leadglass.pixels.render import render
from leadglass.pixels.rendering import Format, Rendering, Viewport
from leadglass.pixels.syntaxes import ENCODED
from leadglass.pixels.transcode import transcode


def perform(job: Job, frame: memoryview) -> tuple[Codestream, bytes | bytearray | memoryview]:
    """The result of a job. Raises CannotDecode, MemoryError."""
    decoded = decode(job.description, frame)
    match job:
        case Check():
            return decoded.codestream, b""
        case Decode():
            return decoded.codestream, native(job.description, decoded)
        case Render():
            return decoded.codestream, render(job.description, decoded, job.rendering)
        case Transcode():
            return decoded.codestream, transcode(job.description, decoded, job.transfer_syntax)
    raise CannotDecode(Failure.UNSUPPORTED)


def native(description: PixelDescription, decoded: Decoded) -> bytes:
    """Native little endian, PS3.5 8.1."""
    if description.bits_allocated == 1:
        return np.packbits(decoded.samples.reshape(-1), bitorder="little").tobytes()
    return decoded.samples.tobytes()


def warm_up() -> None:
    """Loads every codec by using it: once the doors are closed, nothing more can be loaded."""
    for samples, bits in ((1, 8), (3, 8), (1, 16)):
        description = PixelDescription(
            transfer_syntax=EXPLICIT_LE,
            rows=16,
            columns=16,
            samples_per_pixel=samples,
            photometric_interpretation="MONOCHROME2" if samples == 1 else "RGB",
            bits_allocated=bits,
            bits_stored=bits,
            high_bit=bits - 1,
            signed=False,
        )
        blank = memoryview(bytes(description.frame_bytes))
        for transfer_syntax in ENCODED:
            _, frame = perform(Transcode(description, transfer_syntax), blank)
            encoded = replace(description, transfer_syntax=transfer_syntax)
            for image_format in Format:
                rendering = Rendering(image_format, viewport=Viewport(8, 8))
                perform(Render(encoded, rendering), memoryview(frame))
    jpeg = imagecodecs.jpeg8_encode(np.zeros((16, 16, 3), np.uint8))
    imagecodecs.jpeg8_decode(jpeg, colorspace="YCBCR", outcolorspace="RGB")
    imagecodecs.jpegxl_decode(imagecodecs.jpegxl_encode(np.zeros((16, 16), np.uint8), numthreads=1), numthreads=1)
