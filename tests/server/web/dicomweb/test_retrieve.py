"""WADO-RS (PS3.18 10.4) over HTTPS: what was stored comes back, byte for byte wherever that is allowed."""

import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from io import BytesIO

import httpx
import pytest

from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from tests.clients import ROOT, ct, store
from tests.served import Served
from tests.web import as_user

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
VIEWER = "multipart/related; type=application/octet-stream; transfer-syntax=*"


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content type and bytes of each part, as Python's own parser finds them."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("multipart/related")
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message: Message = BytesParser().parsebytes(head + answer.content)
    payloads = [part.get_payload(decode=True) for part in message.get_payload()]  # type: ignore[union-attr]
    kinds = [part["content-type"] for part in message.get_payload()]  # type: ignore[index]
    return list(zip(kinds, payloads, strict=True))  # type: ignore[arg-type]


def files(answer: httpx.Response) -> list[tuple[str, str, bytes]]:
    """SOP instance, transfer syntax and data set of each part, which must be a file."""
    found = []
    for kind, payload in parts(answer):
        assert payload[:128] == bytes(128)
        meta = read_file_meta(BytesIO(payload))
        assert not meta.notes
        assert kind == f"application/dicom; transfer-syntax={meta.transfer_syntax}"
        found.append((meta.sop_instance, meta.transfer_syntax, payload[meta.data_offset :]))
    return found


@pytest.fixture(scope="module")
def clinician(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "clinician") as client:
        yield client


@pytest.fixture(scope="module")
def study(archive: Served) -> list[bytes]:
    slices = [ct(number, study=f"{ROOT}.70", pixels=bytes([number]) * 512) for number in range(1, 6)]
    store(archive, *slices)
    return slices


def test_a_study_comes_back_byte_for_byte(clinician: httpx.Client, study: list[bytes]) -> None:
    answer = clinician.get(f"/dicom-web/studies/{ROOT}.70", headers={"Accept": AS_STORED})
    assert [data for _, _, data in files(answer)] == study
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-type"].startswith('multipart/related; type="application/dicom"; boundary=')


def test_a_series_and_an_instance(clinician: httpx.Client, study: list[bytes]) -> None:
    series = f"/dicom-web/studies/{ROOT}.70/series/{ROOT}.70.1"
    assert [data for _, _, data in files(clinician.get(series))] == study
    one = f"{series}/instances/{ROOT}.70.1.3"
    assert [data for _, _, data in files(clinician.get(one))] == study[2:3]
    single = clinician.get(one, headers={"Accept": "application/dicom"})
    assert single.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT_LE}"
    assert single.content.endswith(study[2])


@pytest.mark.parametrize("kind", ["application/zip", "application/zip; transfer-syntax=*"])
def test_a_zip_of_files_whose_names_are_ours(clinician: httpx.Client, study: list[bytes], kind: str) -> None:
    """PS3.18 8.6.1.3, for what cannot read parts: a browser, say."""
    series = f"/dicom-web/studies/{ROOT}.70/series/{ROOT}.70.1"
    for path, wanted in (
        (f"/dicom-web/studies/{ROOT}.70", study),
        (series, study),
        (f"{series}/instances/{ROOT}.70.1.3", study[2:3]),
    ):
        answer = clinician.get(path, headers={"Accept": kind})
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(BytesIO(answer.content)) as packed:
            assert packed.testzip() is None
            assert packed.namelist() == [f"S0000001/I{number:07}.dcm" for number in range(1, len(wanted) + 1)]
            found = [packed.read(name) for name in packed.namelist()]
        assert [file[read_file_meta(BytesIO(file)).data_offset :] for file in found] == wanted


def test_a_zip_is_for_those_who_ask_for_it(clinician: httpx.Client, study: list[bytes]) -> None:
    path = f"/dicom-web/studies/{ROOT}.70"
    for accept in ("*/*", "application/*", "multipart/*", f"{AS_STORED}, application/zip; q=0.5"):
        assert clinician.get(path, headers={"Accept": accept}).headers["content-type"].startswith("multipart/related")
    later = clinician.get(path, headers={"Accept": f"{AS_STORED}; q=0.5, application/zip"})
    assert later.headers["content-type"] == "application/zip"
    asked = clinician.get(path, params={"accept": "application/zip"})
    assert asked.headers["content-type"] == "application/zip"
    unused = {"Accept": "application/zip; transfer-syntax=1.2.840.10008.1.2"}
    assert clinician.get(path, headers=unused).status_code == 406


@pytest.mark.parametrize(("accept", "status"), [("image/*", 200), ("*/*", 200), ("image/jpeg", 406)])
def test_several_images_are_rendered_in_parts(
    clinician: httpx.Client, study: list[bytes], accept: str, status: int
) -> None:
    """A wildcard leaves the form to the server; one media type asks for one part."""
    answer = clinician.get(f"/dicom-web/studies/{ROOT}.70/rendered", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 200:
        assert [kind for kind, _ in parts(answer)] == ["image/jpeg"] * len(study)


def test_head_tells_the_length_and_nothing_else(clinician: httpx.Client, study: list[bytes]) -> None:
    path = f"/dicom-web/studies/{ROOT}.70"
    head = clinician.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(clinician.get(path).content))


def test_a_frame_goes_out_in_one_part(clinician: httpx.Client, study: list[bytes]) -> None:
    frame = f"/dicom-web/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.3/frames/1"
    octets = f"application/octet-stream; transfer-syntax={EXPLICIT_LE}"
    assert parts(clinician.get(frame, headers={"Accept": VIEWER})) == [(octets, bytes([3]) * 512)]
    single = clinician.get(frame, headers={"Accept": "application/octet-stream"})
    assert (single.headers["content-type"], single.content) == (octets, bytes([3]) * 512)


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("/studies/1.2.3", "*/*", 404),
        (f"/studies/{ROOT}.70/series/1.2", "*/*", 404),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/9", "*/*", 404),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/2", "*/*", 404),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/0", "*/*", 404),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/1,2", "*/*", 404),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/one", "*/*", 400),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/-1", "*/*", 400),
        (f"/studies/{ROOT}.70/series/{ROOT}.70.1/instances/{ROOT}.70.1.1/frames/1,,1", "*/*", 400),
        ("/studies/not-a-uid", "*/*", 400),
        ("/studies/" + "1" * 65, "*/*", 400),
        ("/studies/1.2%5C1.3", "*/*", 400),
        ("/studies/*", "*/*", 400),
        (f"/studies/{ROOT}.70", "image/jpeg", 406),
        (f"/studies/{ROOT}.70", "application/dicom", 406),
        (f"/studies/{ROOT}.70", "application/dicom; q=5", 400),
        (f"/studies/{ROOT}.70", 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2', 406),
        (f"/studies/{ROOT}.70?accept=*/*", "*/*", 400),
    ],
)
def test_wrong_requests(clinician: httpx.Client, study: list[bytes], path: str, accept: str, status: int) -> None:
    answer = clinician.get(f"/dicom-web{path}", headers={"Accept": accept})
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "remedy"}
