"""Where two data sets differ: each element by its path, whatever the encoding."""

from struct import pack

import pytest

from leadglass.dicom.differences import SHOWN, Difference, contents, differences
from leadglass.dicom.uids import TransferSyntax
from leadglass.errors import DataSetError
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

LIMITS = DataSetLimits(inline_value=1024)
ROWS = short(0x00280010, b"US", pack("<H", 512))
OTHER_ROWS = short(0x00280010, b"US", pack("<H", 511))
SEQUENCE = 0x00321064


def differing(
    first: bytes, second: bytes, syntaxes: tuple[TransferSyntax, TransferSyntax] = (EXPLICIT, EXPLICIT), size: int = 7
) -> list[Difference]:
    one, other = (
        contents((body[at : at + size] for at in range(0, len(body), size)), syntax, LIMITS)
        for body, syntax in zip((first, second), syntaxes, strict=True)
    )
    return list(differences(one, other))


def test_encodings_do_not_differ() -> None:
    explicit = NAME + long(SEQUENCE, b"SQ", item(ROWS))
    delimited = short(0x00100010, b"PN", b"Doe^Jane  ") + long(
        SEQUENCE, b"SQ", item(ROWS + END_OF_ITEM, UNDEFINED) + END_OF_SEQUENCE, UNDEFINED
    )
    without_vr = implicit(0x00100010, b"Doe^Jane") + implicit(SEQUENCE, item(implicit(0x00280010, b"\0\2")))
    with_group_length = short(0x00100000, b"UL", pack("<I", 16)) + explicit
    for other in (delimited, with_group_length):
        assert differing(explicit, other) == []
    assert differing(explicit, without_vr, (EXPLICIT, IMPLICIT)) == []


def test_values_differ_where_they_stand() -> None:
    found = differing(
        NAME + long(SEQUENCE, b"SQ", item(b"") + item(ROWS)),
        short(0x00100010, b"PN", b"Roe^Jane") + long(SEQUENCE, b"SQ", item(b"") + item(OTHER_ROWS)),
    )
    assert [each.path for each in found] == [(0x00100010,), (SEQUENCE, 2, 0x00280010)]
    name, rows = found
    assert name.first and name.first.element and name.first.element.value == b"Doe^Jane"
    assert rows.second and (rows.second.vr, rows.second.length) == ("US", 2)


def test_what_one_has_alone_is_listed_once() -> None:
    (found,) = differing(NAME, NAME + long(SEQUENCE, b"SQ", item(ROWS) + item(ROWS)))
    assert found.path == (SEQUENCE,)
    assert found.first is None
    assert found.second and (found.second.vr, found.second.length) == ("SQ", 2)
    more, item_of_it = differing(long(SEQUENCE, b"SQ", item(ROWS)), long(SEQUENCE, b"SQ", item(ROWS) + item(ROWS)))
    assert (more.path, item_of_it.path) == ((SEQUENCE,), (SEQUENCE, 2, 0x00280010))


@pytest.mark.parametrize("size", [7, 100_000])
def test_long_values_and_pixels_differ_without_being_held(size: int) -> None:
    def body(at: int) -> bytes:
        comment = bytearray(b" " * 4000)
        pixels = bytearray(4000)
        comment[at] = pixels[at] = 1
        return short(0x00204000, b"LT", bytes(comment)) + long(0x7FE00010, b"OW", bytes(pixels))

    found = differing(body(5), body(3999), size=size)
    assert [each.path for each in found] == [(0x00204000,), (0x7FE00010,)]
    assert all(each.first and each.first.length == 4000 and each.first.element is None for each in found)
    short_of_it = differing(short(0x00204000, b"LT", b"x" * (SHOWN + 2)), NAME)[-1]
    assert short_of_it.first and short_of_it.first.element is None
    assert differing(body(5), body(5), size=size) == []


def test_fragments_are_compared_end_to_end() -> None:
    start = long(0x7FE00010, b"OB", b"", UNDEFINED)
    whole = NAME + start + item(b"") + item(b"\xff\xd8\xff\xd9") + END_OF_SEQUENCE
    parts = NAME + start + item(bytes(4)) + item(b"\xff\xd8") + item(b"\xff\xd9") + END_OF_SEQUENCE
    other = NAME + start + item(b"") + item(b"\xff\xd8\xff\xd8") + END_OF_SEQUENCE
    assert differing(whole, parts, (JPEG, JPEG)) == []
    (found,) = differing(whole, other, (JPEG, JPEG))
    assert found.path == (0x7FE00010,)
    assert found.first and (found.first.vr, found.first.length) == ("OB", None)


def test_more_elements_than_are_held_are_refused() -> None:
    body = long(SEQUENCE, b"SQ", item(ROWS) * 20)
    with pytest.raises(DataSetError, match="more elements"):
        contents((body,), EXPLICIT, DataSetLimits(elements=10))
