"""A DICOMDIR as others read it."""

from io import BytesIO
from pathlib import Path
from subprocess import run

import pydicom
import pytest
from pydicom.fileset import FileSet

from leadglass.dicom import tags
from leadglass.dicom.dicomdir import Entry, dicomdir, record_type
from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.errors import UsageError
from tests.served import peer_program

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
NAME = "Müller^Jürgen=山田^太郎"


def entry(study: int, series: int, number: int, sop_class: str = CT) -> Entry:
    return Entry(
        file_id=("DICOM", f"S{study}{series:06}", f"I{number:07}"),
        sop_class=sop_class,
        sop_instance=f"2.25.{study}.{series}.{number}",
        transfer_syntax=EXPLICIT_LE,
        attributes={
            tags.PATIENT_NAME: NAME,
            tags.PATIENT_ID: "PAT-1",
            tags.STUDY_INSTANCE_UID: f"2.25.{study}",
            tags.STUDY_DATE: "20260105",
            tags.SERIES_INSTANCE_UID: f"2.25.{study}.{series}",
            tags.MODALITY: "CT",
            tags.SERIES_NUMBER: str(series),
            tags.INSTANCE_NUMBER: str(number),
        },
    )


ENTRIES = tuple(entry(study, series, number) for study in (1, 2) for series in (1, 2) for number in (1, 2, 3))


def test_pydicom_reads_what_it_names(tmp_path: Path) -> None:
    made = dicomdir((*ENTRIES, entry(2, 3, 1, SR)), "2.25.99")
    directory = pydicom.dcmread(BytesIO(made))
    kinds = [record.DirectoryRecordType for record in directory.DirectoryRecordSequence]
    series = ["SERIES", "IMAGE", "IMAGE", "IMAGE"]
    assert kinds == ["PATIENT", "STUDY", *series, *series, "STUDY", *series, *series, "SERIES", "SR DOCUMENT"]
    assert directory.DirectoryRecordSequence[0].PatientName == NAME
    for each in (*ENTRIES, entry(2, 3, 1, SR)):
        path = tmp_path.joinpath(*each.file_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "DICOMDIR").write_bytes(made)
    found = FileSet(tmp_path / "DICOMDIR")  # follows the offsets
    assert sorted(str(instance.SOPInstanceUID) for instance in found) == sorted(
        each.sop_instance for each in (*ENTRIES, entry(2, 3, 1, SR))
    )


def test_dcmtk_reads_it(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(dicomdir(ENTRIES, "2.25.99"))
    done = run([peer_program("dcmdump"), "+L", str(tmp_path / "DICOMDIR")], capture_output=True, text=True, check=True)
    assert done.stdout.count("[IMAGE]") == len(ENTRIES)
    assert not done.stderr


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [(CT, "IMAGE"), (SR, "SR DOCUMENT"), ("1.2.840.10008.5.1.4.1.1.88.59", "KEY OBJECT DOC"), ("1.2.3", "IMAGE")],
)
def test_kinds_of_records(sop_class: str, kind: str) -> None:
    assert record_type(sop_class) == kind


def test_bounds() -> None:
    with pytest.raises(UsageError):
        dicomdir((), "2.25.99")
    long = Entry(("A",), CT, "2.25.1", EXPLICIT_LE, {tags.PATIENT_NAME: "x" * 5000})
    records = pydicom.dcmread(BytesIO(dicomdir((entry(1, 1, 1), long), "2.25.9"))).DirectoryRecordSequence
    assert records[4].PatientName == ""
