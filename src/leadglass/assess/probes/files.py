"""Files that lie open, over HTTP or FTP: which are DICOM, and what their headers count.

Of a file no more than its head is read, up to where the pixels begin at most, and nothing of it is kept.
"""

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from leadglass.assess.counting.census import Census, StudyAnswer
from leadglass.assess.probes.web_answer import INCLUDED, study_from
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.reader import DataSetScanner
from leadglass.dicom.uids import TRANSFER_SYNTAXES, parse_uid
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

#: Heads are read of so many files at one door; there may be more, and then numbers are lower bounds.
MOST_FILES: Final = 400
HEAD: Final = 65_536
_PREAMBLE: Final = 132
_LIMITS: Final = DataSetLimits(depth=16, elements=20_000, inline_value=16_384, held_bytes=1 << 20)
_WANTED: Final = frozenset(
    {*INCLUDED, tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID, tags.SPECIFIC_CHARACTER_SET}
)
_NAMED: Final = re.compile(r"\.(dcm|dicom|dic|ima)$", re.IGNORECASE)
#: Names without an extension, or that are numbers, are usual for DICOM files (PS3.10 8.5 has no extensions).
_PERHAPS: Final = re.compile(r"^[^.]+$|^[0-9.]+$")


def is_named_dicom(name: str) -> bool:
    return _NAMED.search(name) is not None


def may_be_dicom(name: str) -> bool:
    return is_named_dicom(name) or (_PERHAPS.match(name) is not None and name.upper() != "DICOMDIR")


@dataclass(frozen=True, slots=True)
class FileHead:
    """`answer`: of the file's study, None where the header could not be read. All of it lives for one call."""

    answer: StudyAnswer | None = field(repr=False)
    series: str = field(default="", repr=False)
    instance: str = field(default="", repr=False)


def read_head(head: bytes) -> FileHead | None:
    """What the beginning of a file tells; None if it is no DICOM file (PS3.10 7.1)."""
    if head[128:_PREAMBLE] != b"DICM":
        return None
    try:
        file = io.BytesIO(head)
        syntax = TRANSFER_SYNTAXES[read_file_meta(file).transfer_syntax]
        scanner = DataSetScanner(syntax, _LIMITS, wanted=_WANTED)
        scanner.feed(file.read())
        texts = decode_elements(scanner.elements, syntax.little_endian)
        series, instance = (parse_uid(texts.get(tag, "")) for tag in (tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID))
        return FileHead(study_from(texts), series, instance)
    except (DataSetError, KeyError):
        return FileHead(None)


class FileCount:
    """Studies, series and images from the heads of files, one after another; at most `MOST_FILES` of them."""

    def __init__(self) -> None:
        self._studies: dict[str, tuple[StudyAnswer, set[str], set[str]]] = {}
        self.tried = 0
        self.proven: list[str] = []
        self.unreadable = 0

    def add(self, path: str, head: bytes) -> bool:
        """Whether the file is DICOM. `path` names the image where its header could not be read."""
        self.tried += 1
        told = read_head(head)
        if told is None:
            return False
        self.proven.append(told.instance or path)
        if told.answer is None:
            self.unreadable += 1
            return True
        _, series, images = self._studies.setdefault(told.answer.study, (told.answer, set(), set()))
        series.add(told.series)
        images.add(told.instance)
        return True

    def count_into(self, census: Census, *, complete: bool) -> None:
        """`complete`: every file that lies there was looked at."""
        for answer, series, images in self._studies.values():
            census.add(answer._replace(series=len(series), images=len(images)))
        for instance in self.proven:
            census.prove(instance)
        if not complete or self.unreadable:
            census.miss_studies()


def chosen(names: Iterable[str]) -> list[str]:
    """The files worth a look, those named as DICOM first."""
    candidates = [each for each in names if may_be_dicom(each.rsplit("/", 1)[-1])]
    return sorted(candidates, key=lambda each: not is_named_dicom(each))
