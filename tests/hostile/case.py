"""What every hostile file is made of: a clean object with something put into it. All of them are harmless."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from tests.dicom.builders import END_OF_SEQUENCE, UNDEFINED, item, long, short

ROOT: Final = "2.25.319218374652819374650192837465"
SC: Final = "1.2.840.10008.5.1.4.1.1.7"
PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
CDA: Final = "1.2.840.10008.5.1.4.1.1.104.2"
STL: Final = "1.2.840.10008.5.1.4.1.1.104.3"
OBJ: Final = "1.2.840.10008.5.1.4.1.1.104.4"
MTL: Final = "1.2.840.10008.5.1.4.1.1.104.5"
JPEG: Final = "1.2.840.10008.1.2.4.50"
J2K: Final = "1.2.840.10008.1.2.4.90"
RLE: Final = "1.2.840.10008.1.2.5"
DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
PIXELS: Final = 0x7FE00010
DOCUMENT: Final = 0x00420011
MEDIA_TYPE: Final = 0x00420012
PRIVATE: Final = 0x00091010

#: Tag → VR and value. Tags are written in ascending order.
Elements = Mapping[int, tuple[bytes, bytes]]
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT")


@dataclass(frozen=True, slots=True)
class Case:
    """A file, the verdict that it must get, and reasons that must be among those given."""

    name: str
    kind: VerdictKind
    reasons: frozenset[Reason]
    make: Callable[[], bytes]


def case_of(name: str, kind: VerdictKind, reasons: Reason | tuple[Reason, ...], make: Callable[[], bytes]) -> Case:
    return Case(name, kind, frozenset(reasons if isinstance(reasons, tuple) else (reasons,)), make)


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    if len(value) & 1:
        value += b"\0" if vr in (b"UI", b"OB", b"UN") else b" "
    return long(tag, vr, value) if vr in _LONG else short(tag, vr, value)


def us(value: int) -> tuple[bytes, bytes]:
    return b"US", value.to_bytes(2, "little")


def uid(suffix: str) -> tuple[bytes, bytes]:
    return b"UI", f"{ROOT}.{suffix}".encode()


def clean(sop_class: str = SC) -> dict[int, tuple[bytes, bytes]]:
    """The elements of an object that nobody could object to, without pixels."""
    return {
        0x00080005: (b"CS", b"ISO_IR 100"),
        0x00080008: (b"CS", b"DERIVED\\SECONDARY"),
        0x00080016: (b"UI", sop_class.encode()),
        0x00080018: uid("1.1.1"),
        0x00080020: (b"DA", b"20250102"),
        0x00080060: (b"CS", b"OT"),
        0x00100010: (b"PN", b"Test^Hostile"),
        0x00100020: (b"LO", b"HOSTILE-1"),
        0x0020000D: uid("1"),
        0x0020000E: uid("1.1"),
    }


def image(rows: int = 16, columns: int = 16) -> dict[int, tuple[bytes, bytes]]:
    return clean() | {
        0x00280002: us(1),
        0x00280004: (b"CS", b"MONOCHROME2"),
        0x00280010: us(rows),
        0x00280011: us(columns),
        0x00280100: us(8),
        0x00280101: us(8),
        0x00280102: us(7),
        0x00280103: us(0),
    }


def pixels(rows: int = 16, columns: int = 16) -> tuple[bytes, bytes]:
    return b"OB", bytes(i * 7 % 251 for i in range(rows * columns))


def private(value: bytes, vr: bytes = b"OB") -> dict[int, tuple[bytes, bytes]]:
    return {0x00090010: (b"LO", b"LEADGLASS TEST"), PRIVATE: (vr, value)}


def encode(elements: Elements) -> bytes:
    return b"".join(element(tag, *elements[tag]) for tag in sorted(elements))


def fragments(*values: bytes, table: bytes = b"") -> bytes:
    """Encapsulated pixel data, PS3.5 A.4."""
    padded = [value + b"\0" if len(value) & 1 else value for value in values]
    return long(PIXELS, b"OB", b"", UNDEFINED) + item(table) + b"".join(map(item, padded)) + END_OF_SEQUENCE


def part10(body: bytes, *, syntax: str = EXPLICIT_LE, sop_class: str = SC, preamble: bytes = b"") -> bytes:
    meta = encode_file_meta(sop_class, f"{ROOT}.1.1.1", syntax)
    return preamble.ljust(128, b"\0")[:128] + meta[128:] + body


def whole(extra: Elements | None = None, *, preamble: bytes = b"", after: bytes = b"") -> bytes:
    """An image with `extra` elements and something before and after it."""
    return part10(encode(image() | {PIXELS: pixels()} | dict(extra or {})) + after, preamble=preamble)


def encapsulated(pixel_data: bytes, syntax: str, *, extra: Elements | None = None) -> bytes:
    return part10(encode(image() | dict(extra or {})) + pixel_data, syntax=syntax)


def document(sop_class: str, media_type: str, value: bytes) -> bytes:
    elements = clean(sop_class) | {DOCUMENT: (b"OB", value), MEDIA_TYPE: (b"LO", media_type.encode())}
    return part10(encode(elements), sop_class=sop_class)
