from io import BytesIO

import pydicom
import pytest
from pydicom.data import get_testdata_file

from leadglass.dicom.part10 import encode_file_meta, read_file_meta
from leadglass.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLEMENTATION_CLASS_UID, IMPLICIT_LE
from leadglass.errors import DataSetError
from tests.dicom.builders import implicit, short

CT = "1.2.840.10008.5.1.4.1.1.2"


def test_round_trip() -> None:
    data = encode_file_meta(CT, "1.2.3", EXPLICIT_LE)
    file = BytesIO(data + short(0x00080060, b"CS", b"CT"))
    meta = read_file_meta(file)
    assert (meta.transfer_syntax, meta.sop_class, meta.sop_instance) == (EXPLICIT_LE, CT, "1.2.3")
    assert meta.data_offset == len(data) == file.tell()
    assert meta.notes == ()
    oracle = pydicom.dcmread(BytesIO(file.getvalue()))
    assert oracle.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert oracle.file_meta.FileMetaInformationGroupLength == len(data) - 144
    assert oracle.Modality == "CT"


def test_without_a_preamble() -> None:
    data = encode_file_meta(CT, "1.2.3", EXPLICIT_LE)[132:]
    meta = read_file_meta(BytesIO(data + short(0x00080060, b"CS", b"CT")))
    assert (meta.sop_instance, meta.data_offset, meta.notes) == ("1.2.3", len(data), ("no-preamble",))


@pytest.mark.parametrize(
    ("body", "syntax"),
    [
        (short(0x00080016, b"UI", CT.encode() + b"\0") + short(0x00080018, b"UI", b"1.20"), EXPLICIT_LE),
        (implicit(0x00080016, CT.encode() + b"\0") + implicit(0x00080018, b"1.20"), IMPLICIT_LE),
        (b"\0\x08\0\x16UI\0\x04" + b"1.20" + b"\0\x08\0\x18UI\0\x04" + b"1.20", EXPLICIT_BE),
    ],
)
def test_without_meta_information(body: bytes, syntax: str) -> None:
    file = BytesIO(body)
    meta = read_file_meta(file)
    assert (meta.transfer_syntax, meta.sop_instance, meta.data_offset) == (syntax, "1.20", 0)
    assert meta.notes == ("no-preamble", "no-meta", "no-transfer-syntax")
    assert file.tell() == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04" + bytes(200),
        b"\x89PNG\r\n\x1a\n" + bytes(200),
        b"%PDF-1.7" + bytes(200),
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + bytes(40),
        bytes(128) + b"DICM" + b"\x02\0\x02\0OB\0\0\xff\xff\xff\x7f",
        encode_file_meta(CT, "1.2.3", EXPLICIT_LE)[:150],
        encode_file_meta(CT, "not a uid", EXPLICIT_LE),
    ],
)
def test_what_is_not_dicom(data: bytes) -> None:
    with pytest.raises(DataSetError):
        read_file_meta(BytesIO(data))


def test_a_dicomdir_is_named_as_one() -> None:
    name = get_testdata_file("DICOMDIR")
    assert isinstance(name, str)
    with open(name, "rb") as file, pytest.raises(DataSetError, match="DICOMDIR"):  # noqa: PTH123
        read_file_meta(file)
