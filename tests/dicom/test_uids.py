import pydicom
import pytest

from leadglass.dicom import tags, uids
from leadglass.dicom.dictionary import keyword_of, tag_of, vr_of
from leadglass.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, parse_uid
from leadglass.errors import DataSetError


def test_transfer_syntaxes() -> None:
    assert len(TRANSFER_SYNTAXES) >= 50
    assert TRANSFER_SYNTAXES[uids.EXPLICIT_BE].little_endian is False
    assert TRANSFER_SYNTAXES[uids.IMPLICIT_LE].explicit_vr is False
    assert TRANSFER_SYNTAXES[uids.DEFLATED].deflated
    assert TRANSFER_SYNTAXES["1.2.840.10008.1.2.8.1"].encapsulated
    for uid in ("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.6.2"):
        assert uid not in TRANSFER_SYNTAXES
    for uid, syntax in TRANSFER_SYNTAXES.items():
        known = pydicom.uid.UID(uid)
        if known.is_transfer_syntax and known.type == "Transfer Syntax":
            assert syntax.explicit_vr is not known.is_implicit_VR
            assert syntax.little_endian is known.is_little_endian
            assert syntax.encapsulated is known.is_compressed
            assert syntax.deflated is known.is_deflated


def test_storage_sop_classes() -> None:
    assert len(STORAGE_SOP_CLASSES) > 190
    assert STORAGE_SOP_CLASSES["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"
    assert "1.2.840.10008.5.1.4.1.1.3" in STORAGE_SOP_CLASSES  # retired
    assert uids.MEDIA_STORAGE_DIRECTORY not in STORAGE_SOP_CLASSES
    assert not any("Commitment" in name for name in STORAGE_SOP_CLASSES.values())


@pytest.mark.parametrize("raw", [b"1.2.3\0", "1.2.3 ", "1.2.3", b"1.2.3\0\0"])
def test_padding_is_stripped(raw: bytes | str) -> None:
    assert parse_uid(raw) == "1.2.3"


@pytest.mark.parametrize("raw", [b"", "", "1..2", ".1", "1.", "1.2a", "1." + "2" * 63, b"1.\xff", "１.2", "1.2\n"])
def test_what_is_no_uid(raw: bytes | str) -> None:
    with pytest.raises(DataSetError):
        parse_uid(raw)
    assert parse_uid("1.02.3") == "1.02.3"


def test_constants() -> None:
    assert len(uids.IMPLEMENTATION_VERSION_NAME) <= 16
    assert parse_uid(uids.IMPLEMENTATION_CLASS_UID)
    named = {name: tag for name, tag in vars(tags).items() if name.isupper()}
    for name, tag in named.items():
        assert keyword_of(tag).upper() == name.replace("_", ""), name
        assert tag_of(keyword_of(tag)) == tag


def test_dictionary() -> None:
    for tag in (0x00100010, 0x0020000D, 0x00081140, 0x60023000, 0x00204001):
        if pydicom.datadict.dictionary_has_tag(tag):
            assert vr_of(tag) in pydicom.datadict.dictionary_VR(tag)
    assert vr_of(0x00280106) == "US"
    assert vr_of(0x7FE00010) == "OW"
    assert vr_of(0x00090010) == "LO"
    assert vr_of(0x00091010) == "UN"
    assert vr_of(0x00090000) == "UL"
    assert keyword_of(0x00091010) == "00091010"
    with pytest.raises(KeyError):
        tag_of("NoSuchKeyword")


def test_storage_sop_classes_of_today_and_of_patients_only() -> None:
    # In PS3.6 since 2024, whatever release of the table is packaged.
    assert STORAGE_SOP_CLASSES["1.2.840.10008.5.1.4.1.1.66.7"] == "Label Map Segmentation Storage"
    assert STORAGE_SOP_CLASSES["1.2.840.10008.5.1.4.1.1.66.8"] == "Height Map Segmentation Storage"
    # Non-Patient Object Storage, PS3.4 GG.3
    for uid in ("1.2.840.10008.5.1.4.38.1", "1.2.840.10008.5.1.4.39.1", "1.2.840.10008.5.1.4.1.1.201.1"):
        assert uid not in STORAGE_SOP_CLASSES
