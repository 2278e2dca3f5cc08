"""Retrievals that do not go well: a client that goes away, bytes that were tampered with, a server that stops."""

import socket
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from leadglass.archive.archive import ArchiveConfig, open_archive
from leadglass.archive.provision import server_chains
from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.door import WebDoor
from tests.clients import CT, ROOT, ct, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.log import events
from tests.web import add_user, as_user, browser, token_of, trusting

STUDY = f"/dicom-web/studies/{ROOT}.60"


def test_a_client_that_goes_away_leaves_nothing_running(archive: Served) -> None:
    """The access it began is closed when the server stops, which it does without waiting."""
    pixels = bytes(1024 * 1024)
    store(archive, *(ct(number, study=f"{ROOT}.60", pixels=pixels) for number in range(1, 21)))
    add_user(archive, "leaving", "clinician")
    request = (
        f"GET {STUDY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token_of(archive, 'leaving')}\r\n"
        'Accept: multipart/related; type="application/dicom"; transfer-syntax=*\r\n\r\n'
    )
    for _ in range(5):
        with (
            socket.create_connection(("127.0.0.1", archive.https_port), timeout=30) as plain,
            trusting(archive).wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(request.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
    with as_user(archive, "clinician") as client:
        assert len(client.get(STUDY).content) > 20 * len(pixels)


def test_decoders_end_with_the_server(empty_archive: Served) -> None:
    store(empty_archive, ct(study=f"{ROOT}.60"))
    with as_user(empty_archive, "clinician") as client:
        if client.get(f"{STUDY}/thumbnail").status_code == 503:
            pytest.skip("nothing can be decoded safely here")
    assert empty_archive.process is not None
    children = psutil.Process(empty_archive.process.pid).children(recursive=True)
    assert children
    empty_archive.stop()
    gone, _ = psutil.wait_procs(children, timeout=30)
    assert len(gone) == len(children)


def test_decoders_end_with_the_door(copied: Copied, tmp_path: Path) -> None:
    """Also where the process goes on."""
    served = copied(tmp_path)
    add_user(served, "sender", "steward")
    token = token_of(served, "sender")
    archive = open_archive(served.data, served.keys, ArchiveConfig())
    try:
        chains = server_chains(KeyDirectory.open(served.keys))
        door = WebDoor(archive, WebConfig(), chains, "127.0.0.1", 0)
        served.https_port = door.address[1]
        door.start()
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        with browser(served, token) as client:
            data = ct(study=f"{ROOT}.60")
            file = encode_file_meta(CT, instance_of(data), uids.EXPLICIT_LE) + data
            client.post("/dicom-web/studies", content=file, headers={"Content-Type": "application/dicom"})
            status = client.get(f"{STUDY}/thumbnail").status_code
        children = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        door.close()
        gone, _ = psutil.wait_procs(children, timeout=30)
        assert len(gone) == len(children)
        if status == 503:
            pytest.skip("nothing can be decoded safely here")
        assert (status, bool(children)) == (200, True)
    finally:
        archive.close()


def test_a_header_that_was_tampered_with_is_on_record(copied: Copied, tmp_path: Path) -> None:
    """Where the frames lie is remembered; what they are is read each time."""
    place = f"{STUDY}/series/{ROOT}.60.1/instances/{ROOT}.60.1.1"
    with copied(tmp_path) as served:
        store(served, ct(study=f"{ROOT}.60"))
        with as_user(served, "clinician") as client:
            assert client.get(f"{place}/frames/1", headers={"Accept": "*/*"}).status_code == 200
            (pack,) = served.data.rglob("*.pack")
            content = bytearray(pack.read_bytes().rstrip(b"\0"))
            for position in range(len(content) // 4, len(content) // 2):
                content[position] ^= 1
            with pack.open("r+b") as opened:
                opened.write(content)
            assert client.get(f"{place}/rendered").status_code == 500
        served.stop()
        assert len(events(served, "verification-failed")) == 1


@pytest.mark.parametrize("path", ["", f"/series/{ROOT}.60.1/instances/{ROOT}.60.1.1/frames/1"])
def test_tampered_bytes_do_not_leave(copied: Copied, tmp_path: Path, path: str) -> None:
    pixels = b"\xaa\x55" * 128 * 1024
    with copied(tmp_path) as served:
        store(served, ct(study=f"{ROOT}.60", pixels=pixels))
        (pack,) = served.data.rglob("*.pack")
        served.stop()
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.write_bytes(content)
        with served.start(), as_user(served, "clinician") as client:
            answer = client.get(f"{STUDY}{path}", headers={"Accept": "*/*"})
            assert answer.status_code == 500
            assert set(answer.json()) == {"error", "remedy"}
            assert b"\xaa\x55\xaa\x55" not in answer.content
