from struct import pack

from leadglass.dicom.compare import ContentDigest, content_digest
from leadglass.dicom.uids import EXPLICIT_BE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.model import DataSetLimits
from tests.dicom.builders import (
    END_OF_ITEM,
    END_OF_SEQUENCE,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    NAME,
    UNDEFINED,
    implicit,
    item,
    long,
    short,
)

LIMITS = DataSetLimits(inline_value=64)
BIG = TRANSFER_SYNTAXES[EXPLICIT_BE]


def digest(body: bytes, syntax: TransferSyntax = EXPLICIT, size: int = 100_000) -> ContentDigest:
    return content_digest((body[at : at + size] for at in range(0, len(body), size)), syntax, LIMITS)


def test_encodings_do_not_matter() -> None:
    rows = short(0x00280010, b"US", pack("<H", 512))
    first = digest(NAME + long(0x00321064, b"SQ", item(rows)))
    delimited = item(rows + END_OF_ITEM, UNDEFINED) + END_OF_SEQUENCE
    assert digest(NAME + long(0x00321064, b"SQ", delimited, UNDEFINED)) == first
    sequence = implicit(0x00321064, item(implicit(0x00280010, b"\0\2")))
    assert digest(implicit(0x00100010, b"Doe^Jane") + sequence, IMPLICIT) == first
    assert digest(short(0x00100000, b"UL", pack("<I", 16)) + NAME + long(0x00321064, b"SQ", item(rows))) == first
    assert digest(NAME + long(0x00321064, b"SQ", item(rows)) + long(0xFFFCFFFC, b"OB", bytes(200))) == first
    assert digest(short(0x00100010, b"PN", b"Doe^Jane  ") + long(0x00321064, b"SQ", item(rows))) == first


def test_words_are_swapped() -> None:
    values = range(1000)
    little = long(0x7FE00010, b"OW", pack("<1000H", *values))
    big = pack(">HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2000) + pack(">1000H", *values)
    assert digest(little) == digest(big, BIG) == digest(big, BIG, 7) == digest(little, EXPLICIT, 13)
    assert digest(little) == digest(implicit(0x7FE00010, pack("<1000H", *values)), IMPLICIT)
    large = short(0x00281201, b"US", pack("<100H", *range(100)))
    swapped = pack(">HH2sH", 0x0028, 0x1201, b"US", 200) + pack(">100H", *range(100))
    assert digest(large) == digest(swapped, BIG, 9)


def test_differences_show_where_they_are() -> None:
    body = NAME + long(0x7FE00010, b"OW", bytes(100))
    other_name = short(0x00100010, b"PN", b"Roe^Jane") + long(0x7FE00010, b"OW", bytes(100))
    other_pixels = NAME + long(0x7FE00010, b"OW", bytes(99) + b"\1")
    assert digest(other_name).pixels == digest(body).pixels
    assert digest(other_name).elements != digest(body).elements
    assert digest(other_pixels).elements == digest(body).elements
    assert digest(other_pixels).pixels != digest(body).pixels
    moved = long(0x00321064, b"SQ", item(NAME) + item(b""))
    assert digest(moved) != digest(long(0x00321064, b"SQ", item(b"") + item(NAME)))


def test_fragments() -> None:
    start = long(0x7FE00010, b"OB", b"", UNDEFINED)
    whole = digest(NAME + start + item(b"") + item(b"\xff\xd8\xff\xd9") + END_OF_SEQUENCE, JPEG)
    parts = digest(NAME + start + item(bytes(4)) + item(b"\xff\xd8") + item(b"\xff\xd9") + END_OF_SEQUENCE, JPEG, 3)
    assert whole == parts
    assert whole.encapsulated
    assert not digest(NAME, JPEG).encapsulated
    other = digest(NAME + start + item(b"") + item(b"\xff\xd8\xff\xd8") + END_OF_SEQUENCE, JPEG)
    assert (other.elements == whole.elements, other.pixels == whole.pixels) == (True, False)
