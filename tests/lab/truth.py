"""Synthetic patients whose true numbers are known, and what of them must never be seen in any output."""

from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Study:
    uid: str
    patient_id: str
    name: str
    birth_date: str
    study_date: str
    study_time: str
    images: int
    series: int = 1
    comments: str = ""

    def instances(self) -> list[tuple[str, str]]:
        """Series and SOP Instance UID of each image."""
        return [
            (f"{self.uid}.{1 + number % self.series}", f"{self.uid}.9.{number + 1}") for number in range(self.images)
        ]


@dataclass(frozen=True)
class Truth:
    studies: tuple[Study, ...]

    @property
    def patients(self) -> int:
        return len({(study.patient_id, study.birth_date) for study in self.studies})

    @property
    def series(self) -> int:
        return sum(study.series for study in self.studies)

    @property
    def images(self) -> int:
        return sum(study.images for study in self.studies)

    def secrets(self) -> set[bytes]:
        """Names, identifiers and UIDs as they must never be found anywhere."""
        texts = {text for study in self.studies for text in (study.name, study.patient_id, study.uid, study.comments)}
        names = {name for study in self.studies for name in study.name.split("^")}
        return {text.encode() for text in texts | names if text}


def make(prefix: str, studies: int, *, first_day: date = date(2015, 1, 1), step: int = 3) -> Truth:
    """Every tenth patient has a formatted Social Security number for an ID, the one after it nine bare digits; each
    patient has two studies."""
    made = []
    for number in range(studies):
        patient = number // 2
        day = first_day + timedelta(days=step * number)
        made.append(
            Study(
                uid=f"1.2.826.0.1.3680043.9.9999.{prefix}.{number + 1}",
                patient_id=_patient_id(prefix, patient),
                name=f"Plantedsecret{prefix}x{patient}^Givenname{patient}q",
                birth_date=f"19{50 + patient % 50}0203",
                study_date=f"{day:%Y%m%d}",
                study_time=f"{8 + number % 10:02}{number % 60:02}00",
                images=1 + number % 3,
                series=1 + number % 2 if number % 3 else 1,
            )
        )
    return Truth(tuple(made))


def _patient_id(prefix: str, patient: int) -> str:
    if patient % 10 == 0:
        return f"536-9{int(prefix) % 10}-{4000 + patient}"
    if patient % 10 == 1:
        return f"5379{int(prefix) % 10}{4000 + patient}"
    return f"Pid{prefix}secret{patient}"


def ssns_formatted(truth: Truth) -> int:
    return len({study.patient_id for study in truth.studies if study.patient_id.startswith("536-")})


def ssns_bare(truth: Truth) -> int:
    return len({study.patient_id for study in truth.studies if study.patient_id.startswith("5379")})


def data_set(study: Study, number: int) -> Dataset:
    """One 8×8 image of a study."""
    series, instance = study.instances()[number]
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = SECONDARY_CAPTURE, instance
    image.StudyDate, image.StudyTime, image.AccessionNumber = study.study_date, study.study_time, ""
    image.Modality, image.ConversionType = "OT", "SYN"
    image.PatientName, image.PatientID = study.name, study.patient_id
    image.PatientBirthDate, image.PatientSex = study.birth_date, "O"
    image.StudyInstanceUID, image.SeriesInstanceUID = study.uid, series
    image.StudyID, image.SeriesNumber, image.InstanceNumber = "1", 1, number + 1
    image.Rows = image.Columns = 8
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = bytes(64)
    return image


def part10(study: Study, number: int) -> bytes:
    image = data_set(study, number)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta.MediaStorageSOPClassUID = UID(SECONDARY_CAPTURE)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    encoded = BytesIO()
    image.save_as(encoded, enforce_file_format=True)
    return encoded.getvalue()


def write_files(truth: Truth, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for study in truth.studies:
        for number in range(study.images):
            (folder / f"{study.uid}.{number}.dcm").write_bytes(part10(study, number))
