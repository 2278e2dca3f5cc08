"""Synthetic corpora, written once into the work directory. Pixels are noise, so that nothing gains by compression."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from uuid import UUID

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
)

_CREATOR = "LEADGLASS BENCH"
_FAMILY = ("SCHMIDT", "GARCIA", "NGUYEN", "JOHANSSON", "OKAFOR", "ROSSI", "KOWALSKI", "TANAKA", "PHANTOM", "MUELLER")
_GIVEN = ("ANNA", "BRUNO", "CARLA", "DMITRI", "ELENA", "FARID", "GRETA", "HIRO", "INES", "JAMAL")


@dataclass(frozen=True, slots=True)
class Corpus:
    """`objects` files in series of `series` objects, one series a study; each has rows × columns × 16 bit noise."""

    name: str
    modality: str
    sop_class: str
    objects: int
    rows: int
    columns: int
    series: int = 100
    private_elements: int = 50

    def study_uid(self, number: int) -> str:
        return make_uid(f"{self.name} study {number}", 0)

    def series_uid(self, number: int) -> str:
        return make_uid(f"{self.name} series {number}", 1)

    def instance_uid(self, number: int) -> str:
        return make_uid(f"{self.name} instance", number)

    def patient_id(self, number: int) -> str:
        return f"{self.modality}{number:07d}"


def ct(objects: int) -> Corpus:
    return Corpus("ct", "CT", CTImageStorage, objects, 512, 512)


def mr(objects: int) -> Corpus:
    return Corpus("mr", "MR", MRImageStorage, objects, 128, 128)


def studies(objects: int) -> Corpus:
    """One small object a study, for queries."""
    return Corpus("studies", "MR", MRImageStorage, objects, 8, 8, series=1, private_elements=0)


def make_uid(name: str, number: int) -> str:
    """About 57 characters, like those of scanners; equal for equal arguments."""
    root = UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4).int
    return f"2.25.{root}.{number + 10**11}"


def write(corpus: Corpus, work: Path) -> tuple[Path, ...]:
    """The corpus's files in the order of sending; written if they are not there yet."""
    folder = work / f"corpus-{corpus.name}-{corpus.objects}"
    done = folder / "complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        noise = random.Random(corpus.name)
        for number in range(corpus.objects):
            path = _path(folder, number)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(_object(corpus, number, noise))
        done.touch()
    return tuple(_path(folder, number) for number in range(corpus.objects))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number // 1000:04d}" / f"{number:07d}.dcm"


def _object(corpus: Corpus, number: int, noise: random.Random) -> bytes:
    image = _header(corpus, number // corpus.series, number)
    image.add_new(0x7FE00010, "OW", noise.randbytes(corpus.rows * corpus.columns * 2))
    return _encode(image)


def _encode(image: Dataset) -> bytes:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dcmwrite(file, image, enforce_file_format=True)
    return file.getvalue()


def _header(corpus: Corpus, series: int, number: int) -> Dataset:
    image = Dataset()
    _identify(image, corpus, series, number)
    _describe(image, number)
    _lay_out(image, corpus)
    block = image.private_block(0x0019, _CREATOR, create=True)
    for offset in range(corpus.private_elements):
        block.add_new(offset, "LO", f"parameter {offset} of {number}")
    return image


def _identify(image: Dataset, corpus: Corpus, series: int, number: int) -> None:
    image.SOPClassUID = corpus.sop_class
    image.SOPInstanceUID = corpus.instance_uid(number)
    image.StudyInstanceUID = corpus.study_uid(series)
    image.SeriesInstanceUID = corpus.series_uid(series)
    image.FrameOfReferenceUID = make_uid(f"{corpus.name} frame {series}", 0)
    image.PatientID = corpus.patient_id(series)
    image.PatientName = f"{_FAMILY[series % 10]}{series // 100}^{_GIVEN[series // 10 % 10]}"
    image.PatientBirthDate = f"{1930 + series % 80}0{1 + series % 9}1{series % 10}"
    image.PatientSex = "MF"[series % 2]
    image.AccessionNumber = f"A{series:09d}"
    image.StudyID = str(series)
    image.StudyDate = image.SeriesDate = image.ContentDate = f"202{series % 6}0{1 + series % 9}{10 + series % 18}"
    image.StudyTime = image.SeriesTime = image.ContentTime = f"{8 + series % 10:02d}{series % 60:02d}30"
    image.Modality = corpus.modality
    image.SeriesNumber = 1
    image.InstanceNumber = number % corpus.series + 1


def _describe(image: Dataset, number: int) -> None:
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.InstitutionName = "BENCH HOSPITAL"
    image.StationName = "SCANNER1"
    image.ReferringPhysicianName = "REFERRER^ONE"
    image.PerformingPhysicianName = "PERFORMER^TWO"
    image.OperatorsName = "OPERATOR^THREE"
    image.Manufacturer = "SYNTHETIC"
    image.ManufacturerModelName = "NOISE 16"
    image.DeviceSerialNumber = "4711"
    image.SoftwareVersions = "1.0"
    image.StudyDescription = "BENCH STUDY"
    image.SeriesDescription = "BENCH SERIES 2.5"
    image.ProtocolName = "BENCH PROTOCOL"
    image.BodyPartExamined = "HEAD"
    image.PatientPosition = "HFS"
    image.PatientAge = "050Y"
    image.PatientWeight = 70
    image.PatientSize = 1.75
    image.SliceThickness = 2.5
    image.SliceLocation = number * 2.5
    image.ImagePositionPatient = [-125, -125, number * 2.5]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PositionReferenceIndicator = ""
    image.AcquisitionNumber = 1
    image.AcquisitionDate = "20250101"
    image.AcquisitionTime = "101112.500000"
    image.ContrastBolusAgent = ""
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.ScheduledProcedureStepID = "SPS1"
    image.RequestAttributesSequence = [request]


def _lay_out(image: Dataset, corpus: Corpus) -> None:
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows = corpus.rows
    image.Columns = corpus.columns
    image.PixelSpacing = [0.5, 0.5]
    image.BitsAllocated = 16
    image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.RescaleIntercept = -1024
    image.RescaleSlope = 1
    image.WindowCenter = 40
    image.WindowWidth = 400


def write_multi_frame(work: Path, mebibytes: int) -> tuple[Corpus, Path]:
    """One Multi-frame Grayscale Word Secondary Capture object with `mebibytes` MiB of pixels, written as a stream."""
    sop_class = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    corpus = Corpus(f"multi-frame-{mebibytes}", "OT", sop_class, 1, 512, 512)
    path = work / f"{corpus.name}.dcm"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            for chunk in _multi_frame_chunks(corpus, mebibytes):
                file.write(chunk)
        partial.rename(path)
    return corpus, path


def _multi_frame_chunks(corpus: Corpus, mebibytes: int) -> Iterator[bytes]:
    image = _header(corpus, 0, 0)
    image.NumberOfFrames = mebibytes * 2
    image.ConversionType = "WSD"
    image.FrameIncrementPointer = 0x00181063
    image.FrameTime = 40
    # Explicit VR: tag, OW, two reserved bytes and a length of 32 bits (PS3.5 7.1.2).
    yield _encode(image) + b"\xe0\x7f\x10\x00OW\0\0" + (mebibytes << 20).to_bytes(4, "little")
    noise = random.Random(corpus.name)
    block = noise.randbytes(64 << 20)
    for start in range(0, mebibytes << 20, len(block)):
        yield block[: (mebibytes << 20) - start]
