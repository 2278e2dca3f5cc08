"""What a steward decides about: objects that are held back, and an image that comes again with something painted in."""

from io import BytesIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from tests.clients import ct, store
from tests.hostile.samples import EICAR_FILE, pe, zipped
from tests.served import Served

#: What is painted in: its middle, its radius and how much brighter it is, in stored values.
ROW, COLUMN, RADIUS, BRIGHTER = 323, 330, 14, 60
_STUDY = "2.25.77300"


def send_hostile(archive: Served) -> None:
    """Three objects of two senders, one of them twice."""
    virus = ct(1, study=f"{_STUDY}1", ImageComments=EICAR_FILE.decode())
    store(archive, virus, virus, _with_private(ct(2, study=f"{_STUDY}1"), pe()))
    store(archive, _cut_short(ct(1, study=f"{_STUDY}2")), device="issuing")


def send_forgery(archive: Served, original: bytes) -> None:
    """The image of a file once more, under its own UID, with a bright spot and another description."""
    dataset = pydicom.dcmread(BytesIO(original))
    pixels = dataset.pixel_array.copy()
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[(rows - ROW) ** 2 + (columns - COLUMN) ** 2 <= RADIUS**2] += BRIGHTER
    dataset.PixelData = pixels.tobytes()
    dataset.SeriesDescription = "Head, reprocessed"
    store(archive, _data_set(dataset))


def _cut_short(data_set: bytes) -> bytes:
    """It says that it has twice as many rows as it has."""
    dataset = pydicom.dcmread(BytesIO(data_set), force=True)
    dataset.Rows *= 2
    return _data_set(dataset)


def _with_private(data_set: bytes, payload: bytes) -> bytes:
    dataset = pydicom.dcmread(BytesIO(data_set), force=True)
    block = dataset.private_block(0x0099, "VENDOR", create=True)
    block.add_new(1, "OB", payload + zipped())
    return _data_set(dataset)


def _data_set(dataset: Dataset) -> bytes:
    """Without preamble and meta information, as it goes over an association."""
    written = BytesIO()
    dcmwrite(written, Dataset(dataset), implicit_vr=False, little_endian=True)
    return written.getvalue()
