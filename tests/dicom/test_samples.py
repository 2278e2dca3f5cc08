"""Every sample is scanned to what pydicom finds in it. What is broken is named here, with the reason."""

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from leadglass.dicom.compare import content_digest
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.reader import PixelData
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from tests.dicom.oracle import LIMITS, assert_same_elements, read, sample_files, scan

#: Name (or its end) → part of the refusal. Anything else must be read.
BROKEN = {
    "MR_truncated.dcm": "cut short",  # pixel data cut off
    "rtplan_truncated.dcm": "cut short",  # a sequence cut off
    "SC_rgb_jpeg.dcm": "no VR",  # Implicit VR under a JPEG transfer syntax, which PS3.5 A.4 makes Explicit VR
    "no_meta.dcm": "not DICOM",  # a stray space before the data set
    "meta_missing_tsyntax.dcm": "not DICOM",  # no transfer syntax, and a first group 0001 that no data set has
}
OTHER_FORMATS = (".dump", ".fdf", ".gz", ".icc", ".json", ".md", ".py", ".txt", "README")
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


def broken(path: Path) -> str:
    """Why `path` must be refused; "" when it must be read."""
    if path.name.endswith(OTHER_FORMATS):
        return "not DICOM"
    if "DICOMDIR" in path.name:
        return "is a DICOMDIR"
    return BROKEN.get(path.name.removeprefix("pydicom__"), "")


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_sample(path: Path) -> None:
    data = path.read_bytes()
    reason = broken(path)
    if reason:
        with pytest.raises(DataSetError, match=reason):
            meta = read_file_meta(BytesIO(data))
            scan(data[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax])
        return
    meta = read_file_meta(BytesIO(data))
    syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
    body = data[meta.data_offset :]
    found = scan(body, syntax)
    dataset = read(body, syntax)
    # winter.dcm has its SOP Instance UID twice, the same both times; pydicom tells the place of the last.
    repeated = frozenset({0x00080018}) if "element-repeated" in found.notes else frozenset()
    assert_same_elements(found, dataset, PIXELS | repeated)
    assert found.length == len(body)
    assert (found.pixel_data is None) == PIXELS.isdisjoint(int(tag) for tag in dataset.keys())  # noqa: SIM118
    for size in (1009, 65536):
        assert scan(body, syntax, size=size) == found
    assert len(content_digest([body], syntax, LIMITS).elements) == 32
    if found.pixel_data is not None and found.pixel_data.length is None:
        assert_same_fragments(found.pixel_data, body, dataset)


def assert_same_fragments(pixels: PixelData, body: bytes, dataset: Dataset) -> None:
    value = dataset.get_item("PixelData")
    assert value is not None
    assert isinstance(value.value, bytes)
    table, *fragments = pydicom.encaps.generate_fragments(BytesIO(value.value))
    assert [body[start : start + length] for start, length in pixels.fragments] == fragments
    assert pixels.offset_table == table
