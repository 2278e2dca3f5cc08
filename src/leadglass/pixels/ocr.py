"""The program of a worker that reads the text in an image, with Tesseract, behind the same walls as every decoder.

    python -m leadglass.pixels.ocr FOLDER LIMITS        FOLDER: of tessdata

Nothing but such a worker imports this. The engine and its model of English are loaded, and used once, before the walls
close: nothing can be loaded afterwards.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
import tesserocr
from PIL import Image

from leadglass.pixels.codecs import decode
from leadglass.pixels.failure import CannotDecode, Codestream, Failure
from leadglass.pixels.job import Job, Read
from leadglass.pixels.perform import warm_up
from leadglass.pixels.render import image_of
from leadglass.pixels.worker import main

#: Annotations are a dozen pixels high on an image of some hundred pixels, and Tesseract wants thirty.
_SMALL: Final = 1100
#: Longest side of what is read, in pixels: more takes its time, and no text needs it.
_LARGE: Final = 2200
#: Words of which the engine is less sure are mostly anatomy.
_SURE: Final = 60.0
_LONGEST: Final = 64 * 1024


#: Annotations are white on what is mostly darker: the upper half of the grays, turned to black on white. That leaves
#: little else to be read, and makes it ten times as fast; dark letters on white come out as white ones on black.
_BRIGHT: Final = [255 - max(0, min(255, (value - 128) * 2)) for value in range(256)]


class Reader:
    """Words in an image, one a line, as far as they are sure."""

    def __init__(self, folder: str) -> None:
        self._engine = tesserocr.PyTessBaseAPI(path=folder, lang="eng", psm=tesserocr.PSM.SPARSE_TEXT)

    def perform(self, job: Job, frame: memoryview) -> tuple[Codestream, bytes]:
        """Raises CannotDecode, MemoryError."""
        if not isinstance(job, Read):
            raise CannotDecode(Failure.UNSUPPORTED)
        decoded = decode(job.description, frame)
        return decoded.codestream, self.read(image_of(job.description, decoded, None)).encode()[:_LONGEST]

    def read(self, image: Image.Image) -> str:
        self._engine.SetImage(_sized(image.convert("L").point(_BRIGHT)))
        self._engine.Recognize()
        words = self._engine.AllWords()
        return "\n".join(
            word for word, sure in zip(words, self._engine.AllWordConfidences(), strict=True) if sure >= _SURE
        )


def _sized(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    wanted = min(max(longest, _SMALL), _LARGE)
    if wanted == longest:
        return image
    size = (max(1, image.width * wanted // longest), max(1, image.height * wanted // longest))
    return image.resize(size, Image.Resampling.BICUBIC)


if __name__ == "__main__":
    warm_up()
    reader = Reader(str(Path(sys.argv[1])))
    reader.read(Image.fromarray(np.zeros((64, 64), np.uint8)))
    sys.exit(main(reader.perform))
