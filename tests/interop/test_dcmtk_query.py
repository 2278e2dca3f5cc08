"""dcmtk's findscu: levels, both information models, every kind of matching, character sets, C-CANCEL."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileDataset

from leadglass.dicom.charset import parse_charsets
from leadglass.dimse.status import SUCCESS
from tests.clients import ROOT, ct, store
from tests.interop.dcmtk import findscu, query_file, run, saved
from tests.served import Served

UIDS = f"{ROOT}.40"
HEAD, CHEST, THIRD = f"{UIDS}.1", f"{UIDS}.2", f"{UIDS}.3"
CANCELLED = f"{UIDS}.4"

#: Specific Character Set → the patient's name in it, and how it may be asked for.
NAMES = {
    "ISO_IR 100": ("Buc^Jérôme", "buc^jer*"),
    "ISO_IR 144": ("Люкceмбypг", "Люкc*"),
    "ISO_IR 126": ("Διονυσιος", "Διον*"),
    "ISO 2022 IR 6\\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田*"),
    "ISO 2022 IR 13\\ISO 2022 IR 87": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "*太郎"),
    "ISO_IR 192": ("Wang^XiaoDong=王^小东", "王*"),
    "GB18030": ("Zhang^San=张^三", "张*"),
}


@pytest.fixture(scope="module")
def filled(archive: Served) -> Served:
    head: dict[str, Any] = {"StudyDescription": "Head routine", "SeriesDescription": "Axial", "StudyDate": "20240102"}
    chest: dict[str, Any] = {
        "StudyDescription": "Chest",
        "Modality": "PT",
        "StudyDate": "20240315",
        "StudyTime": "235900",
    }
    sets = [
        *(ct(number, study=HEAD, patient_id="Q-1", patient_name="Query^Anna", **head) for number in (1, 2, 3)),
        ct(1, study=HEAD, series=f"{HEAD}.2", instance=f"{HEAD}.2.1", patient_id="Q-1", patient_name="Query^Anna",
           **{**head, "Modality": "SR", "SeriesDescription": "Report"}),
        ct(1, study=CHEST, patient_id="Q-2", patient_name="Query^Bert", AccessionNumber="A-2", **chest),
        ct(1, study=THIRD, patient_id="Q-3", patient_name="Doe^Jane", AccessionNumber="A-3", StudyDate="20231231"),
    ]  # fmt: skip
    assert [response.status for response in store(archive, *sets)] == [SUCCESS] * len(sets)
    return archive


def values(answers: Sequence[FileDataset], keyword: str) -> list[str]:
    return sorted(str(answer.get(keyword)) for answer in answers)


def charset_of(answer: FileDataset) -> str:
    told = answer.SpecificCharacterSet
    return told if isinstance(told, str) else "\\".join(told)


@pytest.mark.parametrize("root", ["-S", "-P"])
def test_every_level(filled: Served, tmp_path: Path, root: str) -> None:
    patient = ["PatientID=Q-1"] if root == "-P" else []
    if root == "-P":
        (found,) = findscu(filled, tmp_path / "p", "QueryRetrieveLevel=PATIENT", "PatientID=Q-1", "PatientName",
                           "NumberOfPatientRelatedStudies", "NumberOfPatientRelatedInstances", root=root)  # fmt: skip
        assert (found.PatientName, found.NumberOfPatientRelatedStudies) == ("Query^Anna", 1)
        assert found.NumberOfPatientRelatedInstances == 4
        assert found.QueryRetrieveLevel == "PATIENT"
    (study,) = findscu(filled, tmp_path / "s", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={HEAD}",
                       "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "ModalitiesInStudy",
                       "StudyDescription", *patient, root=root)  # fmt: skip
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 4)
    assert sorted(study.ModalitiesInStudy) == ["CT", "SR"]
    assert study.StudyDescription == "Head routine"
    assert study.RetrieveAETitle == "LEADGLASS"
    above = [f"StudyInstanceUID={HEAD}", *patient]
    series = findscu(filled, tmp_path / "e", "QueryRetrieveLevel=SERIES", "SeriesInstanceUID", "Modality",
                     "NumberOfSeriesRelatedInstances", *above, root=root)  # fmt: skip
    assert {(each.Modality, each.NumberOfSeriesRelatedInstances) for each in series} == {("CT", 3), ("SR", 1)}
    above.append(f"SeriesInstanceUID={HEAD}.1")
    images = findscu(filled, tmp_path / "i", "QueryRetrieveLevel=IMAGE", "SOPInstanceUID", "SOPClassUID",
                     "InstanceNumber", "Rows", *above, root=root)  # fmt: skip
    assert values(images, "SOPInstanceUID") == [f"{HEAD}.1.{number}" for number in (1, 2, 3)]
    assert {image.Rows for image in images} == {16}


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (["PatientName=Query*"], [HEAD, CHEST]),
        (["PatientName=query^anna"], [HEAD]),
        (["PatientName=*ANN*"], [HEAD]),
        (["PatientName=Query^?ert"], [CHEST]),
        (["PatientName=Query^?nn"], []),
        (["PatientID=Q-?"], [HEAD, CHEST, THIRD]),
        (["PatientID=q-1"], []),
        (["StudyDate=20240102"], [HEAD]),
        (["StudyDate=20240101-20240401"], [HEAD, CHEST]),
        (["StudyDate=20240103-", "PatientID=Q*"], [CHEST]),
        (["StudyDate=-20231231", "PatientID=Q*"], [THIRD]),
        (["StudyTime=230000-", "PatientID=Q*"], [CHEST]),
        (["AccessionNumber=A-3"], [THIRD]),
        (["AccessionNumber=A-?", "PatientID=Q-2"], [CHEST]),
        ([f"StudyInstanceUID={HEAD}\\{THIRD}"], [HEAD, THIRD]),
        (["ModalitiesInStudy=PT", "PatientID=Q*"], [CHEST]),
        (["ModalitiesInStudy=SR\\PT", "PatientID=Q*"], [HEAD, CHEST]),
        (["StudyDescription=*routine", "PatientID=Q*"], [HEAD]),
        (["PatientName=*", "PatientID=Q*"], [HEAD, CHEST, THIRD]),
        (["PatientName=Nobody"], []),
    ],
    ids=lambda value: " ".join(value)[:40].replace(UIDS, "…") if isinstance(value, list) else None,
)
def test_matching(filled: Served, tmp_path: Path, keys: list[str], found: list[str]) -> None:
    asked = dict.fromkeys(["QueryRetrieveLevel=STUDY", "StudyInstanceUID", *keys])
    if any(key.startswith("StudyInstanceUID=") for key in keys):
        del asked["StudyInstanceUID"]
    answers = findscu(filled, tmp_path / "found", *asked)
    assert [uid for uid in values(answers, "StudyInstanceUID") if uid.startswith(f"{UIDS}.")] == sorted(found)


def test_sequence_matching(archive: Served, tmp_path: Path) -> None:
    study = f"{UIDS}.7"
    item = Dataset()
    item.RequestedProcedureID, item.ScheduledProcedureStepID = "RP-1", "SPS-1"
    data_set = ct(study=study, patient_id="Q-7", RequestAttributesSequence=[item])  # type: ignore[arg-type]
    assert store(archive, data_set)[0].status == SUCCESS
    keys = ["QueryRetrieveLevel=SERIES", f"StudyInstanceUID={study}", "SeriesInstanceUID"]
    sequence = "RequestAttributesSequence[0]"
    for value, count in (("RP-1", 1), ("RP-*", 1), ("RP-2", 0)):
        wanted = [f"{sequence}.RequestedProcedureID={value}", f"{sequence}.ScheduledProcedureStepID"]
        answers = findscu(archive, tmp_path / value.replace("*", "x"), *keys, *wanted)
        assert len(answers) == count
        for answer in answers:
            assert answer.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS-1"


@pytest.mark.parametrize("charset", NAMES)
def test_character_sets(archive: Served, tmp_path: Path, charset: str) -> None:
    """Asked and answered in the same set; and asked in UTF-8."""
    name, pattern = NAMES[charset]
    study = f"{UIDS}.8.{list(NAMES).index(charset) + 1}"
    data_set = ct(study=study, patient_id=study[-40:], patient_name=name, SpecificCharacterSet=charset.split("\\"))  # type: ignore[arg-type]
    assert store(archive, data_set)[0].status == SUCCESS
    for number, asked_in in enumerate((charset, "ISO_IR 192")):
        keys = Dataset()
        keys.SpecificCharacterSet = asked_in.split("\\")
        keys.QueryRetrieveLevel = "STUDY"
        keys.PatientName = pattern
        keys.StudyInstanceUID = ""
        query = query_file(tmp_path / f"{number}.dcm", keys)
        answers = findscu(archive, tmp_path / f"answers-{number}", query=query)
        (answer,) = [each for each in answers if each.StudyInstanceUID == study]
        assert str(answer.PatientName) == name
        assert parse_charsets(charset_of(answer)) == parse_charsets(asked_in)


def test_cancel(archive: Served, tmp_path: Path) -> None:
    """An answer of many writes: the C-CANCEL after the first match comes long before the last."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(700):
        data_set = ct(number, study=CANCELLED, instance=f"{CANCELLED}.1.{number + 1}", pixels=bytes(32))
        saved(folder / f"{number}.dcm", data_set)
    assert archive.run("import", str(folder)).startswith("700 stored")
    keys = ["QueryRetrieveLevel=IMAGE", f"StudyInstanceUID={CANCELLED}", f"SeriesInstanceUID={CANCELLED}.1"]
    wanted = ["SOPInstanceUID", "SOPClassUID", "InstanceNumber", "PatientName", "StudyDescription", "Rows", "Columns"]
    options = [word for key in [*keys, *wanted] for word in ("-k", key)]
    done = run(archive, "findscu", "workstation", "-S", "--cancel", "1", *options)
    assert done.returncode == 0, done.stdout
    # The program may be slower than all the answers; test_pynetdicom.py has a cancel that cannot lose the race.
    lost_the_race = "Find Response: 700 (Pending)" in done.stdout
    assert "Received Final Find Response (Cancel" in done.stdout or lost_the_race
    # The association goes on.
    assert len(findscu(archive, tmp_path / "all", *keys, "SOPInstanceUID")) == 700
