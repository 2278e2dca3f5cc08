"""The archive itself, without doors: for what only its own process can show."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.fsck import Checked, fsck
from leadglass.archive.identity import Placed
from leadglass.archive.store import Received, StoreSession
from leadglass.dicom import uids
from leadglass.model import DEFAULT_SITE, Principal, Role
from tests.clients import CT, instance_of
from tests.served import Served

LOCAL = Principal("local", "root", frozenset())


def device(name: str = "scanner", role: Role = Role.MODALITY, site: str = DEFAULT_SITE, issuer: str = "") -> Principal:
    return Principal("device", name, frozenset({role}), site=site, issuer=issuer)


@contextmanager
def opened(folder: Served) -> Iterator[Archive]:
    """The archive below a folder that is not served meanwhile."""
    archive = open_archive(folder.data, folder.keys, ArchiveConfig())
    try:
        yield archive
    finally:
        archive.close()


def put(archive: Archive, data_set: bytes, sender: Principal | None = None) -> Placed:
    received = Received(CT, instance_of(data_set), uids.EXPLICIT_LE)
    with StoreSession(archive, sender or device(), received) as session:
        session.write(data_set)
        return session.finish()


def checked(archive: Archive) -> Checked:
    return fsck(archive, LOCAL, deep=True, progress=lambda *_: None)


class TellingLock:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.awaited = threading.Event()

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self.awaited.set()
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
