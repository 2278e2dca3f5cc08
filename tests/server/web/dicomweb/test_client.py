"""dicomweb-client, the library that research uses, stores and retrieves; and who may see what."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from leadglass.crypto.keys import KeyFile
from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, ROOT, ct, instance_of, store
from tests.interop.test_every_file import FOLDERS, PACKAGED, samples
from tests.served import Served
from tests.web import add_user, as_user, token_of

STUDY = f"{ROOT}.95"
SERIES = f"{STUDY}.1"


@pytest.fixture(scope="module")
def dicomweb(archive: Served) -> Iterator[DICOMwebClient]:
    add_user(archive, "researcher", "steward")
    session = requests.Session()
    session.trust_env = False
    session.verify = str(archive.keys / KeyFile.CA_CERTIFICATE)
    session.headers["Authorization"] = f"Bearer {token_of(archive, 'researcher')}"
    yield DICOMwebClient(f"https://localhost:{archive.https_port}/dicom-web", session=session)
    session.close()


def dataset(number: int) -> Dataset:
    data = ct(number, study=STUDY, pixels=bytes([number, 0]) * 512)
    return pydicom.dcmread(BytesIO(encode_file_meta(CT, instance_of(data), uids.EXPLICIT_LE) + data))


def test_dicomweb_client_round_trip(dicomweb: DICOMwebClient) -> None:
    sent = [dataset(number) for number in range(1, 4)]
    response = dicomweb.store_instances(sent)
    assert [str(item.ReferencedSOPInstanceUID) for item in response.ReferencedSOPSequence] == [
        each.SOPInstanceUID for each in sent
    ]
    assert dicomweb.retrieve_study(STUDY) == sent
    assert dicomweb.retrieve_series(STUDY, SERIES) == sent
    assert dicomweb.retrieve_instance(STUDY, SERIES, sent[1].SOPInstanceUID) == sent[1]
    (frame,) = dicomweb.retrieve_instance_frames(STUDY, SERIES, sent[2].SOPInstanceUID, [1])
    assert frame == sent[2].PixelData
    (bulk,) = dicomweb.retrieve_bulkdata(
        f"{dicomweb.base_url}/studies/{STUDY}/series/{SERIES}/instances/{sent[0].SOPInstanceUID}/bulkdata/7FE00010"
    )
    assert bulk == sent[0].PixelData
    png = dicomweb.retrieve_instance_rendered(STUDY, SERIES, sent[0].SOPInstanceUID, ("image/png",))
    assert png.startswith(b"\x89PNG")


@FOLDERS
def test_every_sample_round_trips(dicomweb: DICOMwebClient, folder: Path) -> None:
    """Under UIDs of their own, since some share theirs. What pydicom itself reads or writes is tried."""
    came_back = 0
    for number, sample in enumerate(samples(folder)):
        study = f"{STUDY}.{int(folder == PACKAGED)}.{number}"
        place = study, f"{study}.1", f"{study}.1.1"
        try:
            sent = pydicom.dcmread(sample.path)
            sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID = place
            sent.file_meta.MediaStorageSOPInstanceUID = UID(place[2])
            sent.save_as(BytesIO())
        except (InvalidDicomError, ValueError):
            continue
        dicomweb.store_instances([sent])
        (found,) = dicomweb.search_for_instances(*place[:2])
        assert found["00080018"]["Value"] == [place[2]], sample.path
        back = dicomweb.retrieve_instance(*place, media_types=(("application/dicom", "*"),))
        swapped = sent.file_meta.TransferSyntaxUID == uids.EXPLICIT_BE
        assert values_of(back, swapped=swapped) == values_of(sent, swapped=swapped), sample.path
        (described,) = dicomweb.retrieve_series_metadata(*place[:2])
        assert described["00080018"]["Value"] == [place[2]], sample.path
        came_back += 1
    assert came_back > 45


def values_of(dataset: Dataset, *, swapped: bool) -> list[object]:
    """Tags and values, sequences item by item. Group lengths, which are retired, and the padding of odd lengths are
    written as one likes; words whose order was `swapped` are test_samples.py's."""
    found: list[object] = []
    for element in dataset:
        if not element.tag.element:
            continue
        if element.VR == "SQ":
            found.append((element.tag, [values_of(item, swapped=swapped) for item in element.value]))
        elif isinstance(element.value, bytes):
            found.append((element.tag, None if swapped else element.value.rstrip(b"\0")))
        else:
            found.append((element.tag, element.value))
    return found


PATHS = (
    f"/studies/{STUDY}7",
    f"/studies/{STUDY}7/series/{SERIES}",
    f"/studies/{STUDY}7/series/{SERIES}/instances/{STUDY}7.1.1",
    f"/studies/{STUDY}7/series/{SERIES}/instances/{STUDY}7.1.1/frames/1",
    f"/studies/{STUDY}7/series/{SERIES}/instances/{STUDY}7.1.1/bulkdata/7FE00010",
    f"/studies/{STUDY}7/series/{SERIES}/instances/{STUDY}7.1.1/rendered",
    f"/studies/{STUDY}7/thumbnail",
    f"/wado?requestType=WADO&studyUID={STUDY}7&seriesUID={SERIES}&objectUID={STUDY}7.1.1",
)


def test_another_site_is_answered_as_if_there_were_nothing(archive: Served) -> None:
    """Not a byte tells that the study exists."""
    store(archive, ct(study=f"{STUDY}7", series=SERIES + "7", instance=f"{STUDY}7.1.1"))
    with as_user(archive, "clinician", site="north", user="northern") as north, as_user(archive, "clinician") as own:
        for path in (each.replace(SERIES, SERIES + "7") for each in PATHS):
            seen, missing = own.get(f"/dicom-web{path}"), path.replace(f"{STUDY}7", "1.2.3")
            assert seen.status_code == 200, (path, seen.text)
            answers = [north.get(f"/dicom-web{each}") for each in (path, missing)]
            assert [answer.status_code for answer in answers] == [404, 404], path
            assert answers[0].json() == answers[1].json()


def test_a_series_of_another_study_is_not_found(archive: Served) -> None:
    """UIDs have to belong together."""
    store(archive, ct(study=f"{STUDY}8"), ct(study=f"{STUDY}9"))
    with as_user(archive, "clinician") as client:
        assert client.get(f"/dicom-web/studies/{STUDY}8/series/{STUDY}8.1").status_code == 200
        assert client.get(f"/dicom-web/studies/{STUDY}8/series/{STUDY}9.1").status_code == 404
        crossed = f"/dicom-web/studies/{STUDY}8/series/{STUDY}8.1/instances/{STUDY}9.1.1"
        assert client.get(crossed).status_code == 404


def test_who_sees_no_images(archive: Served) -> None:
    store(archive, ct(study=f"{STUDY}6"))
    for role in ("administrator", "auditor"):
        with as_user(archive, role) as client:
            answer: httpx.Response = client.get(f"/dicom-web/studies/{STUDY}6")
            assert answer.status_code == 403, role
