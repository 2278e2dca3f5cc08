"""The JSON model against pydicom's, both ways, and what PS3.18 Annex F asks for beyond."""

import json
import math
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from struct import pack, unpack
from types import MappingProxyType
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from leadglass.dicom.encoding import UNDEFINED
from leadglass.dicom.json_model import JsonForm, JsonWriter, RememberedFragments, json_of
from leadglass.dicom.json_reader import BulkReference, BulkValue, bulk_element, encode_json, parse_data_set
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits
from tests.dicom.builders import END_OF_SEQUENCE, EXPLICIT, IMPLICIT, JPEG, implicit, item, long, nested, short
from tests.dicom.oracle import encode, read, sample_files
from tests.fuzz.test_reader import NATIVE, datasets

LIMITS = DataSetLimits()
UTF_8 = short(0x00080005, b"CS", b"ISO_IR 192")


def written(data: bytes, syntax: TransferSyntax = EXPLICIT, *, size: int = 1 << 20, remembered: Any = None) -> Any:
    writer = JsonWriter(syntax, LIMITS, "/bulkdata/", remembered)
    for start in range(0, len(data), size):
        writer.feed(data[start : start + size])
    writer.finish()
    return json.loads(writer.text())


def encoded(document: Any, sent: Mapping[str, BulkValue] = MappingProxyType({})) -> bytes:
    whole = bytearray()
    for piece in encode_json(document, LIMITS):
        if isinstance(piece, BulkReference):
            whole += b"".join(bulk_element(piece, sent[piece.uri]))
        else:
            whole += piece
    return bytes(whole)


# Against pydicom.


@settings(max_examples=150, deadline=None)
@given(datasets(), st.sampled_from(NATIVE), st.integers(1, 300))
def test_pydicom_reads_what_is_written(dataset: Dataset, syntax: TransferSyntax, size: int) -> None:
    data = encode(dataset, syntax)
    document = written(data, syntax)
    assert written(data, syntax, size=size) == document
    again = Dataset.from_json(json.dumps(document))
    # pydicom leaves the words of OW as they are, whatever the byte order.
    expected = read(data, syntax)
    assert_same(json.loads(again.to_json()), json.loads(expected.to_json()), binary=syntax.little_endian)


@settings(max_examples=100, deadline=None)
@given(datasets())
def test_back_again(dataset: Dataset) -> None:
    data = encode(dataset, TRANSFER_SYNTAXES[EXPLICIT_LE])
    document = written(data)
    again = written(encoded(document))
    again.pop("00080005")
    document.pop("00080005", None)
    assert again == document


@settings(max_examples=200, deadline=None)
@given(
    datasets(),
    st.sampled_from([*NATIVE, JPEG]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
)
def test_whatever_the_bytes_it_is_json_or_refused(
    dataset: Dataset, syntax: TransferSyntax, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(encode(dataset, syntax))
    for place, byte in changes:
        if data:
            data[place % len(data)] = byte
    try:
        document = written(bytes(data), syntax)
    except DataSetError:
        return
    assert list(document) == sorted(document)
    with suppress(DataSetError):  # a code string with an accent, for one
        encoded({name: each for name, each in document.items() if "Bulk" not in str(each)})


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_sample(path: Path) -> None:
    data = path.read_bytes()
    try:
        meta = read_file_meta(BytesIO(data))
        document = written(data[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax])
    except DataSetError:
        return  # test_samples.py says which these are, and why
    dataset = pydicom.dcmread(path, force=True)
    text = dataset.to_json(bulk_data_threshold=1024, bulk_data_element_handler=_reference, suppress_invalid_tags=True)
    assert_same(document, json.loads(text))
    inline = {name: attribute for name, attribute in document.items() if "BulkDataURI" not in str(attribute)}
    inline.pop("00080005", None)
    if path.name != "nested_priv_SQ.dcm":  # a value of odd length comes back padded
        again = written(encoded(inline))
        again.pop("00080005")
        assert again == inline


def _reference(_: object) -> str:
    return "reference"


def assert_same(ours: Any, theirs: Any, *, binary: bool = True) -> None:
    """Equal but for what is left open: private VRs that only pydicom knows, the character set, which is always UTF-8,
    what pydicom leaves out as invalid, padding, and null for an empty value (PS3.18 F.2.5), where pydicom has ""."""
    for name in theirs.keys() | ours.keys():
        if name in ("00080005", "FFFCFFFC") or name.endswith("0000"):
            continue
        if name not in theirs:  # what pydicom could not write
            continue
        mine, other = ours[name], theirs[name]
        if "BulkDataURI" in mine or "BulkDataURI" in other or len(b64decode(other.get("InlineBinary", ""))) > 1024:
            continue
        if mine["vr"] == "UN" != other["vr"]:  # in pydicom's dictionary of private elements
            assert int(name[:4], 16) & 1 or other["vr"] == "SQ"
            continue
        if mine["vr"] == "SQ":
            for one, another in zip(mine.get("Value", ()), other.get("Value", ()), strict=True):
                assert_same(one, another, binary=binary)
            continue
        assert mine["vr"] in other["vr"], name  # pydicom leaves some open: "OB or OW"
        values = [_plain(mine["vr"], value) for value in mine.get("Value", ())]
        assert values == [_plain(mine["vr"], value) for value in other.get("Value", ())], name
        assert not binary or mine.get("InlineBinary", "") == other.get("InlineBinary", ""), name


def _plain(vr: str, value: Any) -> Any:
    if vr == "FL":
        return unpack("<f", pack("<f", float(value)))[0]
    if vr in ("DS", "IS", "FD", "UV", "SV") and value:
        return float(value)
    if isinstance(value, dict):
        return {group: text.strip() for group, text in value.items()}
    return value.strip() if isinstance(value, str) else value or ""


# What Annex F asks for.


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        (b"DS", b"1.50\\-0.25 ", [1.5, -0.25]),
        (b"DS", b"+1.5\\.5\\1.\\007\\1e3 ", [1.5, 0.5, 1.0, 7, 1000.0]),
        (b"DS", b"1,5 ", ["1,5"]),
        (b"DS", b"nan\\1e999\\1_0 ", ["nan", "1e999", "1_0"]),
        (b"IS", b"12\\\\ 3", [12, None, 3]),
        (b"UV", pack("<Q", 2**64 - 1), [str(2**64 - 1)]),
        (b"SV", pack("<q", -5), [-5]),
        (b"FD", pack("<dd", math.inf, math.nan), ["inf", "nan"]),
        (b"FL", pack("<f", 0.1), [0.1]),
        (b"PN", b"A^B=\xe5\xb1\xb1=C", [{"Alphabetic": "A^B", "Ideographic": "山", "Phonetic": "C"}]),
        (b"PN", b"A\\\\=X", [{"Alphabetic": "A"}, None, {"Ideographic": "X"}]),
        (b"AT", b"\x10\x00\x20\x00", ["00100020"]),
        (b"LO", b'a"b\\c\x0c ', ['a"b', "c\x0c"]),
        (b"LT", b"a\\b ", ["a\\b"]),
        (b"SH", b"", None),
        (b"SH", b"  ", None),
        (b"SQ", b"", None),
        (b"SQ", item(b"") + item(short(0x00080100, b"SH", b"T ")), [{}, {"00080100": {"vr": "SH", "Value": ["T"]}}]),
    ],
)
def test_values(vr: bytes, value: bytes, expected: list[Any] | None) -> None:
    value += b" " * (len(value) & 1)
    long_form = vr in (b"UV", b"SV", b"SQ")
    data = UTF_8 + (long if long_form else short)(0x00091010, vr, value)
    attribute = written(data)["00091010"]
    assert attribute == ({"vr": vr.decode()} if expected is None else {"vr": vr.decode(), "Value": expected})


def test_what_is_long_or_pixels_is_bulk_data() -> None:
    inner = long(0x00420011, b"OB", bytes(2000)) + long(0x7FE00010, b"OW", bytes(2000))
    data = (
        long(0x00091010, b"UN", bytes(1024))
        + long(0x00091011, b"UN", bytes(1026))
        + long(0x0040A160, b"UT", b"x" * 60_000)
        + long(0x0040A161, b"UT", b"x" * 70_000)
        + long(0x0040A730, b"SQ", item(b"") + item(inner))
        + long(0x7FE00010, b"OW", b"\0\0")
    )
    document = written(data)
    assert len(document["00091010"]["InlineBinary"]) == 1368
    assert document["00091011"] == {"vr": "UN", "BulkDataURI": "/bulkdata/00091011"}
    assert len(document["0040A160"]["Value"][0]) == 60_000
    assert document["0040A161"]["BulkDataURI"] == "/bulkdata/0040A161"
    assert document["0040A730"]["Value"][1] == {
        "00420011": {"vr": "OB", "BulkDataURI": "/bulkdata/0040A730/2/00420011"},
        "7FE00010": {"vr": "OW", "BulkDataURI": "/bulkdata/0040A730/2/7FE00010"},
    }
    assert document["7FE00010"] == {"vr": "OW", "BulkDataURI": "/bulkdata/7FE00010"}


def test_encapsulated_pixels_are_bulk_data() -> None:
    frames = long(0x7FE00010, b"OB", item(b"") + item(b"\xff\xd8") + END_OF_SEQUENCE, UNDEFINED)
    icon = long(0x00880200, b"SQ", item(frames))
    assert written(icon + frames, JPEG) == {
        "00880200": {
            "vr": "SQ",
            "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "/bulkdata/00880200/1/7FE00010"}}],
        },
        "7FE00010": {"vr": "OB", "BulkDataURI": "/bulkdata/7FE00010"},
    }


def test_the_text_of_one_instance_is_bounded() -> None:
    data = b"".join(long(0x00091000 + number, b"UT", b"x" * 65_000) for number in range(200))
    kept = [attribute for attribute in written(data).values() if "Value" in attribute]
    assert len(kept) == 8 * 1024 * 1024 // 65_000


def test_tags_ascend_and_group_lengths_are_left_out() -> None:
    data = (
        short(0x00100000, b"UL", pack("<I", 10))
        + short(0x00100020, b"LO", b"P ")
        + short(0x00080060, b"CS", b"CT")
        + short(0x00100020, b"LO", b"Q ")
        + long(0xFFFCFFFC, b"OB", b"\0\0")
    )
    document = written(data)
    assert list(document) == ["00080060", "00100020"]
    assert document["00100020"]["Value"] == ["Q"]


def test_an_item_may_have_a_character_set_of_its_own() -> None:
    greek = short(0x00080005, b"CS", b"ISO_IR 126") + short(0x00080104, b"LO", "Ω ".encode("iso8859_7"))
    plain = short(0x00080104, b"LO", b"\xe9 ")
    data = short(0x00080005, b"CS", b"ISO_IR 100") + long(0x0040A730, b"SQ", item(greek) + item(plain)) + plain
    first, second = written(data)["0040A730"]["Value"]
    assert first["00080104"]["Value"] == ["Ω"]
    assert first["00080005"]["Value"] == ["ISO_IR 192"]
    assert second["00080104"]["Value"] == ["é"]


def test_signs_of_implicit_values_are_those_of_the_pixels() -> None:
    for representation, vr, value in ((0, "US", 65535), (1, "SS", -1)):
        data = implicit(0x00280103, pack("<H", representation)) + implicit(0x00280120, b"\xff\xff")
        assert written(data, IMPLICIT)["00280120"] == {"vr": vr, "Value": [value]}


def test_known_elements_under_unknown_vr_keep_their_meaning() -> None:
    data = long(0x00090010, b"UN", b"ACME") + long(0x00100020, b"UN", b"P1") + long(0x00280010, b"UN", b"\x02\0")
    document = written(data)
    assert [document[name]["vr"] for name in ("00090010", "00100020", "00280010")] == ["LO", "LO", "US"]
    assert document["00280010"]["Value"] == [2]


def test_fragments_are_remembered_for_what_governs_them() -> None:
    remembered = RememberedFragments()
    name = short(0x00100010, b"PN", b"\xe9\xe9")
    assert written(name, remembered=remembered)["00100010"]["Value"] == [{"Alphabetic": "éé"}]
    greek = short(0x00080005, b"CS", b"ISO_IR 126") + name
    assert written(greek, remembered=remembered)["00100010"]["Value"] == [{"Alphabetic": "ιι"}]
    signed = implicit(0x00280103, b"\1\0") + implicit(0x00280120, b"\xff\xff")
    assert written(signed, IMPLICIT, remembered=remembered)["00280120"]["Value"] == [-1]
    assert written(implicit(0x00280120, b"\xff\xff"), IMPLICIT, remembered=remembered)["00280120"]["Value"] == [65535]


def test_nesting_is_bounded() -> None:
    document = written(nested(64))
    for _ in range(64):
        document = document["00081140"]["Value"][0]
    assert document == {}
    with pytest.raises(DataSetError):
        written(nested(65))


def test_answers_of_a_query() -> None:
    form = JsonForm("")
    answer = {0x00100010: "Doe^J", 0x00201208: "12", 0x00280010: "512\\7", 0x00080061: "CT\\MR", 0x00080050: ""}
    assert json.loads(json_of({**answer, 0x00400275: ({0x00400009: "S"},)}, form)) == {
        "00080050": {"vr": "SH"},
        "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J"}]},
        "00201208": {"vr": "IS", "Value": [12]},
        "00280010": {"vr": "US", "Value": [512, 7]},
        "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S"]}}]},
    }


# JSON to bytes.


def test_bulk_data_stream_in() -> None:
    document = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller", "Phonetic": "X"}]},
        "00180050": {"vr": "DS", "Value": [1 / 3, "2.50", None]},
        "00420011": {"vr": "OB", "BulkDataURI": "cid:pdf"},
        "7FE00010": {"vr": "OB", "BulkDataURI": "cid:pixels"},
        "00020010": {"vr": "UI", "Value": ["1.2"]},
    }
    sent = {
        "cid:pdf": BulkValue(3, [b"%P", b"D"]),
        "cid:pixels": BulkValue(UNDEFINED, [item(b""), item(b"\xff\xd8"), END_OF_SEQUENCE]),
    }
    dataset = read(encoded(document, sent), EXPLICIT)
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert str(dataset.PatientName) == "Müller==X"
    assert [str(value) for value in dataset.SliceThickness] == ["0.33333333333333", "2.50", ""]
    assert dataset.EncapsulatedDocument == b"%PD\0"
    assert dataset.PixelData == item(b"") + item(b"\xff\xd8")
    assert 0x00020010 not in dataset


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"0010": {"vr": "LO"}},
        {"00100020": {"vr": "XX"}},
        {"00100020": "P1"},
        {"00100020": {"vr": "LO", "Value": "P1"}},
        {"00100020": {"vr": "LO", "Value": [5]}},
        {"00100010": {"vr": "PN", "Value": ["Doe"]}},
        {"00280010": {"vr": "US", "Value": [70000]}},
        {"00280010": {"vr": "US", "Value": ["wide"]}},
        {"00280009": {"vr": "AT", "Value": ["x"]}},
        {"00091010": {"vr": "OB", "InlineBinary": "%%%%"}},
        {"00091010": {"vr": "OB", "Value": [1]}},
        {"00091010": {"vr": "OB", "InlineBinary": "", "BulkDataURI": "x"}},
        {"00091010": {"vr": "OB", "BulkDataURI": 5}},
        {"0040A730": {"vr": "SQ", "Value": [5]}},
        {"0040a730": {"vr": "SQ"}, "0040A730": {"vr": "SQ"}},
        {"00100020": {"vr": "LO", "Value": ["x" * 70_000]}},
    ],
)
def test_what_is_no_data_set(document: Any) -> None:
    with pytest.raises(DataSetError):
        encoded(document)


def test_what_is_no_document() -> None:
    for text in (b"{", b"[" * 100_000, b"5", b"[5]", b'{"00180050": NaN}', b"\xff"):
        with pytest.raises(DataSetError):
            parse_data_set(text)
    assert parse_data_set(b"{}") == {}
    deep: Any = {}
    for _ in range(70):
        deep = {"0040A730": {"vr": "SQ", "Value": [deep]}}
    with pytest.raises(DataSetError):
        encoded(deep)
