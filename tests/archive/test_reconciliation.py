"""Whose study is it? A study belongs to its first claim; what claims it otherwise is kept, acknowledged and invisible
until a steward accepts it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from leadglass.dicom import tags, uids
from leadglass.dicom.dictionary import tag_of
from leadglass.dimse.status import IDENTITY_CONFLICT, SUCCESS
from leadglass.model import Attributes
from tests.archive.review import accept, instances_on_record, listed, only, reject
from tests.clients import CT, ROOT, connected, ct, find, get, store
from tests.interop.dcmtk import saved
from tests.served import Served

_numbers = count(1)


@pytest.fixture
def study() -> Iterator[str]:
    """A Study Instance UID that no other test uses."""
    yield f"{ROOT}.30.{next(_numbers)}"


def put(archive: Served, data_set: bytes, device: str = "scanner") -> None:
    """Every store here succeeds: a sender never learns what somebody else holds."""
    (response,) = store(archive, data_set, device=device)
    assert (response.status, response.error_comment) == (SUCCESS, "")


def statuses(archive: Served, *data_sets: bytes) -> list[int]:
    return [response.status for response in store(archive, *data_sets, device="north-scanner")]


def shown(archive: Served, study: str, device: str = "workstation") -> dict[str, bytes]:
    return get(archive, {tags.STUDY_INSTANCE_UID: study}, device=device)[2]


def patients(archive: Served, study: str, device: str = "workstation") -> list[tuple[object, object]]:
    keys = {tags.STUDY_INSTANCE_UID: study, tags.PATIENT_ID: "", tags.ISSUER_OF_PATIENT_ID: ""}
    answers = find(archive, "STUDY", keys, device=device)
    return [(answer[tags.PATIENT_ID], answer.get(tags.ISSUER_OF_PATIENT_ID)) for answer in answers]


def test_a_study_of_another_patient(archive: Served, study: str) -> None:
    first, second = ct(1, study=study), ct(2, study=study, patient_id="P-2", patient_name="Other^Patient")
    put(archive, first)
    put(archive, second)
    assert shown(archive, study) == {f"{study}.1.1": first}
    assert [patient for patient, _ in patients(archive, study)] == ["P-1"]
    assert find(archive, "STUDY", {tags.PATIENT_ID: "P-2", tags.STUDY_INSTANCE_UID: study}) == []
    assert find(archive, "IMAGE", {tags.STUDY_INSTANCE_UID: study, tags.SOP_INSTANCE_UID: f"{study}.1.2"}) == []
    review = only(archive, f"{study}.1.2")
    assert review.reason == "study-of-another-patient-or-site"
    told = archive.run("review", "show", str(review.number))
    for fact in ("Other^Patient", "P-2", "Planted^Patient", "P-1"):
        assert fact in told
    before = instances_on_record(archive)

    accept(archive, review)
    assert shown(archive, study) == {f"{study}.1.1": first, f"{study}.1.2": second}
    assert [patient for patient, _ in patients(archive, study)] == ["P-1"]
    (answer,) = find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""})
    assert answer[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] == "2"
    assert instances_on_record(archive) == before
    put(archive, second)
    assert instances_on_record(archive) == before


def test_a_rejected_object_of_another_patient(archive: Served, study: str) -> None:
    first, second = ct(1, study=study), ct(2, study=study, patient_id="P-2")
    put(archive, first)
    put(archive, second)
    reject(archive, only(archive, f"{study}.1.2"))
    assert shown(archive, study) == {f"{study}.1.1": first}
    put(archive, second)
    assert listed(archive, f"{study}.1.2") == []


def test_later_objects_of_the_owner_are_shown(archive: Served, study: str) -> None:
    first, second, third = ct(1, study=study), ct(2, study=study, patient_id="P-2"), ct(3, study=study)
    for data_set in (first, second, third):
        put(archive, data_set)
    assert shown(archive, study) == {f"{study}.1.1": first, f"{study}.1.3": third}


def test_a_series_of_another_study(archive: Served, study: str) -> None:
    series = f"{study}.9"
    first = ct(1, study=study, series=series)
    second = ct(2, study=f"{study}.5", series=series)
    put(archive, first)
    put(archive, second)
    assert shown(archive, f"{study}.5") == {}
    review = only(archive, f"{study}.5.1.2")
    assert review.reason == "series-of-another-study"
    accept(archive, review)
    assert shown(archive, f"{study}.5") == {f"{study}.5.1.2": second}
    assert shown(archive, study) == {f"{study}.1.1": first}


def test_a_study_of_another_site(archive: Served, study: str) -> None:
    """The same patient, the same study: only the site differs."""
    first, second = ct(1, study=study), ct(2, study=study)
    put(archive, first)
    put(archive, second, device="north-scanner")
    assert shown(archive, study) == {f"{study}.1.1": first}
    assert shown(archive, study, device="north-viewer") == {}
    assert patients(archive, study, device="north-viewer") == []
    assert only(archive, f"{study}.1.2").reason == "study-of-another-patient-or-site"


def test_the_same_instance_from_another_site(archive: Served, study: str) -> None:
    """Other pixels are refused by the site that owns the study only."""
    original, forged = ct(study=study), ct(study=study, pixels=bytes(512))
    put(archive, original)
    before = instances_on_record(archive)
    put(archive, original, device="north-scanner")
    assert instances_on_record(archive) == before + 1
    assert statuses(archive, original, forged, original) == [SUCCESS, SUCCESS, SUCCESS]
    assert instances_on_record(archive) == before + 2
    alone = f"{study}.4"
    nowhere_else = ct(study=alone), ct(study=alone, pixels=bytes(512)), ct(study=alone)
    assert statuses(archive, *nowhere_else) == [SUCCESS, IDENTITY_CONFLICT, SUCCESS]
    assert shown(archive, study) == {f"{study}.1.1": original}
    assert shown(archive, study, device="north-viewer") == {}


def test_a_hidden_version_never_blocks_the_genuine_one(archive: Served, study: str) -> None:
    """Neither under another patient nor another issuer, nor in a series of another study; rejected or not."""
    put(archive, ct(1, study=study))
    put(archive, ct(2, study=study, patient_id="P-2", pixels=bytes(512)))
    put(archive, ct(3, study=study, patient_id="P-2", pixels=bytes(512)))
    put(archive, ct(4, study=study), device="issuing")
    put(archive, ct(5, study=f"{study}.5", series=f"{study}.1", instance=f"{study}.1.5", pixels=bytes(512)))
    reject(archive, only(archive, f"{study}.1.3"))
    reject(archive, only(archive, f"{study}.1.5"))

    genuine = {f"{study}.1.{number}": ct(number, study=study) for number in range(1, 5)}
    for data_set in genuine.values():
        put(archive, data_set)
    assert shown(archive, study) == genuine
    put(archive, ct(5, study=f"{study}.5", instance=f"{study}.1.5"))
    assert list(shown(archive, f"{study}.5")) == [f"{study}.1.5"]


def test_other_pixels_under_another_patient_are_unverified(archive: Served, study: str) -> None:
    original, other = ct(study=study), ct(study=study, patient_id="P-2", pixels=bytes(512))
    put(archive, original)
    before = instances_on_record(archive)
    put(archive, other)
    put(archive, other)
    assert only(archive, f"{study}.1.1").reason == "study-of-another-patient-or-site"
    assert instances_on_record(archive) == before + 1
    assert shown(archive, study) == {f"{study}.1.1": original}


def test_a_version_that_was_accepted_into_another_site_is_known_to_its_sender(archive: Served, study: str) -> None:
    put(archive, ct(1, study=study))
    moved = ct(2, study=study)
    put(archive, moved, device="north-scanner")
    accept(archive, only(archive, f"{study}.1.2"))
    assert list(shown(archive, study)) == [f"{study}.1.1", f"{study}.1.2"]
    before = instances_on_record(archive)
    put(archive, moved, device="north-scanner")
    put(archive, moved)
    assert instances_on_record(archive) == before
    assert listed(archive, f"{study}.1.2") == []
    # Its owner may refuse other pixels now; elsewhere nobody is told.
    (refused,) = store(archive, ct(2, study=study, pixels=bytes(512)))
    assert refused.status == IDENTITY_CONFLICT
    assert statuses(archive, ct(2, study=study, pixels=bytes(512))) == [SUCCESS]


def test_an_accepted_version_of_another_site_supersedes_the_owners(archive: Served, study: str) -> None:
    original, corrected = ct(study=study), ct(study=study, patient_name="Corrected^Name")
    put(archive, original)
    put(archive, corrected, device="north-scanner")
    before = instances_on_record(archive)
    accept(archive, only(archive, f"{study}.1.1"))
    images = find(archive, "IMAGE", {tags.STUDY_INSTANCE_UID: study, tags.SOP_INSTANCE_UID: ""})
    assert [image[tags.SOP_INSTANCE_UID] for image in images] == [f"{study}.1.1"]
    assert shown(archive, study) == {f"{study}.1.1": corrected}
    (answer,) = find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""})
    assert answer[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] == "1"
    assert instances_on_record(archive) == before


def test_sites_see_their_own_studies(archive: Served, study: str) -> None:
    put(archive, ct(study=study), device="north-scanner")
    assert list(shown(archive, study, device="north-viewer")) == [f"{study}.1.1"]
    assert shown(archive, study) == {}
    for level in ("STUDY", "SERIES", "IMAGE"):
        assert find(archive, level, {tags.STUDY_INSTANCE_UID: study}) == []
    patient = {tags.PATIENT_ID: "", tags.STUDY_INSTANCE_UID: study}
    assert find(archive, "STUDY", patient) == []


def identities(archive: Served, *studies: str) -> set[tuple[object, object]]:
    return {identity for study in studies for identity in patients(archive, study)}


def test_empty_patient_ids_never_join(archive: Served, study: str) -> None:
    one, other = f"{study}.1", f"{study}.2"
    put(archive, ct(study=one, patient_id="", patient_name="No^Identifier"))
    put(archive, ct(study=other, patient_id="", patient_name="No^Identifier"))
    keys: Attributes = {tags.PATIENT_NAME: "No^Identifier", tags.NUMBER_OF_PATIENT_RELATED_STUDIES: ""}
    with connected(archive, "workstation", (uids.PATIENT_ROOT_FIND, uids.EXPLICIT_LE)) as workstation:
        answers = list(workstation.find(uids.PATIENT_ROOT_FIND, {**keys, tags.QUERY_RETRIEVE_LEVEL: "PATIENT"}))[:-1]
    assert [answer[tags.NUMBER_OF_PATIENT_RELATED_STUDIES] for _, answer in answers] == ["1", "1"]
    # Within one study they are one patient.
    put(archive, ct(2, study=one, patient_id="", patient_name="No^Identifier"))
    assert len(shown(archive, one)) == 2


def test_an_issuer_comes_from_the_device(archive: Served, study: str) -> None:
    own = f"{study}.1"
    put(archive, ct(study=study), device="issuing")
    put(archive, ct(study=own, IssuerOfPatientID="CLINIC"), device="issuing")
    assert identities(archive, study, own) == {("P-1", "HOSPITAL"), ("P-1", "CLINIC")}
    put(archive, ct(2, study=study))
    assert list(shown(archive, study)) == [f"{study}.1.1"]
    assert only(archive, f"{study}.1.2").reason == "study-of-another-patient-or-site"


def test_two_patients_of_one_id_never_go_out_as_one(archive: Served, study: str) -> None:
    hospital, clinic = ct(study=f"{study}.1", patient_id="P-2"), ct(study=f"{study}.2", patient_id="P-2")
    put(archive, hospital, device="issuing")
    put(archive, clinic)

    def got(**keys: str) -> tuple[int, str, list[bytes]]:
        asked = {tags.PATIENT_ID: "P-2", **{tag_of(keyword): value for keyword, value in keys.items()}}
        level = "STUDY" if "StudyInstanceUID" in keys else "PATIENT"
        response, _, received = get(archive, asked, level=level, root=uids.PATIENT_ROOT_GET)
        return response.status, response.error_comment, list(received.values())

    assert got() == (0xA900, "Several patients have this Patient ID; name its issuer.", [])
    assert got(IssuerOfPatientID="HOSPITAL") == (SUCCESS, "", [hospital])
    assert got(IssuerOfPatientID="ELSEWHERE") == (SUCCESS, "", [])
    assert got(StudyInstanceUID=f"{study}.2") == (SUCCESS, "", [clinic])
    assert got(StudyInstanceUID=f"{study}.2", IssuerOfPatientID="HOSPITAL") == (SUCCESS, "", [])


def test_an_issuer_comes_from_an_import(archive: Served, study: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "one.dcm", ct(study=study))
    assert "1 stored" in archive.run("import", str(path), "--issuer", "MEDIA")
    assert identities(archive, study) == {("P-1", "MEDIA")}
    assert "1 already there" in archive.run("import", str(path), "--issuer", "MEDIA")


def test_an_import_for_another_site(archive: Served, study: str, tmp_path: Path) -> None:
    data_set = ct(study=study)
    path = saved(tmp_path / "one.dcm", data_set)
    assert "1 stored" in archive.run("import", str(path), "--site", "north")
    assert shown(archive, study, device="north-viewer") == {f"{study}.1.1": data_set}
    assert shown(archive, study) == {}
    before = instances_on_record(archive)
    assert "1 already there" in archive.run("import", str(path), "--site", "north")
    put(archive, data_set, device="north-scanner")
    assert instances_on_record(archive) == before
    assert "1 kept for review" in archive.run("import", str(path))


def test_an_import_goes_by_the_data_set(archive: Served, study: str, tmp_path: Path) -> None:
    """The File Meta Information is often left over from before an anonymiser changed the data set."""
    data_set = ct(study=study)
    path = saved(tmp_path / "one.dcm", data_set)
    content = path.read_bytes()
    path.write_bytes(content.replace(f"{study}.1.1".encode(), f"{study}.7.7".encode(), 1))
    assert path.read_bytes() != content
    assert "1 stored" in archive.run("import", str(path))
    assert shown(archive, study) == {f"{study}.1.1": data_set}


def test_nothing_is_overwritten(empty_archive: Served, study: str) -> None:
    """Every version of a long quarrel is on record at the end, whole."""
    archive = empty_archive
    versions = [
        ct(study=study),
        ct(study=study, patient_name="Corrected^Name"),
        ct(study=study, patient_id="P-2"),
        ct(study=study, series=f"{study}.8"),
        ct(study=study, AccessionNumber="A-2"),
    ]
    for data_set in versions:
        put(archive, data_set)
        assert get(archive, {tags.STUDY_INSTANCE_UID: study}, (CT, uids.EXPLICIT_LE))[2] == {
            f"{study}.1.1": versions[0]
        }
    for data_set in versions:
        put(archive, data_set)
    assert instances_on_record(archive) == len(versions)
    for review in listed(archive, f"{study}.1.1"):
        accept(archive, review)
        assert len(shown(archive, study)) == 1
    assert shown(archive, study) == {f"{study}.1.1": versions[-1]}
    assert instances_on_record(archive) == len(versions)
