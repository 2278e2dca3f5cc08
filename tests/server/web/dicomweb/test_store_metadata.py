"""STOW-RS of metadata with bulk data apart: what it may hold, and that every refusal is on record."""

import json
from pathlib import Path

import httpx
import pytest

from leadglass.dicom import uids
from leadglass.dicom.json_model import JsonWriter
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.model import DataSetLimits
from tests.clients import CT, ROOT, ct
from tests.served import Served
from tests.server.log import events
from tests.server.web.dicomweb.test_store import (
    BODY,
    FAILED,
    INSTANCE,
    OTHERS,
    REASON,
    STORED,
    file,
    multipart,
    send,
    values,
)
from tests.web import as_user

JSON = "application/dicom+json"
KIND = {"Content-Type": f'multipart/related; type="{JSON}"; boundary=b'}
MIB = 1024 * 1024


def described(data: bytes) -> dict[str, object]:
    writer = JsonWriter(TRANSFER_SYNTAXES[uids.EXPLICIT_LE], DataSetLimits(), "/bulk/")
    writer.feed(data)
    writer.finish()
    document: dict[str, object] = json.loads(writer.text())
    return document


def post(client: httpx.Client, *documents: bytes, bulk: bytes = b"") -> httpx.Response:
    body = multipart(*documents, kind=JSON).removesuffix(b"\r\n--b--\r\n") + bulk + b"\r\n--b--\r\n"
    return client.post("/dicom-web/studies", content=body, headers=KIND)


def bulk_part(location: str, value: bytes, kind: str = "application/octet-stream") -> bytes:
    return f"\r\n--b\r\nContent-Type: {kind}\r\nContent-Location: {location}\r\n\r\n".encode() + value


def peak_of(archive: Served) -> int:
    """The most memory that the server has ever had resident, in bytes."""
    assert archive.process is not None
    status = Path(f"/proc/{archive.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def test_many_instances_of_one_document(archive: Served) -> None:
    documents = [described(ct(number, study=f"{ROOT}.90")) for number in range(1, 101)]
    for document in documents:
        document["7FE00010"] = {"vr": "OW", "BulkDataURI": "/bulk/shared"}
    text = json.dumps(documents, indent=1).encode()
    with as_user(archive, "steward") as client:
        answer = post(client, text, bulk=bulk_part("/bulk/shared", bytes(512)))
        assert (answer.status_code, len(values(answer, STORED, INSTANCE))) == (200, 100)
        last = f"/dicom-web/studies/{ROOT}.90/series/{ROOT}.90.1/instances/{ROOT}.90.1.100"
        assert client.get(f"{last}/frames/1", headers={"Accept": "application/octet-stream"}).content == bytes(512)


@pytest.mark.parametrize(
    "filling", [b"[],", b"{},", b'"ab",', b'{"a":{}},', b"1e9,", b"[[[[[]]]]],"], ids=lambda each: each.decode()
)
def test_json_takes_no_multiple_of_its_size(archive: Served, filling: bytes) -> None:
    """Small values take thirty times the memory of their text."""
    one = b'{"00081140":{"vr":"LO","Value":[' + filling * (3 * MIB // 2 // len(filling)) + b'""]}}'
    with as_user(archive, "steward") as client:
        before = peak_of(archive)
        answer = post(client, b"[" + b",".join([one] * 15) + b"]")
        assert (answer.status_code, len(values(answer, OTHERS, REASON))) == (409, 15)
        larger = one.replace(b'""]', filling * (MIB // len(filling)) + b'""]')
        assert post(client, larger).status_code == 413
    assert peak_of(archive) - before < 120 * MIB


def test_bounds(archive: Served) -> None:
    with as_user(archive, "steward") as client:
        assert post(client, b"[" + b",".join([b"{}"] * 5001) + b"]").status_code == 413
        assert post(client, b"[{}]", bulk=bulk_part("/1", bytes(33 * MIB))).status_code == 413
        # What a refused request held is free again.
        for _ in range(4):
            assert post(client, b"[{}]", bulk=bulk_part("/1", bytes(30 * MIB))).status_code == 409


def test_every_refused_part_is_on_record(empty_archive: Served) -> None:
    good = ct(1, study=f"{ROOT}.91")
    no_bulk = {"00080016": {"vr": "UI", "Value": [CT]}, "00080018": {"vr": "UI", "Value": ["1.2.3"]}}
    no_bulk["7FE00010"] = {"vr": "OW", "BulkDataURI": "/not/sent"}
    implicit = no_bulk | {"7FE00010": {"vr": "OW", "BulkDataURI": "/1"}}
    with as_user(empty_archive, "steward") as client:
        answer = send(client, file(good), b"junk")
        assert values(answer, OTHERS, REASON) == [0xC000]
        answer = send(client, file(good), kind="text/plain")
        assert values(answer, OTHERS, REASON) == [0xC000]
        answer = post(
            client,
            json.dumps([{}, no_bulk, implicit]).encode(),
            bulk=bulk_part("/1", bytes(2), f"application/octet-stream; transfer-syntax={uids.IMPLICIT_LE}"),
        )
        assert values(answer, OTHERS, REASON) == [0xC000]
        assert values(answer, FAILED, REASON) == [0xC000, 0xC122]
        for kind, body, status in (
            (BODY, multipart(file(good))[:-10], 400),
            ("text/plain", b"junk", 415),
            (KIND["Content-Type"], multipart(b"{", kind=JSON), 400),
        ):
            wrong = client.post("/dicom-web/studies", content=body, headers={"Content-Type": kind})
            assert wrong.status_code == status
    empty_archive.stop()
    refused = [event for event in events(empty_archive, "store") if event["o"] == "refused"]
    assert len(refused) == 8
    assert [event["d"].get("instance") for event in refused].count("1.2.3") == 2
    assert all(event["d"]["reason"] for event in refused)
