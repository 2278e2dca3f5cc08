"""Text burned into pixels, read by OCR in a sample of frames: in a sandboxed worker, as everything that decodes.

What is read stays in memory and is compared with what the object says of its patient. Reports say where and how much,
never what.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.frames import Span
from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.reader import PixelData, Scan
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.inspection.framing import FRAMING_TAGS, Forward, Opened, Stored, native
from leadglass.inspection.reasons import Reason
from leadglass.inspection.text import social_security_numbers
from leadglass.inspection.verdict import Finding, tag_text
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription

#: Frames of one object that are read: the first, the last and what lies between.
_FRAMES: Final = 3
#: Bytes of one frame as it is stored that are held.
_LONGEST_FRAME: Final = 64 * 1024 * 1024
_PATIENT: Final = frozenset({tags.SPECIFIC_CHARACTER_SET, tags.PATIENT_NAME, tags.PATIENT_ID, tags.PATIENT_BIRTH_DATE})
_WORD: Final = re.compile(r"[^\W_]{3,}")
#: Letters of a word that is looked for inside what was read; a shorter one must stand alone.
_LONG: Final = 5
_SHORTEST_NUMBER: Final = 4


class Readers(Protocol):
    """As `DecoderPool` is one, with workers that can read."""

    def read(self, description: PixelDescription, frame: bytes, number: int) -> str:
        """The words in a frame, one a line. Raises DecodingFailed, and NotAvailable where there is no sandbox."""


class BurnedInCheck:
    """Reads frames of images, of any transfer syntax that is not deflated as a whole."""

    def __init__(self, readers: Readers, limits: DataSetLimits) -> None:
        self._readers = readers
        self._limits = limits

    def check(self, meta: FileMeta, length: int, opened: Opened) -> Iterator[Finding]:
        """Raises NotAvailable where there is no sandbox, and as `opened` does."""
        if TRANSFER_SYNTAXES[meta.transfer_syntax].deflated:
            yield _unread("a deflated data set is not read by OCR")
            return
        stored = Stored(meta, length, opened)
        try:
            scan = stored.scan(FRAMING_TAGS | _PATIENT, self._limits)
            if scan.pixel_data is not None:
                yield from self._image(stored, scan, scan.pixel_data)
        except (DataSetError, DecodingFailed) as error:
            yield _unread(f"OCR: {error.message}")

    def _image(self, stored: Stored, scan: Scan, pixels: PixelData) -> Iterator[Finding]:
        description = stored.describe(self._limits)
        spans = stored.encapsulated(scan, pixels, description) if pixels.length is None else ()
        kept = {tag: scan.elements[tag] for tag in _PATIENT & scan.elements.keys()}
        patient = _identity(decode_elements(kept, scan.little_endian))
        file = stored.forward()
        for number in _sample(description.number_of_frames):
            frame = _frame(scan, pixels, spans, number, file)
            if frame is None:
                yield _unread("OCR: a frame is too long to be held")
                return
            text = self._readers.read(description, frame, number)
            place = f"{tag_text(pixels.tag)} frame {number}"
            yield from _judged(text, patient, place, pixels.offset + stored.meta.data_offset)


def _frame(
    scan: Scan, pixels: PixelData, spans: tuple[tuple[Span, ...], ...], number: int, file: Forward
) -> bytes | None:
    if not spans:
        return native(scan, pixels, number, file)
    if sum(length for _, length in spans[number - 1]) > _LONGEST_FRAME:
        return None
    return b"".join(file.read(start, length) for start, length in spans[number - 1])


def _sample(frames: int) -> list[int]:
    """Numbers of at most `_FRAMES` frames, from 1, spread over all of them."""
    return sorted({1 + step * (frames - 1) // max(1, _FRAMES - 1) for step in range(_FRAMES)})


def _identity(values: Mapping[int, str]) -> dict[str, frozenset[str]]:
    """What of the patient would be recognised in an image, in words: letters and digits alone."""
    born = values.get(tags.PATIENT_BIRTH_DATE, "")
    dates = {born, born[6:] + born[4:6] + born[:4], born[4:6] + born[6:] + born[:4]} if len(born) == 8 else set()
    number = _plain(values.get(tags.PATIENT_ID, ""))
    return {
        "the patient's name": frozenset(_words(values.get(tags.PATIENT_NAME, ""))),
        "the patient's number": frozenset({number} if len(number) >= _SHORTEST_NUMBER else ()),
        "the date of birth": frozenset(dates),
    }


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _judged(text: str, patient: Mapping[str, frozenset[str]], place: str, offset: int) -> Iterator[Finding]:
    words = _words(text)
    if not words:
        return
    yield Finding(Reason.BURNED_IN_TEXT, offset, place, detail=f"{len(words)} words")
    together = _plain(text)
    alone = set(words)
    for what, known in patient.items():
        if any(each in alone or (len(each) >= _LONG and each in together) for each in known):
            yield Finding(Reason.BURNED_IN_IDENTITY, offset, place, detail=what)
    for reason in dict.fromkeys(remark.reason for remark in social_security_numbers(text.encode())):
        yield Finding(reason, offset, place)


def _unread(detail: str) -> Finding:
    return Finding(Reason.PIXELS_UNCHECKED, path=tag_text(tags.PIXEL_DATA), detail=detail)
