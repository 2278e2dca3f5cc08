"""Values are found by their paths, wherever pydicom finds them."""

from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from leadglass.dicom.bulk import BulkFinder, FoundValue, parse_path
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import EXPLICIT_BE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import UsageError
from tests.dicom.builders import EXPLICIT, IMPLICIT, JPEG, UNDEFINED, implicit, item, long
from tests.dicom.oracle import LIMITS, encode, inflated, raw_elements, read, sample_files
from tests.dicom.test_samples import broken


def find(data: bytes, syntax: TransferSyntax, path: str, size: int = 1 << 16) -> FoundValue | None:
    finder = BulkFinder(syntax, LIMITS, parse_path(path))
    for start in range(0, len(data), size):
        finder.feed(data[start : start + size])
    finder.finish()
    return finder.found


def value(data: bytes, found: FoundValue | None) -> bytes:
    assert found is not None
    return b"".join(data[start : start + length] for start, length in found.spans)


@pytest.mark.parametrize("path", sample_files()[::5], ids=lambda path: path.name)
def test_top_level_of_samples(path: Path) -> None:
    if broken(path):
        return
    data = path.read_bytes()
    meta = read_file_meta(BytesIO(data))
    syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
    body = data[meta.data_offset :]
    for raw in list(raw_elements(read(body, syntax)))[::7]:
        found = find(body, syntax, f"{int(raw.tag):08X}")
        if found is not None and not found.encapsulated:  # None: a sequence, which pydicom leaves for later
            assert value(inflated(body, syntax), found) == (raw.value or b"")


def test_below_sequences() -> None:
    inner, outer, dataset = Dataset(), Dataset(), Dataset()
    inner.add_new(0x00420011, "OB", b"%PDF")
    outer.add_new(0x00081140, "SQ", [Dataset(), inner])
    dataset.add_new(0x00420011, "OB", b"top!")
    dataset.add_new(0x00400275, "SQ", [outer])
    for syntax in (EXPLICIT, IMPLICIT, TRANSFER_SYNTAXES[EXPLICIT_BE]):
        data = encode(dataset, syntax)
        for size in (3, 1 << 16):
            found = find(data, syntax, "00400275/1/00081140/2/00420011", size)
            assert value(data, found) == b"%PDF"
            assert found is not None
            assert found.little_endian is syntax.little_endian
            assert value(data, find(data, syntax, "00420011", size)) == b"top!"
        for absent in ("00400275/2/00420011", "00400275/1/00081140/1/00420011", "00400275", "00420012"):
            assert find(data, syntax, absent) is None


def test_fragments() -> None:
    end = b"\xfe\xff\xdd\xe0\0\0\0\0"
    icon = long(0x7FE00010, b"OB", item(b"") + item(b"icon") + end, UNDEFINED)
    data = long(0x00880200, b"SQ", item(icon)) + long(
        0x7FE00010, b"OB", item(b"tab.") + item(b"one.") + item(b"two.") + end, UNDEFINED
    )
    found = find(data, JPEG, "7FE00010")
    assert value(data, found) == b"one.two."
    assert found is not None
    assert found.encapsulated
    assert value(data, find(data, JPEG, "00880200/1/7FE00010")) == b"icon"


def test_implicit_in_unknown() -> None:
    """PS3.5 6.2.2: inside of a UN of undefined length it is Implicit VR."""
    data = long(0x00091010, b"UN", item(implicit(0x00420011, b"%PDF")) + b"\xfe\xff\xdd\xe0\0\0\0\0", UNDEFINED)
    assert value(data, find(data, EXPLICIT, "00091010/1/00420011")) == b"%PDF"


@pytest.mark.parametrize(
    "path", ["", "7FE0001", "7FE00010/", "/7FE00010", "7FE00010/1", "7FE00010/x/7FE00010", "../etc"]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(UsageError):
        parse_path(path)
