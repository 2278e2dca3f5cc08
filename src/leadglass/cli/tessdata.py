"""Where Tesseract's models are: a part of Debian and of other systems, and never downloaded here."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from leadglass.errors import NotAvailable

_MODEL: Final = "eng.traineddata"
_FOLDERS: Final = ("/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tessdata", "/usr/share/tesseract/tessdata")
_REMEDY: Final = (
    "Install it: pip install 'leadglass[ocr]', and Tesseract's model of English (Debian: tesseract-ocr-eng)."
)


def models() -> Path:
    """The folder that holds the model of English: TESSDATA_PREFIX, or where systems have it. Raises NotAvailable when
    that or the engine is not installed."""
    if find_spec("tesserocr") is None:
        raise NotAvailable("Reading text in images (OCR) is an optional part that is not installed.", _REMEDY)
    for folder in filter(None, (os.environ.get("TESSDATA_PREFIX"), *_FOLDERS)):
        if Path(folder, _MODEL).is_file():
            return Path(folder).absolute()
    raise NotAvailable(f"Reading text in images (OCR) needs the model {_MODEL}, which is not here.", _REMEDY)
