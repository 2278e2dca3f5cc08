"""DICOM files, PS3.10 7: the File Meta Information before the data set."""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import BinaryIO, Final

from leadglass.dicom.encoding import LONG_VRS, SHORT_VRS
from leadglass.dicom.reader import DataSetScanner
from leadglass.dicom.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from leadglass.dicom.uids import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    IMPLICIT_LE,
    MEDIA_STORAGE_DIRECTORY,
    TRANSFER_SYNTAXES,
    parse_uid,
)
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

_PREAMBLE: Final = 128
_HEADER: Final = Struct("<HH2sH")
_LENGTH: Final = Struct("<I")
#: No File Meta Information is longer; private information (0002,0102) may take some space.
_MOST_META: Final = 1024 * 1024
#: Read to learn a data set's SOP class and instance when no meta information says them.
_PROBE: Final = 64 * 1024
_MEDIA_STORAGE_SOP_CLASS: Final = 0x0002
_MEDIA_STORAGE_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010


@dataclass(frozen=True, slots=True)
class FileMeta:
    """`data_offset`: position of the data set in the file, in bytes. UIDs that nothing tells are ""."""

    transfer_syntax: str
    sop_class: str
    sop_instance: str
    data_offset: int
    notes: tuple[str, ...]


def read_file_meta(file: BinaryIO, *, directories: bool = False) -> FileMeta:
    """Reads the File Meta Information of a seekable file and positions it at the data set.

    Without a preamble, or without meta information at all, the transfer syntax is guessed from the first element (notes
    "no-preamble", "no-meta", "no-transfer-syntax"). Raises DataSetError when it is not DICOM, or is a DICOMDIR and
    `directories` are not wanted.
    """
    file.seek(0)
    start = file.read(_PREAMBLE + 4)
    notes = []
    if start[_PREAMBLE:] == b"DICM":
        offset = _PREAMBLE + 4
    else:
        offset = 0
        notes.append("no-preamble")
    file.seek(offset)
    values, offset = _read_group_2(file, offset)
    if not values:
        notes.append("no-meta")
    syntax = _text(values, _TRANSFER_SYNTAX)
    sop_class = _text(values, _MEDIA_STORAGE_SOP_CLASS)
    sop_instance = _text(values, _MEDIA_STORAGE_SOP_INSTANCE)
    if sop_class == MEDIA_STORAGE_DIRECTORY and not directories:
        raise _directory()
    if not syntax:
        notes.append("no-transfer-syntax")
        syntax = _guess_syntax(file, offset)
    if not (sop_class and sop_instance):
        sop_class, sop_instance = _probe(file, offset, syntax)
    file.seek(offset)
    return FileMeta(syntax, sop_class, sop_instance, offset, tuple(notes))


def _read_group_2(file: BinaryIO, offset: int) -> tuple[dict[int, bytes], int]:
    """Values of group 0002 by element number, and where the data set begins. The group length is not believed."""
    first = offset
    values: dict[int, bytes] = {}
    while len(header := file.read(8)) == 8:
        group, element, code, length = _HEADER.unpack(header)
        if group != 0x0002:
            break
        size = 8
        if code in LONG_VRS:
            length = _LENGTH.unpack(file.read(4).ljust(4, b"\xff"))[0]
            size = 12
        elif code not in SHORT_VRS:
            raise DataSetError("The File Meta Information is not Explicit VR Little Endian (PS3.10 7.1).", offset)
        if offset + size + length - first > _MOST_META:
            raise DataSetError("The File Meta Information is longer than the limit.", offset)
        value = file.read(length)
        if len(value) < length:
            raise DataSetError("The File Meta Information is cut short.", offset)
        values[element] = value
        offset += size + length
    return values, offset


def _text(values: dict[int, bytes], element: int) -> str:
    value = values.get(element, b"").rstrip(b"\0 ")
    return parse_uid(value) if value else ""


def _directory() -> DataSetError:
    return DataSetError("The file is a DICOMDIR, an index of other files.", remedy="Give those files instead.")


def _guess_syntax(file: BinaryIO, offset: int) -> str:
    """A data set begins with a low, even group: that tells byte order; two letters in the VR's place tell the rest."""
    file.seek(offset)
    start = file.read(8)
    little, big = int.from_bytes(start[:2], "little"), int.from_bytes(start[:2], "big")
    if len(start) < 8 or not 4 <= min(little, big) <= 0x50:
        raise DataSetError("The file is not DICOM.", offset)
    if min(little, big) == 4:
        raise _directory()
    explicit = start[4:6] in SHORT_VRS or start[4:6] in LONG_VRS
    if big < little:
        if not explicit:
            raise DataSetError("The file is not DICOM.", offset)
        return EXPLICIT_BE
    return EXPLICIT_LE if explicit else IMPLICIT_LE


def _probe(file: BinaryIO, offset: int, syntax: str) -> tuple[str, str]:
    known = TRANSFER_SYNTAXES.get(syntax)
    if known is None:
        return "", ""
    scanner = DataSetScanner(known, DataSetLimits(), wanted=frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID}))
    file.seek(offset)
    scanner.feed(file.read(_PROBE))
    sop_class, sop_instance = (
        parse_uid(scanner.elements[tag].value) if tag in scanner.elements else ""
        for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID)
    )
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise _directory()
    return sop_class, sop_instance


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    if vr == b"OB":
        return Struct("<HH2sHI").pack(0x0002, element, vr, 0, len(value)) + value
    return _HEADER.pack(0x0002, element, vr, len(value)) + value


def _padded(text: str, padding: bytes) -> bytes:
    value = text.encode("ascii")
    return value + padding if len(value) & 1 else value


def encode_file_meta(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """An empty preamble, DICM and File Meta Information made anew (PS3.10 7.1): what a file begins with."""
    before, after = _around_instance(sop_class, transfer_syntax)
    instance = _element(_MEDIA_STORAGE_SOP_INSTANCE, b"UI", _padded(sop_instance, b"\0"))
    length = _LENGTH.pack(len(before) + len(instance) + len(after))
    return b"".join((bytes(_PREAMBLE), b"DICM", _element(0x0000, b"UL", length), before, instance, after))


@lru_cache(64)
def _around_instance(sop_class: str, transfer_syntax: str) -> tuple[bytes, bytes]:
    """What the files of a series have in common."""
    before = (
        _element(0x0001, b"OB", b"\x00\x01"),
        _element(_MEDIA_STORAGE_SOP_CLASS, b"UI", _padded(sop_class, b"\0")),
    )
    after = (
        _element(_TRANSFER_SYNTAX, b"UI", _padded(transfer_syntax, b"\0")),
        _element(0x0012, b"UI", _padded(IMPLEMENTATION_CLASS_UID, b"\0")),
        _element(0x0013, b"SH", _padded(IMPLEMENTATION_VERSION_NAME, b" ")),
    )
    return b"".join(before), b"".join(after)
