"""Ends in order: SIGTERM loses nothing that was acknowledged and is bounded; a full disk refuses stores and no more."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from leadglass.dicom import tags, uids
from leadglass.dimse.message import CStoreRq, CStoreRsp, decode_command
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from tests.clients import CT, ROOT, connected, ct, find, get, instance_of, store
from tests.served import Served, peer_program
from tests.server.conftest import Copied
from tests.server.wire import DATA, associated, ended, eventually, pdu, read_pdu, value

ECHO = (uids.VERIFICATION, uids.EXPLICIT_LE)
STORE = (CT, uids.EXPLICIT_LE)
OUT_OF_RESOURCES = range(0xA700, 0xA800)
MIB = 1024**2


def is_whole(archive: Served) -> None:
    assert "; 0 problems" in archive.run("fsck", "--deep").replace("chains; ", "; ")


def instances(archive: Served, study: str) -> set[str]:
    return set(get(archive, {tags.STUDY_INSTANCE_UID: study})[2])


def status_in(peer: socket.socket) -> int:
    """The status of the C-STORE response that comes next."""
    kind, body = read_pdu(peer)
    assert kind == DATA
    answer, _ = decode_command(body[6:])
    assert isinstance(answer, CStoreRsp)
    return answer.status


# SIGTERM


def test_sigterm_in_the_middle_of_transfers(copied: Copied, tmp_path: Path) -> None:
    """Four senders store until they are cut off; each object that one was told of is there afterwards."""
    archive = copied(tmp_path).start()
    flowing = threading.Semaphore(0)

    def send(sender: int) -> list[str]:
        """UIDs of what was acknowledged."""
        stored = []
        study = f"{ROOT}.{100 + sender}"
        try:
            with connected(archive, "scanner", STORE) as scanner:
                for number in range(100_000):
                    data = ct(number, study=study, pixels=bytes(512 * 1024))
                    assert scanner.store(CT, instance_of(data), STORE[1], (data,)).status == SUCCESS
                    stored.append(instance_of(data))
                    flowing.release()
        except (LeadglassError, OSError):
            return stored
        return stored

    with ThreadPoolExecutor(4) as senders:
        acknowledged = [senders.submit(send, sender) for sender in range(4)]
        for _ in range(20):
            assert flowing.acquire(timeout=60)
        archive.stop()
    with archive:
        for sender, future in enumerate(acknowledged):
            assert set(future.result()) <= instances(archive, f"{ROOT}.{100 + sender}")
        is_whole(archive)
    assert "repaired" not in archive.log.read_text()


def test_sigterm_waits_for_the_message_under_way(copied: Copied, tmp_path: Path) -> None:
    """Half of an object is there when the signal comes, the rest comes after: it is stored and acknowledged."""
    archive = copied(tmp_path, "[dimse]\ndrain_seconds = 60\n").start()
    data = ct(pixels=bytes(4 * MIB))
    with associated(archive, "scanner", STORE) as (peer, association):
        peer.sendall(association.command(1, CStoreRq(1, CT, instance_of(data)), True))
        for start in range(0, 2 * MIB, 65_536):
            peer.sendall(pdu(4, value(1, 0, data[start : start + 65_536])))
        eventually(lambda: any((archive.data / "packs").rglob("*.pack")))
        with associated(archive, "scanner", ECHO) as (idle, _):
            assert archive.process is not None
            archive.process.send_signal(signal.SIGTERM)
            assert ended(idle) == b""  # the drain has begun
        for start in range(2 * MIB, len(data), 65_536):
            peer.sendall(pdu(4, value(1, 0, data[start : start + 65_536])))
        peer.sendall(pdu(4, value(1, 2, b"")))
        assert status_in(peer) == SUCCESS
    archive.stop()
    with archive:
        assert instances(archive, f"{ROOT}.1") == {instance_of(data)}


def test_the_drain_is_bounded(copied: Copied, tmp_path: Path) -> None:
    """A sender that stopped half-way keeps nobody: it may be idle for an hour, but not after SIGTERM."""
    archive = copied(tmp_path, "[dimse]\ndrain_seconds = 1\nidle_seconds = 3600\n").start()
    data = ct()
    with associated(archive, "scanner", STORE) as (peer, association):
        peer.sendall(association.command(1, CStoreRq(1, CT, instance_of(data)), True) + pdu(4, value(1, 0, data[:500])))
        archive.stop()
    with archive:
        assert find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: ""}) == []
        is_whole(archive)


def test_idle_associations_hold_up_nothing(copied: Copied, tmp_path: Path) -> None:
    """Nobody waits for them, however long the drain may take."""
    archive = copied(tmp_path, "[dimse]\ndrain_seconds = 3600\nidle_seconds = 3600\n").start()
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(associated(archive, "scanner", ECHO))
        archive.stop()


# The disk


def test_below_the_reserve_only_stores_are_refused(copied: Copied, tmp_path: Path) -> None:
    normal = copied(tmp_path)
    with normal:
        assert store(normal, ct(1))[0].status == SUCCESS
    too_much = 2 * shutil.disk_usage(tmp_path).free // MIB
    with Served(tmp_path, settings=f"[archive]\nreserve_mib = {too_much}\n") as short:
        answer = store(short, ct(2))[0]
        assert answer.status == 0xA700
        assert "reserve" in answer.error_comment
        assert len(find(short, "STUDY", {tags.STUDY_INSTANCE_UID: ""})) == 1
        assert instances(short, f"{ROOT}.1") == {instance_of(ct(1))}
        short.enrol("late", "modality")
        assert "A700" in short.log.read_text()
    with Served(tmp_path) as again:
        assert store(again, ct(2))[0].status == SUCCESS
        assert len(instances(again, f"{ROOT}.1")) == 2


@pytest.fixture
def small(copied: Copied, tmp_path: Path) -> Iterator[Served]:
    """An archive whose data lie on a disk of 192 MiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    archive = copied(tmp_path, "[archive]\nreserve_mib = 64\n")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        [peer_program("mount"), "-t", "tmpfs", "-o", "size=192m", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mount is not allowed here")
    try:
        archive.data = Path(shutil.move(archive.data, disk / "data"))
        yield archive
    finally:
        archive.kill()
        subprocess.run(["umount", str(disk)], check=True)


def fill(archive: Served) -> Path:
    """A file that takes all that is left on the disk."""
    ballast = archive.data.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for octets in (MIB, 4096):
            with suppress(OSError):  # that is when it is full
                while file.write(bytes(octets)):
                    pass
    return ballast


def store_while(archive: Served, data: bytes, between: Callable[[], object]) -> int:
    """The status of a C-STORE in the middle of which something happens."""
    with associated(archive, "scanner", STORE) as (peer, association):
        half = len(data) // 2
        peer.sendall(
            association.command(1, CStoreRq(1, CT, instance_of(data)), True) + pdu(4, value(1, 0, data[:1000]))
        )
        between()
        for start in range(1000, half * 2, 100_000):
            peer.sendall(pdu(4, value(1, 0, data[start : start + 100_000])))
        peer.sendall(pdu(4, value(1, 2, b"")))
        return status_in(peer)


@pytest.mark.parametrize("octets", [512, 8 * MIB], ids=["index-or-pack", "pack"])
def test_a_disk_that_is_full(small: Served, octets: int) -> None:
    """Space runs out in the middle of an object: A7xx, what was acknowledged stays, and it goes on by itself."""
    first, second, third = (ct(number, pixels=bytes(octets)) for number in (1, 2, 3))
    with small as archive:
        assert store(archive, first)[0].status == SUCCESS
        assert store_while(archive, second, lambda: fill(archive)) in OUT_OF_RESOURCES
        with connected(archive, "scanner", ECHO) as scanner:
            assert scanner.echo().status == SUCCESS
        (archive.data.parent / "ballast").unlink()
        assert instances(archive, f"{ROOT}.1") == {instance_of(first)}
        with connected(archive, "scanner", STORE) as scanner:
            for data in (second, third):
                assert scanner.store(CT, instance_of(data), STORE[1], (data,)).status == SUCCESS
        assert len(instances(archive, f"{ROOT}.1")) == 3
        is_whole(archive)
    assert "defect" not in archive.log.read_text()


def test_stopping_on_a_full_disk(small: Served) -> None:
    """The closing events cannot be written: the end is not clean, but nothing is lost."""
    with small as archive:
        assert store(archive, ct(1))[0].status == SUCCESS
        fill(archive)
        assert archive.process is not None
        archive.process.send_signal(signal.SIGTERM)
        assert archive.process.wait(60) in (0, 4)
        archive.process = None
    assert "Traceback" not in archive.log.read_text()
    (archive.data.parent / "ballast").unlink()
    with archive:
        assert instances(archive, f"{ROOT}.1") == {instance_of(ct(1))}
        is_whole(archive)
