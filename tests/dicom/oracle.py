"""pydicom as the oracle of the data set reader: what it writes, and what it finds where."""

import os
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_files
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from leadglass.dicom.reader import DataSetScanner, Scan
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import DataSetLimits

EVERYTHING = range(1 << 32)
LIMITS = DataSetLimits(inline_value=1 << 30, held_bytes=1 << 30)


def encode(dataset: Dataset, syntax: TransferSyntax) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian = syntax.little_endian
    buffer.is_implicit_VR = not syntax.explicit_vr
    write_dataset(buffer, dataset)
    data = buffer.getvalue()
    if not syntax.deflated:
        return data
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(data) + deflater.flush()
    return deflated + b"\0" if len(deflated) & 1 else deflated


def inflated(data: bytes, syntax: TransferSyntax) -> bytes:
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS).decompress(data) if syntax.deflated else data


def read(data: bytes, syntax: TransferSyntax) -> Dataset:
    return read_dataset(BytesIO(inflated(data, syntax)), not syntax.explicit_vr, syntax.little_endian)


def scan(data: bytes, syntax: TransferSyntax, *, size: int = 1 << 17, limits: DataSetLimits = LIMITS) -> Scan:
    scanner = DataSetScanner(syntax, limits, wanted=EVERYTHING, wanted_sequences=EVERYTHING)
    for start in range(0, len(data), size):
        scanner.feed(memoryview(data)[start : start + size])
    return scanner.finish()


def raw_elements(dataset: Dataset) -> Iterator[RawDataElement]:
    """The elements that pydicom has not yet interpreted: all but sequences of undefined length."""
    for tag in dataset.keys():  # noqa: SIM118  iterating a Dataset itself interprets its elements
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            yield element


def assert_same_elements(scan: Scan, dataset: Dataset, skip: frozenset[int]) -> None:
    expected = {int(raw.tag): raw for raw in raw_elements(dataset) if int(raw.tag) not in skip and raw.VR != "SQ"}
    for tag, raw in expected.items():
        if tag in scan.sequences:  # pydicom leaves those of defined length, and empty private ones, for later
            continue
        element = scan.elements[tag]
        assert element.value == (raw.value or b"")
        if raw.value_tell:
            assert element.offset == raw.value_tell, raw.tag
        if raw.VR is not None:
            assert element.vr == raw.VR
    assert set(scan.elements) <= set(expected) | {int(tag) for tag in dataset.keys()}  # noqa: SIM118


def sample_files() -> list[Path]:
    """Every file of LEADGLASS_SAMPLES and of pydicom's package that claims to be DICOM."""
    folder = Path(os.environ.get("LEADGLASS_SAMPLES", "../shared/samples"))
    packaged = [Path(name) for name in get_testdata_files()]
    packaged += Path(pydicom.__file__).parent.glob("data/palettes/*")
    return sorted({path for path in [*folder.glob("*.dcm"), *packaged] if path.is_file()})
