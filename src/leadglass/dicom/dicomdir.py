"""A DICOMDIR: the Basic Directory IOD (PS3.3 F) of a file-set, as Part 10 bytes made in one go from what is known.

Records of one level form a list, each with the offset of the next and of its first below (PS3.3 F.2.2). The offsets are
of fixed size, so that records are laid out first and filled in after. All text is UTF-8 (ISO_IR 192).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from struct import Struct
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.dictionary import vr_of
from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import EXPLICIT_LE, MEDIA_STORAGE_DIRECTORY
from leadglass.errors import UsageError, VerificationFailed

#: More would make offsets overflow their 32 bits sooner or later, and no reader opens it.
MAX_FILES: Final = 1_000_000
#: Longer texts than any of these keys may be (PS3.5 6.2) are left out.
_LONGEST: Final = 1024

_FILE_SET_ID: Final = 0x00041130
_FIRST: Final = 0x00041200
_LAST: Final = 0x00041202
_CONSISTENCY: Final = 0x00041212
_RECORDS: Final = 0x00041220
_NEXT: Final = 0x00041400
_IN_USE: Final = 0x00041410
_LOWER: Final = 0x00041420
_TYPE: Final = 0x00041430
_FILE_ID: Final = 0x00041500
_REFERENCED_CLASS: Final = 0x00041510
_REFERENCED_INSTANCE: Final = 0x00041511
_REFERENCED_SYNTAX: Final = 0x00041512

_SHORT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<HH2sHI")
_ITEM: Final = Struct("<HHI")

#: PS3.3 F.5: keys of each type of record. Type 1 ones get a value when the object has none.
_KEYS: Final[Mapping[str, tuple[int, ...]]] = {
    "PATIENT": (tags.PATIENT_NAME, tags.PATIENT_ID),
    "STUDY": (
        *(tags.STUDY_DATE, tags.STUDY_TIME, tags.ACCESSION_NUMBER, tags.STUDY_DESCRIPTION),
        *(tags.STUDY_INSTANCE_UID, tags.STUDY_ID),
    ),
    "SERIES": (tags.MODALITY, tags.SERIES_INSTANCE_UID, tags.SERIES_NUMBER),
    "SR DOCUMENT": (
        *(tags.CONTENT_DATE, tags.CONTENT_TIME, tags.INSTANCE_NUMBER),
        *(tags.COMPLETION_FLAG, tags.VERIFICATION_FLAG),
    ),
    "KEY OBJECT DOC": (tags.CONTENT_DATE, tags.CONTENT_TIME, tags.INSTANCE_NUMBER),
    "ENCAP DOC": (tags.CONTENT_DATE, tags.CONTENT_TIME, tags.INSTANCE_NUMBER),
    "PRESENTATION": (
        *(tags.INSTANCE_NUMBER, tags.CONTENT_LABEL, tags.PRESENTATION_CREATION_DATE),
        *(tags.PRESENTATION_CREATION_TIME, tags.CONTENT_CREATOR_NAME),
    ),
}
_OTHERS: Final = (tags.INSTANCE_NUMBER,)
#: What a key of type 1 says when its object does not say it.
_INSTEAD: Final[Mapping[int, str]] = {
    tags.STUDY_DATE: "19000101",
    tags.STUDY_TIME: "000000",
    tags.STUDY_ID: "0",
    tags.MODALITY: "OT",
    tags.SERIES_NUMBER: "0",
    tags.INSTANCE_NUMBER: "0",
    tags.CONTENT_DATE: "19000101",
    tags.CONTENT_TIME: "000000",
    tags.COMPLETION_FLAG: "PARTIAL",
    tags.VERIFICATION_FLAG: "UNVERIFIED",
    tags.CONTENT_LABEL: "UNKNOWN",
    tags.PRESENTATION_CREATION_DATE: "19000101",
    tags.PRESENTATION_CREATION_TIME: "000000",
}
_LEVELS: Final = (
    ("PATIENT", tags.PATIENT_ID),
    ("STUDY", tags.STUDY_INSTANCE_UID),
    ("SERIES", tags.SERIES_INSTANCE_UID),
)
#: Of those who make the set, not of whom it is about.
FILE_SET_ID: Final = "LEADGLASS"
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
#: PS3.3 Table F.4-1 and F.5: SOP classes by the beginning of their UIDs; all others are images.
_RECORD_TYPES: Final[Mapping[str, str]] = {
    f"{_STORAGE}88.59": "KEY OBJECT DOC",
    f"{_STORAGE}88.": "SR DOCUMENT",
    f"{_STORAGE}104.": "ENCAP DOC",
    f"{_STORAGE}11.": "PRESENTATION",
    f"{_STORAGE}9.": "WAVEFORM",
    f"{_STORAGE}4.2": "SPECTROSCOPY",
    f"{_STORAGE}66.1": "REGISTRATION",
    f"{_STORAGE}66.2": "FIDUCIAL",
    f"{_STORAGE}66.3": "REGISTRATION",
    f"{_STORAGE}66.5": "SURFACE",
    f"{_STORAGE}67": "VALUE MAP",
    f"{_STORAGE}481.2": "RT DOSE",
    f"{_STORAGE}481.3": "RT STRUCTURE SET",
    f"{_STORAGE}481.5": "RT PLAN",
    f"{_STORAGE}481.8": "RT PLAN",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the set. `file_id` are the components of its File ID (PS3.10 8.2); `attributes` texts by tag of the
    object and all above it."""

    file_id: tuple[str, ...]
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    attributes: Mapping[int, str] = field(repr=False)


def dicomdir(entries: Sequence[Entry], sop_instance: str) -> bytes:
    """The file, a Part 10 file itself; `sop_instance` is the UID that it gets. Raises UsageError beyond a bound."""
    if not 0 < len(entries) <= MAX_FILES:
        raise UsageError(f"A DICOMDIR names one to {MAX_FILES} files.")
    roots = _tree(entries)
    meta = encode_file_meta(MEDIA_STORAGE_DIRECTORY, sop_instance, EXPLICIT_LE)
    end = _lay_out(roots, len(meta) + len(_head(0, 0, 0)))
    body = b"".join(_items(roots))
    head = _head(roots[0].position, roots[-1].position, len(body))
    if len(meta) + len(head) + len(body) != end:
        raise VerificationFailed("A directory record is not of the size that was planned for it.")
    return meta + head + body


def record_type(sop_class: str) -> str:
    """PS3.3 F.4: which kind of record refers to an object of this class."""
    return next((kind for start, kind in _RECORD_TYPES.items() if sop_class.startswith(start)), "IMAGE")


@dataclass(slots=True)
class _Record:
    """`rest` follows the four elements that each record begins with; `position` is its item's in the file."""

    kind: str
    rest: bytes
    below: "list[_Record]" = field(default_factory=list)
    position: int = 0


def _tree(entries: Iterable[Entry]) -> list[_Record]:
    """Patients with studies with series with objects, in the order of the entries."""
    roots: list[_Record] = []
    known: dict[tuple[str, ...], _Record] = {}
    for entry in entries:
        siblings = roots
        path: tuple[str, ...] = ()
        for kind, key in _LEVELS:
            path = (*path, entry.attributes.get(key, ""))
            if path not in known:
                known[path] = _Record(kind, _keys(kind, entry))
                siblings.append(known[path])
            siblings = known[path].below
        kind = record_type(entry.sop_class)
        siblings.append(_Record(kind, _reference(entry) + _keys(kind, entry)))
    return roots


def _lay_out(records: Iterable[_Record], position: int) -> int:
    """Depth first, as they are written; returns where the last one ends."""
    for record in records:
        record.position = position
        position = _lay_out(record.below, position + len(_item(record, 0)))
    return position


def _items(records: Sequence[_Record]) -> Iterator[bytes]:
    for record, following in zip_longest(records, records[1:]):
        yield _item(record, following.position if following else 0)
        yield from _items(record.below)


def _item(record: _Record, following: int) -> bytes:
    content = b"".join(
        (
            _number(_NEXT, following),
            _SHORT.pack(*_split(_IN_USE), b"US", 2) + b"\xff\xff",
            _number(_LOWER, record.below[0].position if record.below else 0),
            _text(_TYPE, record.kind),
            record.rest,
        )
    )
    return _ITEM.pack(0xFFFE, 0xE000, len(content)) + content


def _head(first: int, last: int, records: int) -> bytes:
    """What stands before the records; `records` is their length in bytes."""
    return b"".join(
        (
            _text(_FILE_SET_ID, FILE_SET_ID),
            _number(_FIRST, first),
            _number(_LAST, last),
            _SHORT.pack(*_split(_CONSISTENCY), b"US", 2) + b"\0\0",
            _LONG.pack(*_split(_RECORDS), b"SQ", 0, records),
        )
    )


def _reference(entry: Entry) -> bytes:
    return b"".join(
        (
            _text(_FILE_ID, "\\".join(entry.file_id)),
            _text(_REFERENCED_CLASS, entry.sop_class),
            _text(_REFERENCED_INSTANCE, entry.sop_instance),
            _text(_REFERENCED_SYNTAX, entry.transfer_syntax),
        )
    )


def _keys(kind: str, entry: Entry) -> bytes:
    values = {tag: entry.attributes.get(tag) or _INSTEAD.get(tag, "") for tag in _KEYS.get(kind, _OTHERS)}
    values[tags.SPECIFIC_CHARACTER_SET] = "ISO_IR 192"
    return b"".join(_text(tag, values[tag]) for tag in sorted(values))


def _text(tag: int, text: str) -> bytes:
    vr = vr_of(tag)
    value = text.encode()
    if len(value) > _LONGEST:
        value = b""
    if len(value) & 1:
        value += b"\0" if vr == "UI" else b" "
    return _SHORT.pack(*_split(tag), vr.encode(), len(value)) + value


def _number(tag: int, value: int) -> bytes:
    return _SHORT.pack(*_split(tag), b"UL", 4) + value.to_bytes(4, "little")


def _split(tag: int) -> tuple[int, int]:
    return tag >> 16, tag & 0xFFFF
