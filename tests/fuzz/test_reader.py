"""The data set reader against pydicom, and against bytes that nobody meant as a data set."""

import subprocess
import sys
from importlib.util import find_spec
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from leadglass.dicom.compare import content_digest
from leadglass.dicom.reader import DataSetScanner, Scan
from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits
from tests.dicom.oracle import EVERYTHING, LIMITS, assert_same_elements, encode, inflated, read, scan

NATIVE = [TRANSFER_SYNTAXES[uid] for uid in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED)]
JPEG = TRANSFER_SYNTAXES["1.2.840.10008.1.2.4.50"]
PIXELS = frozenset({0x7FE00010})

text = st.text(st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="\\"), max_size=20)
words = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=5)
even_bytes = st.binary(max_size=60).map(lambda raw: raw + b"\0" * (len(raw) & 1))
VALUES = {
    0x00080005: ("CS", st.just("ISO_IR 100")),
    0x00080018: ("UI", st.from_regex(r"[1-9]{1,20}(\.[1-9]{1,5}){1,6}", fullmatch=True)),
    0x00080060: ("CS", st.sampled_from(["CT", "MR"])),
    0x00091010: ("UN", even_bytes),
    0x00091011: ("LO", text),
    0x00091012: ("OB", even_bytes),
    0x00100010: ("PN", text),
    0x00101030: ("DS", st.just("72.5")),
    0x00189074: ("DT", st.just("20200101")),
    0x00189087: ("FD", st.floats(allow_nan=False)),
    0x00280009: ("AT", st.just(0x00181063)),
    0x00280010: ("US", st.integers(0, 0xFFFF)),
    0x00281201: ("OW", even_bytes),
    0x00420011: ("OB", even_bytes),
    0x00660016: ("OF", st.binary(max_size=8).map(lambda raw: raw[: len(raw) // 4 * 4])),
    0x0040A160: ("UT", text),
    0x00080119: ("UC", text),
}
SEQUENCE_TAGS = [0x00081140, 0x00321064, 0x0040A730, 0x00091020]


@st.composite
def datasets(draw: st.DrawFn, depth: int = 3) -> Dataset:
    dataset = Dataset()
    for tag in draw(st.sets(st.sampled_from(sorted(VALUES)))):
        vr, values = VALUES[tag]
        dataset.add(DataElement(tag, vr, draw(values)))
    if depth:
        for tag in draw(st.sets(st.sampled_from(SEQUENCE_TAGS), max_size=2)):
            items = draw(st.lists(datasets(depth=depth - 1), max_size=2))
            for item in items:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            element = DataElement(tag, "SQ", Sequence(items))
            element.is_undefined_length = draw(st.booleans())
            dataset.add(element)
    return dataset


@settings(max_examples=150, deadline=None)
@given(datasets(), st.sampled_from(NATIVE), st.integers(1, 300), st.one_of(st.none(), even_bytes))
def test_finds_what_pydicom_wrote(dataset: Dataset, syntax: TransferSyntax, size: int, pixels: bytes | None) -> None:
    if pixels is not None:
        dataset.add(DataElement(0x7FE00010, "OW", pixels))
    data = encode(dataset, syntax)
    found = scan(data, syntax)
    assert scan(data, syntax, size=size) == found
    again = read(data, syntax)
    assert_same_elements(found, again, PIXELS)
    for tag, items in found.sequences.items():
        if syntax.explicit_vr or tag != 0x00091020:  # a private sequence of defined length shows only in Explicit VR
            assert len(items) == len(again[tag].value)
    if pixels is not None:
        assert found.pixel_data is not None
        assert found.pixel_data.length == len(pixels)
        start = found.pixel_data.offset
        assert inflated(data, syntax)[start : start + len(pixels)] == pixels


@settings(max_examples=60, deadline=None)
@given(
    datasets(depth=1),
    st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 99),
)
def test_finds_encapsulated_frames(dataset: Dataset, frames: list[bytes], has_table: bool, size: int) -> None:
    pixels = DataElement(0x7FE00010, "OB", encapsulate(frames, has_bot=has_table))
    pixels.is_undefined_length = True
    icon = Dataset()
    icon.add(pixels)
    dataset.add(DataElement(0x00880200, "SQ", Sequence([icon])))
    dataset.add(pixels)
    data = encode(dataset, JPEG)
    found = scan(data, JPEG, size=size)
    assert found.pixel_data is not None
    padded = [frame + b"\0" * (len(frame) & 1) for frame in frames]
    assert [data[start : start + length] for start, length in found.pixel_data.fragments] == padded
    assert len(found.pixel_data.offset_table) == (4 * len(frames) if has_table else 0)
    assert data[found.header_length :].startswith(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff")


def drop_words(item: Dataset, element: DataElement) -> None:
    """pydicom leaves the words of OW and OF as they were given, also in big endian."""
    if element.VR in ("OW", "OF"):
        del item[element.tag]


@settings(max_examples=60, deadline=None)
@given(datasets(depth=2), even_bytes)
def test_one_digest_for_every_native_syntax(dataset: Dataset, pixels: bytes) -> None:
    # Implicit VR cannot tell what is in private elements: their words are not swapped back, nor sequences seen.
    for item in [dataset, *(item for tag in SEQUENCE_TAGS if tag in dataset for item in dataset[tag].value)]:
        item.remove_private_tags()
    dataset.walk(drop_words)
    dataset.add(DataElement(0x7FE00010, "OB", pixels))
    digests = {content_digest([encode(dataset, syntax)], syntax, LIMITS) for syntax in NATIVE}
    assert len(digests) == 1
    dataset.add(DataElement(0x00200013, "IS", "7"))
    assert content_digest([encode(dataset, NATIVE[0])], NATIVE[0], LIMITS) not in digests


SMALL = DataSetLimits(depth=4, elements=100, inline_value=64, held_bytes=8192, inflated_bytes=1 << 16, fragments=20)
headers = st.builds(
    lambda tag, vr, length, body: pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, length) + body,
    st.sampled_from([*VALUES, *SEQUENCE_TAGS, 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD]),
    st.sampled_from([b"OB", b"SQ", b"UN", b"US", b"CS", b"\0\0", b"\xff\xff", b"ZZ"]),
    st.sampled_from([0, 2, 8, 0xFFFF]),
    st.sampled_from([b"", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x10\0\0\0", b"abcdefgh"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.binary(max_size=400), st.lists(headers, max_size=20).map(b"".join)),
    st.sampled_from([*NATIVE, JPEG]),
    st.integers(1, 64),
)
def test_arbitrary_bytes_raise_nothing_else(data: bytes, syntax: TransferSyntax, size: int) -> None:
    outcomes: list[Scan | None] = []
    for step in (len(data) + 1, size):
        scanner = DataSetScanner(syntax, SMALL, wanted=EVERYTHING, wanted_sequences=EVERYTHING)
        try:
            for start in range(0, len(data), step):
                scanner.feed(data[start : start + step])
            outcomes.append(scanner.finish())
        except DataSetError as error:
            assert 0 <= error.offset <= max(len(data), SMALL.inflated_bytes * 2)
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_fuzz_target() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_reader", "-runs=20000", "-max_total_time=20", "-seed=1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
