"""Does a job inside a worker. Nothing but the worker imports this: here the codecs are."""

import warnings
from dataclasses import replace

import imagecodecs
import numpy as np

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.pixels.codecs import decode
from leadglass.pixels.compare import compare
from leadglass.pixels.description import PixelDescription, Sample, VoiFunction, Window
from leadglass.pixels.failure import CannotDecode, Codestream, Failure
from leadglass.pixels.job import Check, Compare, Decode, Job, Render, Transcode
from leadglass.pixels.render import render
from leadglass.pixels.rendering import Format, Rendering, Viewport
from leadglass.pixels.syntaxes import ENCODED, JPEG_BASELINE, JPEG_XL_LOSSLESS
from leadglass.pixels.transcode import native, transcode


def perform(job: Job, frame: memoryview) -> tuple[Codestream, bytes | bytearray | memoryview]:
    """The result of a job. Raises CannotDecode, MemoryError."""
    if isinstance(job, Compare):
        first, second = decode(job.description, frame[: job.length]), decode(job.other, frame[job.length :])
        return first.codestream, compare(job.description, first, second, job.rendering).encode()
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


def warm_up() -> None:
    """Loads every codec by using it: once the doors are closed, nothing more can be loaded."""
    # A warning would be looked up in source files before it is written to an output that is closed.
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")
    gray = PixelDescription(EXPLICIT_LE, 16, 16, 1, "MONOCHROME2", 16, 12, 11, signed=True)
    colour = PixelDescription(EXPLICIT_LE, 16, 16, 3, "RGB", 8, 8, 7, signed=False)
    dose = PixelDescription(EXPLICIT_LE, 16, 16, 1, "MONOCHROME2", 32, 32, 31, signed=False)
    for description in (gray, colour):
        blank = memoryview(bytes(description.frame_bytes))
        for transfer_syntax in ENCODED:
            _, frame = perform(Transcode(description, transfer_syntax), blank)
            perform(Decode(replace(description, transfer_syntax=transfer_syntax)), memoryview(frame))
    sigmoid = Window(0, 100, VoiFunction.SIGMOID)
    for description in (gray, colour, dose, replace(dose, sample=Sample.FLOAT)):
        frame = bytes(each % 251 for each in range(description.frame_bytes))
        for rendering in (Rendering(viewport=Viewport(8, 8)), Rendering(Format.PNG, sigmoid)):
            perform(Render(description, rendering), memoryview(frame))
            perform(Compare(description, description, len(frame), rendering), memoryview(frame + frame[::-1]))
    jpeg = imagecodecs.jpeg8_encode(np.zeros((16, 16, 3), np.uint8))
    perform(Decode(replace(colour, transfer_syntax=JPEG_BASELINE)), memoryview(jpeg))
    jpegxl = imagecodecs.jpegxl_encode(np.zeros((16, 16, 3), np.uint8), numthreads=1)
    perform(Decode(replace(colour, transfer_syntax=JPEG_XL_LOSSLESS)), memoryview(jpegxl))
