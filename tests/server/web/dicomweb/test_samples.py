"""Every packaged file through the web: frames as pydicom cuts them, bulk data, transcoded, rendered."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from leadglass.dicom import uids
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from tests.clients import ROOT, packaged_files
from tests.interop.test_every_file import reason
from tests.served import Served
from tests.server.web.dicomweb.test_retrieve import AS_STORED, VIEWER, parts
from tests.web import as_user

#: A file of each kind of pixels: native, big endian, one bit, several fragments, colour, many frames.
NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_expb_32bit_2frame.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_jpeg2k.dcm",
    "examples_ybr_color.dcm",
    "image_dfl.dcm",
    "liver_nonbyte_aligned.dcm",
    "rtdose_expb.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "color3d_jpeg_baseline.dcm",
)
LOSSLESS = ("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_2frame.dcm")


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored file, and its path on the server."""

    file: Path
    url: str

    @property
    def dataset(self) -> Dataset:
        return pydicom.dcmread(self.file)


@pytest.fixture(scope="module")
def client(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "steward") as steward:
        yield steward


@pytest.fixture(scope="module")
def kept(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kept]:
    """Some files share their UIDs: each gets its own."""
    folder = tmp_path_factory.mktemp("samples")
    found = {}
    for number, path in enumerate(packaged_files()):
        if path.name in NAMES and path.name not in found and not reason(path):
            dataset = pydicom.dcmread(path)
            uid = UID(f"{ROOT}.90.{number}")
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            dataset.save_as(folder / path.name)
            content = (folder / path.name).read_bytes()
            answer = client.post("/dicom-web/studies", content=content, headers={"Content-Type": "application/dicom"})
            assert answer.status_code == 200, (path, answer.text)
            url = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
            if client.get(url, headers={"Accept": AS_STORED}).status_code == 200:
                found[path.name] = Kept(folder / path.name, url)
    return found


def test_frames_are_those_of_pydicom(client: httpx.Client, kept: dict[str, Kept]) -> None:
    compared = 0
    for name, each in kept.items():
        dataset = each.dataset
        count = int(dataset.get("NumberOfFrames") or 1)
        answer = client.get(f"{each.url}/frames/{','.join(map(str, range(1, count + 1)))}", headers={"Accept": VIEWER})
        if answer.status_code == 404:
            continue
        syntax = dataset.file_meta.TransferSyntaxUID
        received = parts(answer)
        assert len(received) == count, name
        if TRANSFER_SYNTAXES[syntax].encapsulated:
            expected = list(generate_frames(dataset.PixelData, number_of_frames=count))
            assert [body for _, body in received] == expected, name
            assert all(kind.endswith(f"transfer-syntax={syntax}") for kind, _ in received)
        elif dataset.BitsAllocated > 1 and dataset.PhotometricInterpretation != "YBR_FULL_422":
            little = numpy.frombuffer(b"".join(body for _, body in received), f"<u{dataset.BitsAllocated // 8}")
            assert little.tobytes() == native(dataset).tobytes(), name
            assert all(kind.endswith(f"transfer-syntax={uids.EXPLICIT_LE}") for kind, _ in received)
        compared += 1
    assert compared >= 12


def native(dataset: Dataset) -> numpy.ndarray:
    order = ">" if dataset.file_meta.TransferSyntaxUID == uids.EXPLICIT_BE else "<"
    words = numpy.frombuffer(dataset.PixelData, f"{order}u{dataset.BitsAllocated // 8}")
    count = int(dataset.get("NumberOfFrames") or 1) * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    return words[:count].astype(words.dtype.newbyteorder("<"))


def test_what_the_web_never_carries_is_converted(client: httpx.Client, kept: dict[str, Kept]) -> None:
    for name in ("MR_small_bigendian.dcm", "MR_small_implicit.dcm"):
        ((_, body),) = parts(client.get(kept[name].url, headers={"Accept": AS_STORED}))
        back = pydicom.dcmread(BytesIO(body))
        assert back.file_meta.TransferSyntaxUID == uids.EXPLICIT_LE
        assert numpy.array_equal(back.pixel_array, kept[name].dataset.pixel_array)


def test_lossless_pixels_are_decoded_unless_asked_for_as_stored(client: httpx.Client, kept: dict[str, Kept]) -> None:
    for name in LOSSLESS:
        for target, accept in (
            (uids.EXPLICIT_LE, 'multipart/related; type="application/dicom"'),
            ("1.2.840.10008.1.2.5", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.5'),
        ):
            ((_, body),) = parts(client.get(kept[name].url, headers={"Accept": accept}))
            back = pydicom.dcmread(BytesIO(body))
            assert back.file_meta.TransferSyntaxUID == target
            source = kept["MR_small.dcm"].dataset if "MR" in name else kept[name].dataset
            assert numpy.array_equal(pixel_array(back, raw=True), pixel_array(source, raw=True)), name


def test_bulk_data_and_ranges(client: httpx.Client, kept: dict[str, Kept]) -> None:
    pixels = kept["CT_small.dcm"].dataset.PixelData
    url = f"{kept['CT_small.dcm'].url}/bulkdata/7FE00010"
    octets = {"Accept": "application/octet-stream"}
    whole = client.get(url, headers=octets)
    assert (whole.status_code, whole.content, whole.headers["accept-ranges"]) == (200, pixels, "bytes")
    assert parts(client.get(url)) == [(f"application/octet-stream; transfer-syntax={uids.EXPLICIT_LE}", pixels)]
    for asked, start, stop in (("0-9", 0, 10), ("100-", 100, len(pixels)), ("-5", len(pixels) - 5, len(pixels))):
        part = client.get(url, headers=octets | {"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, pixels[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(pixels)}"
    outside = client.get(url, headers=octets | {"Range": f"bytes={len(pixels)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(pixels)}")
    for ignored in ("bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-"):
        assert client.get(url, headers=octets | {"Range": ignored}).content == pixels
    head = client.head(url, headers=octets)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(pixels)))
    assert client.get(f"{url}/1/7FE00010", headers=octets).status_code == 404
    assert client.get(f"{url[:-8]}../etc", headers=octets).status_code in (400, 404)
    assert client.get(f"{url[:-8]}zz", headers=octets).status_code == 400


def test_rendered(client: httpx.Client, kept: dict[str, Kept]) -> None:
    url = kept["CT_small.dcm"].url
    jpeg = client.get(f"{url}/rendered")
    assert jpeg.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(jpeg.content)).size == (128, 128)
    png = client.get(f"{url}/frames/1/rendered?window=40,400,linear&viewport=64,64", headers={"Accept": "image/png"})
    assert (png.headers["content-type"], Image.open(BytesIO(png.content)).size) == ("image/png", (64, 64))
    worse = client.get(f"{url}/rendered?quality=5")
    assert len(worse.content) < len(jpeg.content)
    study = url.partition("/series/")[0]
    for place in (url, study):
        assert max(Image.open(BytesIO(client.get(f"{place}/thumbnail").content)).size) == 128
    ((kind, _),) = parts(client.get(f"{study}/rendered", headers={"Accept": 'multipart/related; type="image/png"'}))
    assert kind == "image/png"


@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [
        ("annotation=patient", "*/*", 400),
        ("iccprofile=srgb", "*/*", 400),
        ("quality=0", "*/*", 400),
        ("quality=101", "*/*", 400),
        ("quality=x", "*/*", 400),
        ("window=40", "*/*", 400),
        ("window=40,nan", "*/*", 400),
        ("window=40,0,linear", "*/*", 400),
        ("window=40,400,cubic", "*/*", 400),
        ("viewport=0,0", "*/*", 400),
        ("viewport=100000,100000", "*/*", 400),
        ("viewport=1,2,3", "*/*", 400),
        ("", "image/gif", 406),
        ("", "application/dicom", 406),
        ("accept=image/png", "image/*", 200),
    ],
)
def test_rendering_parameters(
    client: httpx.Client, kept: dict[str, Kept], query: str, accept: str, status: int
) -> None:
    answer = client.get(f"{kept['CT_small.dcm'].url}/rendered?{query}", headers={"Accept": accept})
    assert answer.status_code == status, answer.text


def uri(kept: Kept, query: str) -> str:
    _, study, _, series, _, instance = kept.url.partition("/dicom-web/")[2].split("/")
    return f"/dicom-web/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={instance}&{query}"


def test_wado_uri(client: httpx.Client, kept: dict[str, Kept]) -> None:
    small, rle = kept["CT_small.dcm"], kept["MR_small_RLE.dcm"]
    file = client.get(uri(small, "contentType=application/dicom"))
    assert file.headers["content-type"] == "application/dicom"
    assert pydicom.dcmread(BytesIO(file.content)) == small.dataset
    plain = client.get(uri(rle, "contentType=application/dicom"))
    assert pydicom.dcmread(BytesIO(plain.content)).file_meta.TransferSyntaxUID == uids.EXPLICIT_LE
    stored = client.get(uri(rle, "contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.5"))
    assert pydicom.dcmread(BytesIO(stored.content)).PixelData == rle.dataset.PixelData
    shown = client.get(uri(small, "rows=32&columns=100&windowCenter=40&windowWidth=400&imageQuality=50"))
    assert (shown.headers["content-type"], Image.open(BytesIO(shown.content)).size) == ("image/jpeg", (32, 32))
    corner = client.get(uri(small, "contentType=image/png&region=0,0,0.5,0.25"))
    assert Image.open(BytesIO(corner.content)).size == (64, 32)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("anonymize=yes", 400),
        ("annotation=patient", 400),
        ("presentationUID=1.2.3", 400),
        ("contentType=video/mp4", 406),
        ("contentType=application/dicom%3Btransfer-syntax=1.2.840.10008.1.2.1", 400),
        ("contentType=application/dicom&transferSyntax=1.2.840.10008.1.2", 406),
        ("contentType=application/dicom&transferSyntax=nonsense", 400),
        ("contentType=application/dicom&rows=10", 400),
        ("transferSyntax=1.2.840.10008.1.2.1", 400),
        ("windowCenter=40", 400),
        ("rows=0", 400),
        ("region=0,0,2,2", 400),
        ("frameNumber=2", 404),
        ("objectUID=1.2.3", 404),
    ],
)
def test_wrong_wado_uri(client: httpx.Client, kept: dict[str, Kept], query: str, status: int) -> None:
    answer = client.get(uri(kept["CT_small.dcm"], query))
    assert answer.status_code == status, answer.text
