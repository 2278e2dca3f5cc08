from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from leadglass.dicom.attributes import decode_attributes, decode_elements, encode_attributes
from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import Attributes, DataSetLimits
from tests.dicom.builders import NAME, item, long, nested, short
from tests.dicom.oracle import encode, raw_elements, read, scan

SYNTAXES = [TRANSFER_SYNTAXES[uid] for uid in (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED)]
LIMITS = DataSetLimits()
QUERY: Attributes = {
    0x00080005: "ISO_IR 192",
    0x00080052: "STUDY",
    0x00080018: "1.2.3\\1.2.45",
    0x00100010: "Müller^*",
    0x00100030: "",
    0x00280009: "00181063",
    0x00280010: "512\\7",
    0x00189087: "1.5\\-2.0",
    0x00400275: ({0x00401001: "RP1"}, {0x00401001: "RP2", 0x00400008: ({0x00080100: "T1"},)}),
    0x00321064: (),
}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_round_trip(syntax: TransferSyntax) -> None:
    data = encode_attributes(QUERY, syntax, ("ISO_IR 192",))
    assert len(data) % 2 == 0
    assert decode_attributes(data, syntax, LIMITS) == QUERY
    oracle = read(data, syntax)
    assert str(oracle.PatientName) == "Müller^*"
    assert oracle.Rows == [512, 7]
    assert oracle.RequestAttributesSequence[1].RequestedProcedureID == "RP2"
    assert encode(oracle, replace(syntax, deflated=False)) == encode_attributes(
        QUERY, replace(syntax, deflated=False), ("ISO_IR 192",)
    )


def test_no_charset_is_stated_for_ascii() -> None:
    data = encode_attributes({0x00100010: "Doe", 0x00080005: "ISO_IR 192"}, SYNTAXES[0], ())
    assert decode_attributes(data, SYNTAXES[0], LIMITS) == {0x00100010: "Doe"}


@pytest.mark.parametrize(
    "attributes",
    [{0x00280010: "wide"}, {0x00280010: "70000"}, {0x00280009: "XYZ"}, {0x7FE00010: "x"}, {0x00100010: "Müller"}],
)
def test_what_cannot_be_encoded(attributes: Attributes) -> None:
    with pytest.raises(DataSetError):
        encode_attributes(attributes, SYNTAXES[1], ())


def test_text_of_elements() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller"
    dataset.Rows = 512
    dataset.FrameIncrementPointer = 0x00181063
    dataset.RecommendedDisplayFrameRateInFloat = 0.1
    dataset.PatientWeight = "72.5"
    dataset.ImageComments = "  two\nlines  "
    dataset.ICCProfile = b"\0\0"
    for syntax in SYNTAXES:
        found = scan(encode(dataset, syntax), syntax)
        texts = decode_elements(found.elements, found.little_endian)
        assert texts[0x00100010] == "Müller"
        assert texts[0x00280010] == "512"
        assert texts[0x00280009] == "00181063"
        assert texts[0x00089459] == "0.100000001"
        assert texts[0x00101030] == "72.5"
        assert texts[0x00204000] == "  two\nlines"
        assert 0x00282000 not in texts


def test_an_item_may_have_its_own_charset() -> None:
    inner = short(0x00080005, b"CS", b"ISO_IR 192") + short(0x00080104, b"LO", "é".encode())
    body = short(0x00080005, b"CS", b"ISO_IR 100") + long(0x00321064, b"SQ", item(inner))
    body += short(0x00400254, b"LO", b"\xe9 ")
    attributes = decode_attributes(body, SYNTAXES[1], LIMITS)
    assert attributes[0x00400254] == "é"
    assert attributes[0x00321064] == ({0x00080005: "ISO_IR 192", 0x00080104: "é"},)


@pytest.mark.parametrize(
    "body",
    [
        NAME + NAME,
        nested(65),
        NAME[:-1],
        long(0x00420011, b"OB", bytes(70_000)),
        NAME * 2,
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(DataSetError):
        decode_attributes(body, SYNTAXES[1], LIMITS)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_what_is_too_long_for_its_vr_goes_as_un(syntax: TransferSyntax) -> None:
    """PS3.5 6.2.2. The list of a thousand failed sub-operations is such a value."""
    listed = "\\".join(f"2.25.{number:058}" for number in range(1100))
    data = encode_attributes({0x00080058: listed}, syntax, ())
    (raw,) = raw_elements(read(data, syntax))
    assert (raw.VR, raw.value) == ("UN" if syntax.explicit_vr else None, listed.encode() + b"\0")
    assert decode_attributes(data, syntax, replace(LIMITS, inline_value=1 << 20)) == {0x00080058: listed}
