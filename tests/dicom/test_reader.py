import zlib
from collections.abc import Iterator
from dataclasses import replace
from struct import pack

import pytest

from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.reader import DataSetScanner, Scan
from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, TRANSFER_SYNTAXES
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
    nested,
    short,
)
from tests.dicom.oracle import EVERYTHING, LIMITS, scan


def test_lengths_of_sequences_and_items_may_be_mixed() -> None:
    inner = short(0x00080100, b"SH", b"T1")
    for items in (item(inner), item(inner + END_OF_ITEM, UNDEFINED)):
        for body in (long(0x00081140, b"SQ", items), long(0x00081140, b"SQ", items + END_OF_SEQUENCE, UNDEFINED)):
            found = scan(body + NAME, EXPLICIT, size=7)
            assert found.sequences[0x00081140][0][0x00080100].value == b"T1"
            assert found.elements[0x00100010].value == b"Doe^Jane"
            assert found.count == 3
            assert found.notes == ()


def test_only_the_first_level_of_wanted_sequences_is_kept() -> None:
    deep = long(0x00081115, b"SQ", item(short(0x00081150, b"UI", b"1.20")))
    body = long(0x00081140, b"SQ", item(short(0x00080060, b"CS", b"CT") + deep + short(0x00100020, b"LO", b"ID")))
    found = scan(body, EXPLICIT)
    assert set(found.sequences) == {0x00081140}
    assert set(found.sequences[0x00081140][0]) == {0x00080060, 0x00100020}
    scanner = DataSetScanner(EXPLICIT, LIMITS, wanted=frozenset({0x00100010}))
    scanner.feed(body + NAME)
    found = scanner.finish()
    assert set(found.elements) == {0x00100010}
    assert found.sequences == {}


def test_a_un_of_undefined_length_holds_implicit_vr() -> None:
    for syntax, start in ((EXPLICIT, "<"), (TRANSFER_SYNTAXES[EXPLICIT_BE], ">")):
        header = pack(start + "HH2sHI", 0x0009, 0x1010, b"UN", 0, UNDEFINED)
        body = header + item(implicit(0x00080060, b"CT")) + END_OF_SEQUENCE
        body += pack(start + "HH2sH", 0x0010, 0x0020, b"LO", 2) + b"ID"
        found = scan(body, syntax, size=5)
        assert found.sequences[0x00091010][0][0x00080060].value == b"CT"
        assert found.elements[0x00100020].value == b"ID"
        assert found.notes == ("un-sequence",)


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (short(0x00100020, b"LO", b"ID") + NAME, "element-order"),
        (short(0x00080060, b"CS", b"CTX"), "odd-length"),
        (short(0x00080060, b"ZZ", b"CT"), "unknown-vr"),
        (long(0x00080060, b"ZZ", b"CT"), "unknown-vr"),
        (short(0x00080060, b"??", b"CT"), "not-a-vr"),
        (short(0x00080000, b"UL", pack("<I", 99)) + NAME, "group-length"),
        (NAME + NAME, "element-repeated"),
        (long(0x00081140, b"SQ", b"\xfe\xff\xdd\xe0\x01\0\0\0", UNDEFINED), "delimiter-length"),
    ],
)
def test_departures_that_are_tolerated(body: bytes, note: str) -> None:
    assert note in scan(body, EXPLICIT).notes
    assert note in scan(body, EXPLICIT, size=1).notes


def test_group_lengths_that_are_right_are_no_departure() -> None:
    body = short(0x00080000, b"UL", pack("<I", 10)) + short(0x00080060, b"CS", b"CT") + NAME
    assert scan(body, EXPLICIT).notes == ()


def test_trailing_padding_is_an_element() -> None:
    found = scan(NAME + long(0xFFFCFFFC, b"OB", bytes(40)), EXPLICIT)
    assert found.notes == ()
    assert found.count == 2


@pytest.mark.parametrize(
    "body",
    [
        NAME[:-1],
        NAME + b"\0",
        NAME + bytes(16),
        NAME + END_OF_ITEM,
        NAME + END_OF_SEQUENCE,
        item(NAME),
        implicit(0x00080060, b"CT"),
        short(0x00100010, b"PN", b"Doe^Jane") + short(0x00100010, b"PN", b"Roe^Jane"),
        long(0x00081140, b"SQ", NAME),
        long(0x00081140, b"SQ", item(NAME, 4)),
        long(0x00081140, b"SQ", item(NAME), 12),
        long(0x00081140, b"SQ", item(NAME), UNDEFINED),
        long(0x00081140, b"SQ", item(NAME, UNDEFINED)),
        long(0x00081140, b"SQ", item(NAME) + END_OF_SEQUENCE),
        long(0x00420011, b"OB", item(b"") + END_OF_SEQUENCE, UNDEFINED),
        long(0x00080119, b"UT", b"", UNDEFINED),
        long(0x7FE00010, b"OB", item(b"") + END_OF_SEQUENCE, UNDEFINED),
        long(0x7FE00010, b"SQ", item(b"") + END_OF_SEQUENCE, UNDEFINED),
        long(0x7FE00010, b"UN", item(b"") + END_OF_SEQUENCE, UNDEFINED),
        long(0x7FE00008, b"OF", bytes(4)) + long(0x7FE00010, b"OW", bytes(4)),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    for size in (1, 1 << 17):
        with pytest.raises(DataSetError) as caught:
            scan(body, EXPLICIT, size=size)
        assert 0 <= caught.value.offset <= len(body)
        assert "Jane" not in str(caught.value)


@pytest.mark.parametrize(
    ("tag", "vr"), [(0x7FE00010, b"OW"), (0x7FE00010, b"OB"), (0x7FE00008, b"OF"), (0x7FE00009, b"OD")]
)
def test_native_pixel_data(tag: int, vr: bytes) -> None:
    body = NAME + long(tag, vr, bytes(1000)) + long(0xFFFCFFFC, b"OB", b"\0\0")
    pixels = scan(body, EXPLICIT).pixel_data
    assert pixels is not None
    assert (pixels.tag, pixels.offset, pixels.length, pixels.fragments) == (tag, len(NAME) + 12, 1000, ())
    assert scan(body, EXPLICIT).header_length == len(NAME)
    body = implicit(0x00080060, b"CT") + implicit(tag, bytes(8))
    assert scan(body, IMPLICIT).header_length == 10
    grouped = implicit(0x7FE00000, pack("<I", 16)) + implicit(tag, bytes(8))
    assert scan(grouped, IMPLICIT).header_length == 12
    assert scan(grouped, IMPLICIT).notes == ()


def test_pixel_data_of_an_icon_is_not_the_object_s() -> None:
    frames = item(b"") + item(b"\xff\xd8") + END_OF_SEQUENCE
    icon = long(0x00880200, b"SQ", item(long(0x7FE00010, b"OB", frames, UNDEFINED)))
    assert scan(icon, JPEG).pixel_data is None
    body = icon + long(0x7FE00010, b"OB", item(pack("<I", 0)) + item(b"\xff\xd8\xff\xd9") + END_OF_SEQUENCE, UNDEFINED)
    pixels = scan(body, JPEG).pixel_data
    assert pixels is not None
    assert pixels.length is None
    assert pixels.offset == len(icon) + 12
    assert pixels.fragments == ((len(icon) + 12 + 12 + 8, 4),)
    assert pixels.offset_table == bytes(4)


def test_native_pixels_in_an_encapsulated_syntax_are_noted() -> None:
    assert scan(long(0x7FE00010, b"OW", bytes(4)), JPEG).notes == ("native-pixels",)


def test_nesting_is_bounded() -> None:
    assert scan(nested(64), EXPLICIT).count == 64
    with pytest.raises(DataSetError, match="deeper"):
        scan(nested(65), EXPLICIT)
    assert scan(nested(2000), EXPLICIT, limits=replace(LIMITS, depth=2000)).count == 2000


def test_zeros_behind_the_data_set_are_refused() -> None:
    for syntax, body in ((EXPLICIT, NAME), (IMPLICIT, implicit(0x00100010, b"Doe^Jane"))):
        with pytest.raises(DataSetError):
            scan(body + bytes(16), syntax)


def test_numbers_and_memory_are_bounded() -> None:
    with pytest.raises(DataSetError, match="more elements"):
        scan(NAME * 11, EXPLICIT, limits=replace(LIMITS, elements=10))
    with pytest.raises(DataSetError, match="more elements"):
        scan(long(0x00081140, b"SQ", item(b"") * 11), EXPLICIT, limits=replace(LIMITS, elements=10))
    with pytest.raises(DataSetError, match="hold in memory"):
        scan(long(0x00081140, b"SQ", item(b"") * 11), EXPLICIT, limits=replace(LIMITS, held_bytes=1000))
    with pytest.raises(DataSetError, match="longer than the limit"):
        scan(NAME, EXPLICIT, limits=replace(LIMITS, total_bytes=10))
    frames = long(0x7FE00010, b"OB", item(b"") * 12 + END_OF_SEQUENCE, UNDEFINED)
    with pytest.raises(DataSetError, match="more fragments"):
        scan(frames, JPEG, limits=replace(LIMITS, fragments=10))
    assert scan(long(0x00100010, b"UT", bytes(100)), EXPLICIT, limits=DataSetLimits(inline_value=64)).notes == (
        "long-value",
    )


def deflate(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def test_deflated_streams_are_bounded() -> None:
    syntax = TRANSFER_SYNTAXES[DEFLATED]
    body = NAME + long(0x7FE00010, b"OW", bytes(4_000_000))
    data = deflate(body)
    found = scan(data, syntax, size=100)
    assert found.length == len(data)
    assert found.header_length == len(NAME)
    assert scan(data + b"\0", syntax).pixel_data == found.pixel_data
    for limits in (replace(LIMITS, inflated_bytes=1_000_000), replace(LIMITS, inflate_ratio=100, inflated_freely=0)):
        with pytest.raises(DataSetError, match="inflates"):
            scan(data, syntax, limits=limits)
    for broken in (data[:-1], data + b"\0\0", data + NAME, b"\xff" + data):
        with pytest.raises(DataSetError):
            scan(broken, syntax, size=50)


def test_a_value_under_a_sequence_s_tag_in_implicit_vr() -> None:
    for value in (b"GOOD", b"NOT AN ITEM "):
        found = scan(implicit(0x0040A170, value), IMPLICIT, size=3)
        assert found.notes == ("not-a-sequence",)
        assert decode_elements(found.elements, True) == {}


def chunks(total: int) -> Iterator[bytes]:
    block = item(short(0x00080100, b"SH", b"T1")) * 1000
    for _ in range(total // 1000):
        yield block


def test_elements_that_nobody_wants_are_not_kept() -> None:
    scanner = DataSetScanner(EXPLICIT, DataSetLimits(held_bytes=10_000), wanted=frozenset({0x00100010}))
    scanner.feed(long(0x00081140, b"SQ", b"", UNDEFINED))
    for block in chunks(50_000):
        scanner.feed(block)
    scanner.feed(END_OF_SEQUENCE + NAME)
    found: Scan = scanner.finish()
    assert found.count == 50_002
    assert set(found.elements) == {0x00100010}


def test_nothing_is_kept_of_the_caller_s_buffer() -> None:
    buffer = bytearray(NAME)
    scanner = DataSetScanner(EXPLICIT, LIMITS, wanted=EVERYTHING)
    scanner.feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    buffer.clear()
    assert scanner.finish().elements[0x00100010].value == b"Doe^Jane"
