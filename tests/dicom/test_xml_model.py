"""The Native DICOM Model (PS3.19 A.1): against dcmtk's dcm2xml, and where that is not enough, against the standard."""

import json
import math
import subprocess
from io import BytesIO
from pathlib import Path
from struct import pack
from xml.etree.ElementTree import Element, fromstring

import pytest

from leadglass.dicom.json_model import JsonWriter
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.dicom.xml_model import XmlForm, XmlWriter, document, xml_of
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits
from tests.clients import packaged_files
from tests.dicom.builders import EXPLICIT, item, long, short
from tests.dicom.oracle import sample_files
from tests.served import peer_program

N = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
LIMITS = DataSetLimits()


def written(data: bytes, syntax: TransferSyntax = EXPLICIT) -> Element:
    writer = XmlWriter(syntax, LIMITS, "/bulkdata/")
    writer.feed(data)
    writer.finish()
    return fromstring(document(writer.text()))  # noqa: S314 - ours


def only(model: Element) -> Element:
    (attribute,) = model
    return attribute


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_every_sample_becomes_xml_that_says_what_json_says(path: Path) -> None:
    data = path.read_bytes()
    try:
        meta = read_file_meta(BytesIO(data))
        syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
        model = written(data[meta.data_offset :], syntax)
    except DataSetError:
        return  # test_samples.py says which these are, and why
    writer = JsonWriter(syntax, LIMITS, "/bulkdata/")
    writer.feed(data[meta.data_offset :])
    writer.finish()
    expected = json.loads(writer.text())
    assert [attribute.get("vr") for attribute in model] == [attribute["vr"] for attribute in expected.values()]
    assert [len(attribute) for attribute in model] == [
        len(each.get("Value", ())) if "Value" in each else len(each) - 1 for each in expected.values()
    ]


def test_dcm2xml_says_the_same() -> None:
    """dcmtk has its own words for private elements and numbers; the other texts must agree."""
    program, compared = peer_program("dcm2xml"), 0
    for path in packaged_files()[:40]:
        try:
            meta = read_file_meta(BytesIO(path.read_bytes()))
            model = written(path.read_bytes()[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax])
        except (DataSetError, KeyError):
            continue
        done = subprocess.run([program, "-nat", "+Ca", "latin-1", str(path)], capture_output=True, check=False)
        if done.returncode or b"<?xml" not in done.stdout:
            continue
        theirs = {each.get("tag"): each for each in fromstring(done.stdout)}  # noqa: S314 - dcmtk's
        for attribute in model:
            if attribute.get("tag") == "00080005":  # ours is always UTF-8
                continue
            other = theirs.get(attribute.get("tag"))
            if other is None or attribute.get("privateCreator") or attribute.get("vr") not in ("CS", "UI", "DA", "US"):
                continue
            values = [value.text or "" for value in attribute.iter(f"{N}Value")]
            assert values == [(value.text or "").strip() for value in other.iter("Value")], (
                path.name,
                other.attrib,
            )
            assert attribute.get("keyword") == other.get("keyword")
            compared += 1
    assert compared > 300


def test_names_have_components() -> None:
    value = "Müller^Jörg^^Dr=山田^太郎".encode()
    data = short(0x00080005, b"CS", b"ISO_IR 192") + short(0x00100010, b"PN", value + b" " * (len(value) & 1))
    name = written(data)[1]
    assert (name.get("keyword"), name.get("vr")) == ("PatientName", "PN")
    person = name.find(f"{N}PersonName")
    assert person is not None
    assert person.get("number") == "1"
    assert [(part.tag, part.text) for part in person.iter() if part.text] == [
        (f"{N}FamilyName", "Müller"),
        (f"{N}GivenName", "Jörg"),
        (f"{N}NamePrefix", "Dr"),
        (f"{N}FamilyName", "山田"),
        (f"{N}GivenName", "太郎"),
    ]


def test_private_elements_name_their_creator() -> None:
    data = short(0x00090011, b"LO", b"ACME") + short(0x00091102, b"LO", b"x ") + short(0x00091203, b"LO", b"y ")
    creator, own, orphan = written(data)
    assert (creator.get("tag"), creator.get("privateCreator")) == ("00090011", None)
    assert (own.get("tag"), own.get("privateCreator")) == ("00090002", "ACME")
    assert (orphan.get("tag"), orphan.get("privateCreator")) == ("00091203", None)


def test_sequences_numbers_and_bulk_data() -> None:
    inner = long(0x00091010, b"OB", bytes(2000))
    (sequence,) = written(long(0x0040A730, b"SQ", item(short(0x00280010, b"US", b"\2\0")) + item(inner)))
    assert [each.get("number") for each in sequence] == ["1", "2"]
    assert only(only(sequence[0])).text == "2"
    assert only(only(sequence[1])).get("uri") == "/bulkdata/0040A730/2/00091010"
    special = written(
        long(0x00091010, b"OB", b"\0\1") + short(0x00189087, b"FD", pack("<3d", math.inf, -math.inf, math.nan))
    )
    assert special[0].findtext(f"{N}InlineBinary") == "AAE="
    assert [value.text for value in special[1]] == ["INF", "-INF", "NaN"]


def test_what_xml_cannot_hold_is_replaced() -> None:
    model = written(short(0x00104000, b"LT", b"a\x1b<b>&\r\nc\x00d "))
    assert only(only(model)).text == "a�<b>&\r\nc�d"
    assert only(fromstring(document(xml_of({0x00100020: 'A"<B'}, XmlForm("")))))[0].text == 'A"<B'  # noqa: S314
