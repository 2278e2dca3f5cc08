"""Studies for the browser: the generated phantom, and examples that come with pydicom."""

from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from leadglass.cli.phantom import phantom_series
from tests.served import Served

SLICES = 24
PHANTOM = "PHANTOM-1"
EXAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"
#: What each shows → the file.
COMPRESSED = {
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "RLE": "MR_small_RLE.dcm",
}
COLOUR = "examples_rgb_color.dcm"
MULTI_FRAME = "examples_ybr_color.dcm"
REPORT = "reportsi.dcm"
PDF_TEXT = "Leadglass"


def phantom_files() -> dict[str, bytes]:
    return dict(phantom_series(SLICES))


def store_studies(archive: Served) -> None:
    """Imports them; each example becomes a study of its own, since some share their UIDs."""
    folder = archive.folder / "studies"
    folder.mkdir()
    for name, content in phantom_files().items():
        (folder / name).write_bytes(content)
    for number, name in enumerate((*COMPRESSED.values(), COLOUR, MULTI_FRAME, REPORT), start=1):
        example = pydicom.dcmread(EXAMPLES / name)
        _rename(example, name, number)
        example.save_as(folder / name)
    (folder / "pdf").write_bytes(_pdf_object())
    archive.run("import", str(folder))


def study_of(name: str) -> str:
    """The Study Instance UID that an example was given."""
    return f"2.25.{4711_000 + sum(name.encode())}"


def _rename(example: Dataset, name: str, number: int) -> None:
    example.PatientName = f"EXAMPLE^{Path(name).stem}"
    example.PatientID = f"EXAMPLE-{number}"
    example.PatientBirthDate, example.StudyDate, example.StudyTime = "19700101", "20240101", "101500"
    example.StudyDescription = Path(name).stem
    example.StudyInstanceUID = study_of(name)
    example.SeriesInstanceUID = f"{study_of(name)}.1"
    example.SOPInstanceUID = example.file_meta.MediaStorageSOPInstanceUID = UID(f"{study_of(name)}.1.1")
    example.Modality = example.get("Modality") or "OT"


def _pdf_object() -> bytes:
    document = Dataset()
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta.MediaStorageSOPClassUID = document.SOPClassUID = EncapsulatedPDFStorage
    _rename(document, "pdf", 99)
    document.Modality = "DOC"
    document.SeriesNumber = document.InstanceNumber = "1"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.DocumentTitle = "A letter"
    content = _pdf()
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    written = BytesIO()
    document.save_as(written, enforce_file_format=True)
    return written.getvalue()


def _pdf() -> bytes:
    """One page with a black square: the least that a reader shows."""
    drawing = b"0 0 0 rg 100 400 300 300 re f"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
    )
    # As long as real ones, which are bulk data of their own and not within the metadata (PS3.18 F.2.6).
    body = b"%PDF-1.4\n" + b"% a comment\n" * 1000
    offsets = []
    for number, each in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, each)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, entries)
    return body + table + b"trailer<</Size %d/Root 1 0 R>>startxref %d %%%%EOF" % (len(objects) + 1, len(body))
