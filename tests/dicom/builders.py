"""Data sets put together by hand, element by element: right ones and wrong ones."""

from struct import pack

from leadglass.dicom.uids import EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES

EXPLICIT = TRANSFER_SYNTAXES[EXPLICIT_LE]
IMPLICIT = TRANSFER_SYNTAXES[IMPLICIT_LE]
JPEG = TRANSFER_SYNTAXES["1.2.840.10008.1.2.4.50"]
UNDEFINED = 0xFFFFFFFF
END_OF_ITEM = b"\xfe\xff\x0d\xe0\0\0\0\0"
END_OF_SEQUENCE = b"\xfe\xff\xdd\xe0\0\0\0\0"


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value) if length is None else length) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    return pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(value: bytes, length: int | None = None) -> bytes:
    return implicit(0xFFFEE000, value, length)


NAME = short(0x00100010, b"PN", b"Doe^Jane")


def nested(depth: int) -> bytes:
    return long(0x00081140, b"SQ", item(b"", UNDEFINED), UNDEFINED) * depth + (END_OF_ITEM + END_OF_SEQUENCE) * depth
