"""WADO-RS metadata from outside: what an instance says beside its pixels, at once after each change, to whom it may."""

import json
import sqlite3
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from leadglass.archive.archive import ArchiveConfig, open_archive
from leadglass.archive.preparation import LOOKS
from leadglass.archive.provision import server_chains
from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom.uids import STORAGE_SOP_CLASSES
from leadglass.dimse.status import SUCCESS
from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.door import WebDoor
from tests.archive.opened import put
from tests.archive.review import accept, only, reject
from tests.clients import ROOT, connected, ct, packaged_files, part10, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.web import add_user, as_user, browser, token_of

PLAIN = {"accept-encoding": "identity"}
XML = 'multipart/related; type="application/dicom+xml"'


@pytest.fixture(scope="module")
def client(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "clinician") as client:
        yield client


@pytest.fixture(scope="module")
def north(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "clinician", site="north") as client:
        yield client


def metadata(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(f"/dicom-web/studies/{path}/metadata")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    found: list[dict[str, Any]] = answer.json()
    return found


def numbers(client: httpx.Client, study: str) -> list[int]:
    return [each["00200013"]["Value"][0] for each in metadata(client, f"{study}/series/{study}.1")]


def test_a_study_a_series_and_an_instance(archive: Served, client: httpx.Client) -> None:
    study = f"{ROOT}.80"
    store(archive, *(ct(number, study=study) for number in (2, 1)), ct(3, study=study, series=f"{study}.7"))
    assert len(metadata(client, study)) == 3
    assert numbers(client, study) == [1, 2]
    (one,) = metadata(client, f"{study}/series/{study}.1/instances/{study}.1.2")
    assert one == metadata(client, f"{study}/series/{study}.1")[1]
    assert one["00100010"]["Value"] == [{"Alphabetic": "Planted^Patient"}]
    assert one["7FE00010"] == {
        "vr": "OW",
        "BulkDataURI": f"{client.base_url}/dicom-web/studies/{study}/series/{study}.1/instances/{study}.1.2"
        "/bulkdata/7FE00010",
    }


def test_never_stale(archive: Served, client: httpx.Client) -> None:
    """A prepared document does not outlive a store, a revision or a steward's decision."""
    study = f"{ROOT}.81"
    store(archive, *(ct(number, study=study) for number in range(1, 21)))
    for last in range(21, 25):
        assert numbers(client, study) == numbers(client, study) == list(range(1, last))
        store(archive, ct(last, study=study))
    revised = ct(7, study=study, SliceLocation="9.5")
    store(archive, revised, device="reviser")
    assert metadata(client, f"{study}/series/{study}.1")[6]["00201041"]["Value"] == [9.5]
    beside = ct(8, study=study, SliceLocation="8.5")
    store(archive, beside)
    assert "00201041" not in metadata(client, f"{study}/series/{study}.1")[7]
    accept(archive, only(archive, f"{study}.1.8"))
    assert metadata(client, f"{study}/series/{study}.1")[7]["00201041"]["Value"] == [8.5]
    store(archive, ct(30, study=study, patient_id="P-9"))
    assert len(numbers(client, study)) == 24
    accept(archive, only(archive, f"{study}.1.30"))
    assert len(numbers(client, study)) == 25
    store(archive, ct(31, study=study, patient_id="P-9"))
    reject(archive, only(archive, f"{study}.1.31"))
    assert len(numbers(client, study)) == 25


def test_what_was_prepared_ahead_goes_out_as_it_is(copied: Copied, tmp_path: Path) -> None:
    """To whoever comes by the name that the certificate has first."""
    study = f"{ROOT}.86"
    served = copied(tmp_path)
    add_user(served, "reader", "clinician")
    token = token_of(served, "reader")
    archive = open_archive(served.data, served.keys, ArchiveConfig())
    try:
        for number in range(1, 21):
            put(archive, ct(number, study=study))
        door = WebDoor(archive, WebConfig(), server_chains(KeyDirectory.open(served.keys)), "127.0.0.1", 0)
        served.https_port = door.address[1]
        door.start()
        with browser(served, token) as client:
            path = f"/dicom-web/studies/{study}/series/{study}.1/metadata"
            for _ in range(LOOKS):
                archive.preparation.look()
            archive.committer.run(lambda _: None)  # what was handed to the committer before is written
            answer = client.get(path)
            # Nothing else is compressed, and to be so it must have been made for this very address.
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.json() == client.get(path, headers=PLAIN).json()
            assert answer.json()[0]["7FE00010"]["BulkDataURI"].startswith(
                f"{client.base_url}/dicom-web/studies/{study}/"
            )
        door.close()
    finally:
        archive.close()


def test_another_site_sees_nothing(archive: Served, client: httpx.Client, north: httpx.Client) -> None:
    study = f"{ROOT}.82"
    store(archive, *(ct(number, study=study) for number in range(1, 20)))
    assert len(metadata(client, study)) == 19
    missing = north.get(f"/dicom-web/studies/{ROOT}.99/metadata")
    for path in (study, f"{study}/series/{study}.1", f"{study}/series/{study}.1/instances/{study}.1.1"):
        answer = north.get(f"/dicom-web/studies/{path}/metadata")
        assert answer.status_code == 404
        assert answer.content == missing.content
    # The same UIDs at both sites: each has its own.
    store(archive, ct(50, study=study, patient_name="North^Alone"), device="north-scanner")
    assert len(metadata(client, study)) == 19


def test_xml(archive: Served, client: httpx.Client) -> None:
    study = f"{ROOT}.83"
    store(archive, ct(1, study=study), ct(2, study=study))
    answer = client.get(f"/dicom-web/studies/{study}/metadata", headers={"accept": XML})
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = list(BytesParser(policy=HTTP).parsebytes(head + answer.content).iter_parts())
    assert [part.get_content_type() for part in parts] == ["application/dicom+xml"] * 2
    pixels = [each for each in fromstring(parts[0].get_content()) if each.get("keyword") == "PixelData"]  # noqa: S314
    assert pixels[0][0].get("uri", "").endswith(f"/instances/{study}.1.1/bulkdata/7FE00010")


def test_wrong_requests(client: httpx.Client) -> None:
    assert client.get("/dicom-web/studies/x/metadata").status_code == 400
    assert client.get(f"/dicom-web/studies/{ROOT}.98/metadata").status_code == 404
    assert client.get(f"/dicom-web/studies/{ROOT}.98/metadata", headers={"accept": "image/png"}).status_code == 406
    assert client.head(f"/dicom-web/studies/{ROOT}.98/metadata").status_code == 404


def test_a_look_at_metadata_is_on_record(furnished: Served, tmp_path: Path) -> None:
    study = f"{ROOT}.84"
    with furnished.copy(tmp_path) as served:
        store(served, ct(1, study=study), ct(2, study=study))
        with as_user(served, "clinician") as client:
            metadata(client, study)
            metadata(client, f"{study}/series/{study}.1/instances/{study}.1.2")
            client.get("/dicom-web/studies/1.2.3/metadata")
    begin, nothing = events(served, "retrieve")
    assert (begin["s"], begin["p"]) == (study, "user:clinician-default")
    assert nothing["d"]["instances"] == 0
    (end,) = events(served, "retrieve-end")
    assert end["d"]["described"] == 3
    assert end["d"]["instances"] == 0


def test_no_unsealed_word_in_the_index(archive: Served, client: httpx.Client) -> None:
    study = f"{ROOT}.85"
    store(archive, *(ct(number, study=study, ImageComments="Plantedcomment") for number in range(1, 20)))
    assert len(numbers(client, study)) == len(numbers(client, study)) == 19
    for path in Path(archive.data).rglob("index.db*"):
        assert b"Plantedcomment" not in path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(archive.data / "index.db").execute("SELECT * FROM series_document").fetchall()


@pytest.fixture(scope="module")
def packaged(archive: Served) -> list[Dataset]:
    """pydicom's files that the archive takes, one for each study."""
    kept: dict[str, Dataset] = {}
    for path in packaged_files():
        dataset = pydicom.dcmread(path, force=True)
        if str(dataset.get("StudyInstanceUID", "")) in kept or "SOPInstanceUID" not in dataset:
            continue
        try:
            sop_class, instance, syntax, data = part10(path)
        except Exception:  # noqa: BLE001, S112 - not DICOM after all; test_samples.py has them by name
            continue
        if sop_class not in STORAGE_SOP_CLASSES:
            continue
        with connected(archive, "scanner", (sop_class, syntax)) as scanner:
            if scanner.store(sop_class, instance, syntax, (data,)).status == SUCCESS:
                kept[str(dataset.StudyInstanceUID)] = dataset
    assert len(kept) > 20
    return list(kept.values())


def test_dicomweb_client(archive: Served, client: httpx.Client, packaged: list[Dataset]) -> None:
    web = DICOMwebClient(
        f"{client.base_url}/dicom-web",
        headers={"Authorization": client.headers["authorization"]},
    )
    web._session.verify = str(archive.devices / "ca.crt")
    web._session.trust_env = False
    for dataset in packaged:
        study, series = str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID)
        (match,) = web.search_for_studies(search_filters={"StudyInstanceUID": study})
        described = Dataset.from_json(match)
        assert described.PatientID == (dataset.get("PatientID") or "").strip()
        assert [each["0020000E"]["Value"][0] for each in web.search_for_series(study)] == [series]
        (instance,) = web.search_for_instances(study, series)
        (found,) = web.retrieve_study_metadata(study)
        assert found["00080018"] == instance["00080018"]
        again = Dataset.from_json(found, bulk_data_uri_handler=lambda *_: None)
        for keyword in ("PatientName", "StudyDate", "Rows", "Columns", "PhotometricInterpretation", "SeriesNumber"):
            assert again.get(keyword) == dataset.get(keyword), (study, keyword)
        assert web.retrieve_instance_metadata(study, series, str(dataset.SOPInstanceUID)) == found
        assert len(json.dumps(found)) < 2_000_000
