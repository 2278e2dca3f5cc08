"""What fails below the archive is answered and costs nothing that stays open."""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.dicom import uids
from leadglass.dimse.message import CStoreRq, CStoreRsp
from leadglass.dimse.status import SUCCESS
from leadglass.model import Principal, Role
from leadglass.server.dimse.exchange import Desk
from leadglass.server.dimse.store import StoreExchange
from tests.clients import CT, ROOT, ct, instance_of
from tests.server.conftest import Copied

PROCESSING_FAILURE = 0x0110
STUDY = f"{ROOT}.73"


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Iterator[Archive]:
    """Open in this process."""
    served = copied(tmp_path)
    here = open_archive(served.data, served.keys, ArchiveConfig(reserve_bytes=0))
    try:
        yield here
    finally:
        here.close()


def stored(archive: Archive, number: int) -> int:
    """The status with which a C-STORE is answered."""
    answers: list[CStoreRsp] = []
    desk = SimpleNamespace(
        archive=archive,
        principal=Principal("device", "scanner", frozenset({Role.MODALITY})),
        association=SimpleNamespace(contexts={1: SimpleNamespace(transfer_syntax=uids.EXPLICIT_LE)}),
        connection=SimpleNamespace(peer="192.0.2.1"),
        reply=lambda _, message: answers.append(message),
    )
    data = ct(number, study=STUDY)
    exchange = StoreExchange(cast(Desk, desk), 1, CStoreRq(number, CT, instance_of(data)))
    assert exchange.take(memoryview(data), True)
    return answers[0].status


def open_packs() -> int:
    return sum(path.name.endswith(".pack") for path in map(_target, Path("/proc/self/fd").iterdir()))


def _target(descriptor: Path) -> Path:
    try:
        return descriptor.readlink()
    except FileNotFoundError:
        return descriptor  # that of the listing itself


def fail(error: Exception) -> Callable[..., Any]:
    def failing(*_: object) -> Any:
        raise error

    return failing


def test_an_index_that_fails(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the row was committed is unknown: the pack is let go of, and the sender told to try again."""
    assert stored(archive, 1) == SUCCESS
    before = open_packs()
    with monkeypatch.context() as patch:
        patch.setattr(archive.committer, "run_beside", fail(sqlite3.OperationalError("disk I/O error")))
        assert stored(archive, 2) == PROCESSING_FAILURE
    assert open_packs() == before - 1
    assert stored(archive, 2) == SUCCESS


@pytest.mark.parametrize("error", [sqlite3.OperationalError("locked"), OSError(errno.EIO, "Input/output error")])
def test_keys_that_cannot_be_read(archive: Archive, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Nothing was asked of the committer: what was written is given up, and the pack is used again."""
    assert stored(archive, 1) == SUCCESS
    before = open_packs()
    with monkeypatch.context() as patch:
        patch.setattr(archive.keyring, "acquire", fail(error))
        assert stored(archive, 2) == PROCESSING_FAILURE
    assert open_packs() == before
    assert stored(archive, 2) == SUCCESS


def test_free_space_that_cannot_be_asked(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(archive.disk, "check", fail(OSError(errno.EIO, "Input/output error")))
        assert stored(archive, 1) == PROCESSING_FAILURE
    assert stored(archive, 1) == SUCCESS
