"""STOW-RS (PS3.18 10.5): each instance is answered for by itself, and a hostile body costs nothing."""

import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, ROOT, ct, instance_of, packaged_files, part10
from tests.interop.test_every_file import reason
from tests.served import Served
from tests.web import add_user, as_user, browser, token_of, trusting

BODY = 'multipart/related; type="application/dicom"; boundary=b'
AS_STORED = {"Accept": "application/dicom; transfer-syntax=*"}


def file(data_set: bytes, *, syntax: str = uids.EXPLICIT_LE, sop_class: str = CT, instance: str = "") -> bytes:
    return encode_file_meta(sop_class, instance or instance_of(data_set, syntax), syntax) + data_set


def multipart(*payloads: bytes, kind: str = "application/dicom") -> bytes:
    head = f"\r\n--b\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + payload for payload in payloads) + b"\r\n--b--\r\n"


def send(client: httpx.Client, *payloads: bytes, study: str = "", kind: str = "application/dicom") -> httpx.Response:
    path = f"/dicom-web/studies/{study}" if study else "/dicom-web/studies"
    return client.post(path, content=multipart(*payloads, kind=kind), headers={"Content-Type": BODY})


def values(answer: httpx.Response, sequence: str, tag: str) -> list[Any]:
    assert answer.headers["content-type"] == "application/dicom+json"
    items = answer.json().get(sequence, {"Value": []})["Value"]
    return [item[tag]["Value"][0] for item in items]


STORED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
REASON, INSTANCE, URL = "00081197", "00081155", "00081190"


@pytest.fixture(scope="module")
def steward(archive: Served) -> Iterator[httpx.Client]:
    with as_user(archive, "steward") as client:
        yield client


def test_stored_and_retrieved(steward: httpx.Client) -> None:
    slices = [ct(number, study=f"{ROOT}.80") for number in range(1, 8)]
    answer = send(steward, *map(file, slices))
    assert answer.status_code == 200
    assert values(answer, STORED, INSTANCE) == [instance_of(each) for each in slices]
    assert answer.json()[URL]["Value"] == [f"{steward.base_url}/dicom-web/studies/{ROOT}.80"]
    for url, data in zip(values(answer, STORED, URL), slices, strict=True):
        assert steward.get(url, headers=AS_STORED).content.endswith(data)
    again = send(steward, *map(file, slices))
    assert (again.status_code, again.json()) == (200, answer.json())


def test_the_answer_in_xml(steward: httpx.Client) -> None:
    data = ct(study=f"{ROOT}.88")
    wanted = {"Content-Type": BODY, "Accept": "application/dicom+xml"}
    answer = steward.post("/dicom-web/studies", content=multipart(file(data), b"junk"), headers=wanted)
    assert (answer.status_code, answer.headers["content-type"]) == (202, "application/dicom+xml")
    found = ElementTree.fromstring(answer.content)  # noqa: S314 - our own
    assert {each.get("tag") for each in found} == {URL, STORED, OTHERS}


def test_a_single_part_body(steward: httpx.Client) -> None:
    data = ct(study=f"{ROOT}.81")
    answer = steward.post("/dicom-web/studies", content=file(data), headers={"Content-Type": "application/dicom"})
    assert (answer.status_code, values(answer, STORED, INSTANCE)) == (200, [instance_of(data)])


def test_each_failure_has_its_reason(steward: httpx.Client) -> None:
    good = ct(1, study=f"{ROOT}.82")
    unknown_class = file(ct(2, study=f"{ROOT}.82"), sop_class="1.2.3.4")
    other_class = file(ct(3, study=f"{ROOT}.82"), sop_class="1.2.840.10008.5.1.4.1.1.4")
    unknown_syntax = file(ct(4, study=f"{ROOT}.82"), instance="1.2.3").replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"
    )
    cut = file(ct(5, study=f"{ROOT}.82"))[:-100]
    elsewhere = file(ct(6, study=f"{ROOT}.83"))
    other_pixels = file(ct(1, study=f"{ROOT}.82", pixels=bytes(512)))
    answer = send(
        steward,
        file(good),
        unknown_class,
        other_class,
        unknown_syntax,
        cut,
        elsewhere,
        b"junk" * 100,
        study=f"{ROOT}.82",
    )
    assert answer.status_code == 202
    assert values(answer, STORED, INSTANCE) == [instance_of(good)]
    assert values(answer, FAILED, REASON) == [0x0122, 0xA900, 0xC122, 0xC000, 0xA901]
    assert values(answer, OTHERS, REASON) == [0xC000]
    refused = send(steward, other_pixels)
    assert (refused.status_code, values(refused, FAILED, REASON)) == (409, [0xC311])


def test_every_packaged_file_round_trips(empty_archive: Served) -> None:
    """The data set comes back as it went in, unless the web never carries its transfer syntax. Some files are versions
    of one instance: the first one is shown."""
    seen = set()
    with as_user(empty_archive, "steward") as client:
        for path in packaged_files():
            if reason(path):
                continue
            _, _, syntax, data = part10(path)
            kind = {"Content-Type": "application/dicom"}
            answer = client.post("/dicom-web/studies", content=path.read_bytes(), headers=kind)
            if answer.status_code == 409:
                assert values(answer, FAILED, REASON) or values(answer, OTHERS, REASON), path
                continue
            assert answer.status_code == 200, (path, answer.text)
            url = values(answer, STORED, URL)[0]
            if url in seen:
                continue
            seen.add(url)
            back = client.get(url, headers=AS_STORED)
            assert back.status_code == 200, (path, back.text)
            if syntax not in (uids.IMPLICIT_LE, uids.EXPLICIT_BE):
                assert back.content.endswith(data), path
            else:
                assert uids.EXPLICIT_LE.encode() in back.content[:400]
    assert len(seen) > 30


def test_who_may_store(archive: Served) -> None:
    data = multipart(file(ct(study=f"{ROOT}.84")))
    for role in ("clinician", "administrator", "auditor"):
        with as_user(archive, role) as client:
            answer = client.post("/dicom-web/studies", content=data, headers={"Content-Type": BODY})
            assert answer.status_code == 403, role
    with browser(archive) as stranger:
        answer = stranger.post("/dicom-web/studies", content=data, headers={"Content-Type": BODY})
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="leadglass"')


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (BODY, b"", 400),
        (BODY, b"--b--", 400),
        (BODY, b"--c\r\n\r\n\r\n--c--", 400),
        (BODY, b"x" * 5000, 413),
        (BODY, multipart(b"1")[:-10], 400),
        (BODY, b"--b\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n\r\n--b--", 400),
        (BODY, b"--b\r\n" + b"X" * 20_000, 413),
        (BODY, b"--b\r\n\r\n\r\n" * 10_000 + b"--b--", 413),
        (BODY, multipart(b"1") + b"y" * 5000, 413),
        (BODY, multipart(b"1"), 409),
        (BODY, multipart(b""), 409),
        ('multipart/related; type="application/dicom"', multipart(b"1"), 400),
        ('multipart/related; type="application/dicom"; boundary="b', multipart(b"1"), 400),
        ('multipart/related; type="text/plain"; boundary=b', multipart(b"1"), 415),
        ("multipart/form-data; boundary=b", multipart(b"1"), 415),
        ("", multipart(b"1"), 415),
        ("application/dicom", b"", 400),
        ("application/dicom", b"1", 409),
        ("application/dicom", bytes(128) + b"DICM" + b"\2\0\1\0OB\0\0\xff\xff\xff\xff", 409),
    ],
)
def test_hostile_bodies(steward: httpx.Client, kind: str, body: bytes, status: int) -> None:
    answer = steward.post("/dicom-web/studies", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text


def test_other_wrong_requests(steward: httpx.Client) -> None:
    body = multipart(file(ct(study=f"{ROOT}.85")))
    for headers, status in (
        ({"Accept": "text/html"}, 406),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/dicom; ="}, 400),
    ):
        answer = steward.post("/dicom-web/studies", content=body, headers={"Content-Type": BODY} | headers)
        assert answer.status_code == status, headers
    assert steward.post("/dicom-web/studies/not-a-uid", content=body, headers={"Content-Type": BODY}).status_code == 400


def test_a_body_that_ends_early_leaves_what_was_whole(archive: Served, steward: httpx.Client) -> None:
    add_user(archive, "hasty", "steward")
    token = token_of(archive, "hasty")
    first, second = (ct(number, study=f"{ROOT}.86") for number in (1, 2))
    body = multipart(file(first), file(second))[:-200]
    head = (
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {BODY}\r\nContent-Length: {len(body) + 500}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", archive.https_port), timeout=30) as plain:
        context: ssl.SSLContext = trusting(archive)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(head.encode() + body)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    instances = f"/dicom-web/studies/{ROOT}.86/series/{ROOT}.86.1/instances/"
    assert steward.get(f"{instances}{ROOT}.86.1.2").status_code == 404


def test_metadata_and_bulk_data(steward: httpx.Client) -> None:
    """What `/metadata` and bulk data gave comes back as the same values."""
    pixels = bytes(range(256)) * 2
    send(steward, file(ct(study=f"{ROOT}.87")))
    place = f"/dicom-web/studies/{ROOT}.87/series/{ROOT}.87.1/instances/{ROOT}.87.1.1"
    (metadata,) = steward.get(f"{place}/metadata", headers={"Accept": "application/dicom+json"}).json()
    metadata["00080018"]["Value"] = [f"{ROOT}.87.1.2"]
    metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "https://elsewhere.example/bulk/1"}
    document = json.dumps([metadata]).encode()
    kind = {"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=b'}
    bulk = b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Location: /bulk/1\r\n\r\n" + pixels
    body = multipart(document, kind="application/dicom+json").removesuffix(b"\r\n--b--\r\n") + bulk + b"\r\n--b--\r\n"
    answer = steward.post("/dicom-web/studies", content=body, headers=kind)
    assert (answer.status_code, values(answer, STORED, INSTANCE)) == (200, [f"{ROOT}.87.1.2"]), answer.text
    (again,) = steward.get(f"{place[:-1]}2/metadata", headers={"Accept": "application/dicom+json"}).json()
    assert again.pop("7FE00010")["BulkDataURI"].endswith("7FE00010")
    assert again.pop("00080005") == {"vr": "CS", "Value": ["ISO_IR 192"]}
    del metadata["7FE00010"]
    assert again == metadata
    frame = steward.get(f"{place[:-1]}2/frames/1", headers={"Accept": "application/octet-stream"})
    assert frame.content == pixels
    missing = steward.post(
        "/dicom-web/studies", content=multipart(document, kind="application/dicom+json"), headers=kind
    )
    assert (missing.status_code, values(missing, FAILED, REASON)) == (409, [0xC000])
    for wrong in (multipart(b"{", kind="application/dicom+json"), multipart(b"x", kind="application/octet-stream")):
        assert steward.post("/dicom-web/studies", content=wrong, headers=kind).status_code == 400
