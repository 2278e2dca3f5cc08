"""The data directory: what lies where, its format version, and the lock that keeps it to one process.

VERSION      "leadglass 1", written last at creation: a directory without it is not an archive
lock         locked by the process that has the archive open, whose number is in it, and by those that receive for it
index.db     the sealed index (docs/formats/index.md)
packs/       the sealed objects (docs/formats/pack.md)
control.sock the owner-only socket of a running `serve`
"""

import fcntl
import os
import time
from pathlib import Path

from leadglass.errors import NotAvailable, RefusedForSafety

FORMAT = 1
#: How long those take to end that share the lock of a process that is gone.
ENDING_SECONDS = 10.0


class DataDirectory:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = path / "index.db"
        self.packs = path / "packs"
        self.control = path / "control.sock"
        self._version = path / "VERSION"
        self._lock = -1

    @staticmethod
    def require_free(path: Path) -> None:
        """Raises RefusedForSafety unless `path` is an empty directory or nothing."""
        if os.path.lexists(path) and (not path.is_dir() or any(path.iterdir())):
            raise RefusedForSafety(f"{path} is not an empty directory.", "Give a new directory to --data.")

    @classmethod
    def create(cls, path: Path) -> "DataDirectory":
        """An empty directory, 0700. Raises RefusedForSafety when anything is in it."""
        cls.require_free(path)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        directory = cls(path)
        directory.packs.mkdir(mode=0o700)
        return directory

    def finish_creation(self) -> None:
        descriptor = os.open(self._version, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, f"leadglass {FORMAT}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _sync_directory(self.path)

    @classmethod
    def open(cls, path: Path) -> "DataDirectory":
        """Raises RefusedForSafety when this is no archive, or one of a newer Leadglass."""
        directory = cls(path)
        try:
            words = directory._version.read_text().split()
        except FileNotFoundError:
            raise RefusedForSafety(
                f"{path} holds no archive.", "Make one with `leadglass init`, or give the right --data."
            ) from None
        except OSError as error:
            raise RefusedForSafety(
                f"{path} cannot be read: {error.strerror}.", "Run as the user that owns the archive."
            ) from None
        if len(words) != 2 or words[0] != "leadglass" or not words[1].isdecimal():
            raise RefusedForSafety(f"{path}/VERSION is not Leadglass's.", "Give the right --data.")
        if int(words[1]) > FORMAT:
            raise RefusedForSafety(
                f"{path} was written by a newer Leadglass (format {words[1]}).", "Install that version or a later one."
            )
        return directory

    def lock(self) -> None:
        """Raises NotAvailable when another process has the archive open. The processes that receive for one that was
        killed end with it, and are waited for."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + ENDING_SECONDS
        while not _locked(descriptor):
            if _is_alive(os.pread(descriptor, 32, 0)) or time.monotonic() > deadline:
                os.close(descriptor)
                raise NotAvailable("Another process has this archive open.", "Stop it, or wait until it is done.")
            time.sleep(0.01)  # flock(2) waits for ever or not at all
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d" % os.getpid(), 0)
        self._lock = descriptor

    @property
    def locked_by(self) -> int:
        """The descriptor that holds the lock: whoever has a copy holds it too."""
        return self._lock

    def sign_off(self) -> None:
        """This process ends in order: nobody has to wait for what it leaves behind."""
        os.ftruncate(self._lock, 0)

    def unlock(self) -> None:
        if self._lock >= 0:
            self.sign_off()
            os.close(self._lock)
            self._lock = -1


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(number: bytes) -> bool:
    """Whether a process has this number. One that has not written it yet is."""
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (ValueError, PermissionError):
        return True
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
