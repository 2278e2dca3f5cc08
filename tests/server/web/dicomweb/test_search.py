"""QIDO-RS from outside: what viewers ask, what PS3.18 10.6 promises, and whom it is told to."""

from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from xml.etree.ElementTree import fromstring

import httpx
import pytest
from pydicom.dataset import Dataset

from leadglass.server.web.dicomweb.capabilities import KEYS
from leadglass.server.web.dicomweb.errors import ContentTooLarge
from leadglass.server.web.dicomweb.qido import MOST_BYTES, bounded
from tests.clients import ct, store
from tests.served import Served
from tests.web import as_user

ROOT = "1.2.826.0.1.3680043.10.1"
STUDY, SECOND, NORTH = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


@pytest.fixture(scope="module")
def client(archive: Served) -> Iterator[httpx.Client]:
    """A clinician's, of an archive with two studies of its site and one of another."""
    described: Any = {"StudyDescription": "Circle phantom", "ReferringPhysicianName": "House^Gregory"}
    store(
        archive,
        ct(1, study=STUDY, patient_id="PH001", patient_name="Phantom^Circle", AccessionNumber="ACC1", **described),
        ct(2, study=STUDY, patient_id="PH001", patient_name="Phantom^Circle", AccessionNumber="ACC1", **described),
        ct(3, study=STUDY, series=f"{STUDY}.9", patient_id="PH001", patient_name="Phantom^Circle", Modality="MR"),
    )
    # The same patient, at both sites.
    store(archive, ct(1, study=SECOND, patient_id="PH002", patient_name="Phantom^Square", StudyDate="20250110"))
    store(archive, ct(1, study=NORTH, patient_id="PH001", patient_name="Phantom^Circle"), device="north-scanner")
    with as_user(archive, "clinician") as client:
        yield client


@pytest.fixture(scope="module")
def north(archive: Served, client: httpx.Client) -> Iterator[httpx.Client]:
    with as_user(archive, "clinician", site="north") as client:
        yield client


def found(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(f"/dicom-web{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom+json"
    matches: list[dict[str, Any]] = answer.json()
    return matches


def studies(client: httpx.Client, query: str) -> list[str]:
    return sorted(value(match, "0020000D") for match in found(client, f"/studies?{query}"))


def value(match: dict[str, Any], tag: str) -> Any:
    return match[tag]["Value"][0]


# What viewers ask.

OHIF = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"


def test_the_list_of_a_viewer(client: httpx.Client) -> None:
    matches = found(client, f"/studies?{OHIF}")
    (match,) = [match for match in matches if value(match, "0020000D") == STUDY]
    assert value(match, "00081030") == "Circle phantom"
    assert match["00080061"]["Value"] == ["CT", "MR"]
    assert match["00100010"]["Value"] == [{"Alphabetic": "Phantom^Circle"}]
    assert match["00100030"] == {"vr": "DA"}
    assert match["00201206"] == {"vr": "IS", "Value": [2]}
    assert match["00201208"] == {"vr": "IS", "Value": [3]}
    assert "00080060" not in match  # of the series, and none here


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=*Circ*", [STUDY]),
        ("PatientName=*circ*&00100020=*H0*&AccessionNumber=*ACC*&StudyDescription=*circ*", [STUDY]),
        ("PatientName=phantom*", [STUDY, SECOND]),
        ("00100010=Phantom^Square", [SECOND]),
        ("PatientID=PH001", [STUDY]),
        ("ModalitiesInStudy=MR", [STUDY]),
        ("ModalitiesInStudy=CT%2CMR", [STUDY, SECOND]),
        ("ModalitiesInStudy=CT\\MR&PatientID=PH002", [SECOND]),
        ("StudyDate=20250101-20250131", [SECOND]),
        ("StudyDate=20250101-", [SECOND]),
        (f"StudyInstanceUID={STUDY},{SECOND}", [STUDY, SECOND]),
        (f"StudyInstanceUID={NORTH}", []),
        ("PatientName=*&PatientID=", [STUDY, SECOND]),
        ("ReferringPhysicianName=house*", [STUDY]),
        ("PatientName=%E5%B1%B1*", []),
        ("limit=0", []),
    ],
)
def test_matching(client: httpx.Client, query: str, expected: list[str]) -> None:
    assert studies(client, f"{OHIF if 'limit' not in query else ''}&{query}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientName=circle phant&fuzzymatching=true", [STUDY]),
        ("PatientName=circle phant&fuzzymatching=false", []),
        ("PatientName=*hantom*&fuzzymatching=true", [STUDY, SECOND]),
        ("ReferringPhysicianName=g hou&fuzzymatching=true", [STUDY]),
    ],
)
def test_fuzzy_matching(client: httpx.Client, query: str, expected: list[str]) -> None:
    """Of person names, PS3.18 8.3.4.2; without a warning, since it is done."""
    answer = client.get(f"/dicom-web/studies?{query}")
    assert sorted(value(match, "0020000D") for match in answer.json()) == expected
    assert "warning" not in answer.headers


def test_series_and_instances_below(client: httpx.Client) -> None:
    series = found(client, f"/studies/{STUDY}/series?includefield=00080021,00080031,0008103E,00200011")
    assert sorted((value(each, "0020000E"), value(each, "00080060"), value(each, "00201209")) for each in series) == [
        (f"{STUDY}.1", "CT", 2),
        (f"{STUDY}.9", "MR", 1),
    ]
    assert all(
        value(each, "00081190").endswith(f"/studies/{STUDY}/series/{value(each, '0020000E')}") for each in series
    )
    assert "00100010" not in series[0]
    instances = found(client, f"/studies/{STUDY}/series/{STUDY}.1/instances")
    assert [value(each, "00200013") for each in instances] == [1, 2]
    assert {tag: value(instances[0], tag) for tag in ("00080018", "00280010", "00280100")} == {
        "00080018": f"{STUDY}.1.1",
        "00280010": 16,
        "00280100": 16,
    }
    assert len(found(client, f"/studies/{STUDY}/instances")) == 3
    assert found(client, f"/studies/{STUDY}/instances?00200013=3")[0]["00080060"]["Value"] == ["MR"]
    assert found(client, "/studies/1.2.3/series") == []


def test_across_all_studies_the_levels_above_are_told(client: httpx.Client) -> None:
    (series,) = found(client, "/series?Modality=MR")
    assert (value(series, "0020000D"), value(series, "00100020"), value(series, "00080020")) == (
        STUDY,
        "PH001",
        "20240102",
    )
    (instance,) = found(client, f"/instances?SOPInstanceUID={STUDY}.1.2")
    assert (value(instance, "0020000E"), value(instance, "00080060"), value(instance, "00080050")) == (
        f"{STUDY}.1",
        "CT",
        "ACC1",
    )


def test_sequences_are_matched_by_path(archive: Served, client: httpx.Client) -> None:
    step = Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "STEP7", "REQ7"
    described: Any = {"RequestAttributesSequence": [step]}
    # Of a site of its own, so that nobody else's lists change.
    store(archive, ct(1, study=f"{ROOT}.7", **described), device="north-scanner")
    with as_user(archive, "clinician", site="north") as north:
        for path in (
            "RequestAttributesSequence.ScheduledProcedureStepID=STEP7",
            "00400275.00400009=STEP*&RequestAttributesSequence.RequestedProcedureID=REQ7",
        ):
            (series,) = found(north, f"/series?{path}")
            (item,) = series["00400275"]["Value"]
            assert (value(item, "00400009"), value(item, "00401001")) == ("STEP7", "REQ7")
        assert found(north, "/series?RequestAttributesSequence.ScheduledProcedureStepID=STEP8") == []
    archive_wide = client.get("/dicom-web/series?OtherPatientIDsSequence.PatientID=x")
    assert "not supported" in archive_wide.headers["warning"]


def test_required_attributes_are_there_if_only_empty(client: httpx.Client) -> None:
    (match,) = found(client, f"/studies?StudyInstanceUID={STUDY}")
    required = "00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 00100030 00100040"
    assert set(match) == {*required.split(), "00080005", "0020000D", "00200010", "00201206", "00201208"}
    assert match["00100040"] == {"vr": "CS"}
    assert value(match, "00080056") == "ONLINE"
    url = httpx.URL(value(match, "00081190"))
    assert (url.scheme, url.path) == ("https", f"/dicom-web/studies/{STUDY}")
    assert client.get(url).status_code == 200


def test_all_attributes(client: httpx.Client) -> None:
    (match,) = found(client, f"/studies?includefield=all&StudyInstanceUID={STUDY}")
    assert value(match, "00081030") == "Circle phantom"
    assert value(match, "00080062") == "1.2.840.10008.5.1.4.1.1.2"
    assert "00080060" not in match


# Pages and warnings.


def test_pages(client: httpx.Client) -> None:
    first = client.get("/dicom-web/studies?limit=1")
    assert "Additional results can be requested" in first.headers["warning"]
    assert first.headers["warning"].startswith("299 https://")
    second = client.get("/dicom-web/studies?limit=1&offset=1")
    assert "warning" not in second.headers
    assert sorted(value(each, "0020000D") for each in (*first.json(), *second.json())) == [STUDY, SECOND]
    assert client.get("/dicom-web/studies?offset=5").json() == []


@pytest.mark.parametrize(
    "query",
    ["emptyvaluematching=true", "multiplevaluematching=true", "SeriesDescription=x"],
)
def test_what_is_not_done_is_said(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/dicom-web/studies?{query}")
    assert answer.status_code == 200
    assert "not supported" in answer.headers["warning"]


@pytest.mark.parametrize(
    "query",
    [
        "Planted=x",
        "0010=x",
        "limit=-1",
        "limit=x",
        "limit=1&limit=2",
        "offset=1.5",
        "fuzzymatching=maybe",
        "PatientID=a&PatientID=b",
        "PatientID=a&00100020=b",
        "StudyDate=Planted",
        "PatientName=%FF",
        "PatientName=a%00b",
        "includefield=all&includefield=PatientID",
        "includefield=Planted",
        "&".join(f"0009{number:04X}=x" for number in range(300)),
    ],
)
def test_wrong_requests(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/dicom-web/studies?{query}")
    assert answer.status_code == 400
    assert "Planted" not in answer.text


@pytest.mark.parametrize("level", ["studies", "series", "instances"])
@pytest.mark.parametrize("value", ["1", "*", "a*", "2.25.1"])
def test_very_many_alternatives_are_matched_or_refused(client: httpx.Client, level: str, value: str) -> None:
    """Whatever the attribute: SQLite has bounds of its own on what a statement may be."""
    for tag in KEYS:
        many = "%5C".join([value] * (15_000 // (len(value) + 3)))
        answer = client.get(f"/dicom-web/{level}?{tag:08X}={many}&limit=1")
        assert answer.status_code in (200, 400), f"{tag:08X}"


def test_wrong_paths(client: httpx.Client) -> None:
    assert client.get("/dicom-web/studies/x/series").status_code == 400
    assert client.get(f"/dicom-web/studies/{STUDY}/series?StudyInstanceUID={SECOND}").status_code == 400
    assert client.get("/dicom-web/patients").status_code == 404
    assert client.delete("/dicom-web/series").status_code == 405


# Representations.


@pytest.mark.parametrize("accept", ["application/dicom+json", "*/*", "application/*", "image/png, application/json"])
def test_json(client: httpx.Client, accept: str) -> None:
    answer = client.get("/dicom-web/studies", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] in (accept.split(", ")[-1], "application/dicom+json")
    assert len(answer.json()) == 2


def test_xml(client: httpx.Client) -> None:
    wanted = {"accept": 'multipart/related; type="application/dicom+xml"'}
    answer = client.get(f"/dicom-web/studies?PatientID=PH001&{OHIF}", headers=wanted)
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    (part,) = BytesParser(policy=HTTP).parsebytes(head + answer.content).iter_parts()
    assert part.get_content_type() == "application/dicom+xml"
    model = fromstring(part.get_content())  # noqa: S314 - ours
    assert model.tag == f"{NATIVE}NativeDicomModel"
    by_keyword = {attribute.get("keyword"): attribute for attribute in model}
    assert by_keyword["StudyInstanceUID"].findtext(f"{NATIVE}Value") == STUDY
    name = by_keyword["PatientName"].find(f"{NATIVE}PersonName/{NATIVE}Alphabetic")
    assert name is not None
    assert (name.findtext(f"{NATIVE}FamilyName"), name.findtext(f"{NATIVE}GivenName")) == ("Phantom", "Circle")
    assert client.get("/dicom-web/studies?PatientID=none", headers=wanted).status_code == 204


@pytest.mark.parametrize(
    "accept", ["image/png", "application/dicom+xml", 'multipart/related; type="application/dicom"']
)
def test_what_attributes_are_not_answered_in(client: httpx.Client, accept: str) -> None:
    assert client.get("/dicom-web/studies", headers={"accept": accept}).status_code == 406


def test_head_tells_the_length(client: httpx.Client) -> None:
    head = client.head("/dicom-web/studies")
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(client.get("/dicom-web/studies").content)


def test_what_is_too_long_for_one_answer() -> None:
    with pytest.raises(ContentTooLarge):
        list(bounded("x" * 1024 for _ in range(MOST_BYTES // 1024 + 1)))
    assert len(list(bounded("x" * 1024 for _ in range(MOST_BYTES // 1024)))) == MOST_BYTES // 1024


# Who is told.


def test_a_site_sees_its_own_alone(client: httpx.Client, north: httpx.Client) -> None:
    for path in ("/studies", "/series", "/instances"):
        own = {value(match, "0020000D") for match in found(client, path)}
        other = {value(match, "0020000D") for match in found(north, path)}
        assert own == {STUDY, SECOND}
        assert other - {f"{ROOT}.7"} == {NORTH}
    counts = "/studies?PatientID=PH001&includefield=00201200,00201204"
    (mine,) = found(client, counts)
    (theirs,) = found(north, counts)
    assert (value(mine, "00201200"), value(mine, "00201204")) == (1, 3)
    assert (value(theirs, "00201200"), value(theirs, "00201204")) == (1, 1)
    assert found(north, f"/studies/{STUDY}/series") == []
    assert found(north, f"/instances?SOPInstanceUID={STUDY}.1.1") == []


def test_roles(archive: Served, client: httpx.Client) -> None:
    for role, status in (("steward", 200), ("administrator", 403), ("auditor", 403)):
        with as_user(archive, role) as other:
            assert other.get("/dicom-web/studies").status_code == status
    assert httpx.get(client.base_url.join("/dicom-web/studies"), verify=False).status_code == 401  # noqa: S501
