"""What leaves by any door begins with zeros and meta information of our own making, and a document is a download."""

import zipfile
from collections.abc import Iterator
from email.message import Message
from io import BytesIO

import httpx
import pytest

from leadglass.dicom import tags
from leadglass.dicom.part10 import encode_file_meta
from leadglass.dicom.uids import EXPLICIT_LE
from tests.clients import CT, ROOT, ct, get, instance_of
from tests.dicom.builders import long, short
from tests.hostile import case as c
from tests.hostile import samples
from tests.hostile.test_doors import numbered
from tests.served import Served
from tests.server.web.dicomweb.test_store import send
from tests.web import as_user

STUDY = f"{ROOT}.95"
DATA_SET = ct(1, study=STUDY)
CLEAN = encode_file_meta(CT, instance_of(DATA_SET), EXPLICIT_LE) + DATA_SET
#: What the sender of a file has put before its data set; nobody asked for it.
PRIVATE = b"what a sender had to say"
NOTE = b"an old workstation's note"


def noted() -> bytes:
    """The same object in a file with a preamble, a version and private information of its own (PS3.10 7.1)."""
    meta = encode_file_meta(CT, instance_of(DATA_SET), EXPLICIT_LE)[144:]
    own = short(0x00020100, b"UI", b"1.2.3.4\0") + long(0x00020102, b"OB", PRIVATE)
    group = meta + own
    length = short(0x00020000, b"UL", len(group).to_bytes(4, "little"))
    return NOTE.ljust(128, b"\0") + b"DICM" + length + group + DATA_SET


@pytest.fixture(scope="module")
def client(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "steward") as steward:
        assert send(steward, noted()).status_code == 200
        yield steward


def parts(answer: httpx.Response) -> list[bytes]:
    message = Message()
    message["content-type"] = answer.headers["content-type"]
    boundary = f"\r\n--{message.get_param('boundary')}".encode()
    pieces = (b"\r\n" + answer.content).split(boundary)[1:-1]
    return [piece.split(b"\r\n\r\n", 1)[1] for piece in pieces]


def test_over_the_web(client: httpx.Client) -> None:
    file = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    assert parts(client.get(f"/dicom-web/studies/{STUDY}", headers=file)) == [CLEAN]
    keys = {"requestType": "WADO", "studyUID": STUDY, "seriesUID": f"{STUDY}.1"}
    uri = client.get(
        "/dicom-web/wado", params={**keys, "objectUID": instance_of(DATA_SET), "contentType": "application/dicom"}
    )
    assert (uri.status_code, uri.content) == (200, CLEAN)
    archive = client.get(f"/studies/{STUDY}/download")
    assert archive.headers["content-disposition"].startswith("attachment")
    with zipfile.ZipFile(BytesIO(archive.content)) as zipped:
        files = {name: zipped.read(name) for name in zipped.namelist()}
    assert files.pop("DICOM/S0000001/I0000001") == CLEAN
    (directory,) = files.values()
    assert directory[:132] == bytes(128) + b"DICM"
    assert not any(each in archive.content for each in (PRIVATE, NOTE))


@pytest.mark.usefixtures("client")
def test_over_dimse(archive: Served) -> None:
    _, _, received = get(archive, {tags.STUDY_INSTANCE_UID: STUDY})
    assert received == {instance_of(DATA_SET): DATA_SET}


def test_a_document_is_a_download_out_of_a_sandbox(client: httpx.Client) -> None:
    value = samples.pdf()
    data = numbered(c.document(c.PDF, "application/pdf", value), 95_000)
    root = f"{c.ROOT[:-9]}{95_000:09}"
    assert send(client, data).status_code == 200
    url = f"/dicom-web/studies/{root}.1/series/{root}.1.1/instances/{root}.1.1.1/bulkdata/00420011"
    answer = client.get(url, headers={"Accept": "application/pdf"})
    assert (answer.status_code, answer.content[: len(value)]) == (200, value)
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'"} <= set(policy)
