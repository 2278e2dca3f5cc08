"""Implicit, big endian and deflated data sets in Explicit VR Little Endian: pydicom finds the same in both."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from struct import pack

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import ExplicitVRLittleEndian

from leadglass.dicom.compare import content_digest
from leadglass.dicom.explicit import explicit_little_endian
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits
from tests.dicom.builders import EXPLICIT, IMPLICIT, JPEG, UNDEFINED, implicit, item, long, nested, short
from tests.dicom.oracle import LIMITS, encode, read, sample_files
from tests.dicom.test_samples import broken

BIG = TRANSFER_SYNTAXES[EXPLICIT_BE]


def encoded(data: bytes, syntax: TransferSyntax, *, size: int = 1 << 16, limits: DataSetLimits = LIMITS) -> bytes:
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(explicit_little_endian(chunks, syntax, limits))


def _native_samples() -> Iterator[Path]:
    for path in sample_files():
        if not broken(path):
            meta = read_file_meta(BytesIO(path.read_bytes()))
            if not TRANSFER_SYNTAXES[meta.transfer_syntax].encapsulated:
                yield path


NATIVE = list(_native_samples())


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: path.name)
def test_sample(path: Path) -> None:
    data = path.read_bytes()
    meta = read_file_meta(BytesIO(data))
    body, syntax = data[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax]
    made = encoded(body, syntax)
    assert made == encoded(body, syntax, size=1009)
    assert made == encoded(made, EXPLICIT)
    before = content_digest([body], syntax, LIMITS)
    after = content_digest([made], EXPLICIT, LIMITS)
    assert after.elements == before.elements
    assert_same(read_dataset(BytesIO(made), False, True), read(body, syntax))


@pytest.mark.parametrize("path", [path for path in NATIVE if "expb" in path.name or "big" in path.name])
def test_big_endian_pixels(path: Path) -> None:
    """Cells of 8, 16 and 32 bits, as bytes and as words."""
    source = dcmread(path)
    data = path.read_bytes()
    meta = read_file_meta(BytesIO(data))
    made = read_dataset(
        BytesIO(encoded(data[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax])), False, True
    )
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    assert numpy.array_equal(made.pixel_array, source.pixel_array)


def assert_same(made: Dataset, source: Dataset) -> None:
    for dataset in (made, source):
        for tag in [tag for tag in dataset.keys() if not tag.element]:  # noqa: SIM118
            del dataset[tag]
    correct_ambiguous_vr(source, True)
    assert list(made.keys()) == list(source.keys())
    for one, other in zip(made, source, strict=True):
        if one.VR == "SQ":
            for mine, theirs in zip(one.value, other.value, strict=True):
                assert_same(mine, theirs)
        elif other.VR not in ("OW", "OF", "OD", "OL", "OV"):
            assert one.value == other.value or one.VM != other.VM or one.VR == "UN", one


def test_signedness_follows_the_pixels() -> None:
    data = implicit(0x00280103, b"\1\0") + implicit(0x00280106, b"\xff\xff")
    assert encoded(data, IMPLICIT) == short(0x00280103, b"US", b"\1\0") + short(0x00280106, b"SS", b"\xff\xff")
    data = data.replace(b"\1\0\xff", b"\0\0\xff", 1).replace(b"\x02\0\0\0\1\0", b"\x02\0\0\0\0\0")
    assert encoded(data, IMPLICIT).endswith(short(0x00280106, b"US", b"\xff\xff"))


def test_a_value_too_long_for_its_vr_becomes_unknown() -> None:
    value = b"1" * 0x10000
    assert encoded(implicit(0x00281052, value), IMPLICIT) == long(0x00281052, b"UN", value)


def test_sequences_are_delimited_and_group_lengths_dropped() -> None:
    name = implicit(0x00100010, b"Doe^Jane")
    data = implicit(0x00080000, pack("<I", 24)) + implicit(0x00081140, item(name))
    made = encoded(data, IMPLICIT)
    expected = long(0x00081140, b"SQ", item(short(0x00100010, b"PN", b"Doe^Jane"), UNDEFINED), UNDEFINED)
    assert made == expected + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"


def test_depth_is_bounded() -> None:
    with pytest.raises(DataSetError, match="deeper"):
        encoded(nested(100), EXPLICIT)


def test_encapsulated_pixels_are_not_for_it() -> None:
    with pytest.raises(DataSetError, match="decoded first"):
        encoded(b"", JPEG)


@given(
    st.lists(st.integers(0, 0xFFFF), min_size=0, max_size=40),
    st.floats(allow_nan=False, width=32),
    st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
    st.integers(1, 97),
)
def test_round_trip(words: list[int], real: float, signed: list[int], size: int) -> None:
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    dataset.add_new(0x00189219, "SS", 3)
    dataset.add_new(0x00186060, "FL", real)
    dataset.add_new(0x0072007C, "SL", signed)
    inner = Dataset()
    inner.add_new(0x00281201, "OW", pack(f"<{len(words)}H", *words))
    dataset.add_new(0x00081140, "SQ", [inner, Dataset()])
    little, big = encode(dataset, EXPLICIT), encode(dataset, BIG)
    expected = encoded(little, EXPLICIT)
    assert encoded(encode(dataset, TRANSFER_SYNTAXES[IMPLICIT_LE]), IMPLICIT, size=size) == expected
    swapped = Dataset()
    swapped.update(dataset)
    swapped[0x00081140].value[0][0x00281201].value = pack(f">{len(words)}H", *words)
    assert encoded(encode(swapped, BIG), BIG, size=size) == expected
    assert len(big) == len(little)
    assert TRANSFER_SYNTAXES[EXPLICIT_LE] == EXPLICIT
