"""Where packs are kept. One contract suite (tests/contract/test_pack_backend.py) runs on every backend.

Backends raise OSError as the system reports it; the store says what it means.
"""

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

Buffer = bytes | bytearray | memoryview

_NAME = re.compile(r"0*([1-9][0-9]*)\.pack")
_PER_DIRECTORY = 1000
#: Descriptors kept open for reading.
_CACHED = 64
_CLOSED_MODE = 0o400
#: Bytes at a pack's end that stay in the page cache, since a fresh study is looked at soon. What lies before them is
#: given back in pieces of at least `_GIVEN_BACK`: ingest would else push the index out of memory, and pages that go
#: round are cheaper than ever new ones.
_KEPT_CACHED = 64 * 1024 * 1024
_GIVEN_BACK = 4 * 1024 * 1024
#: Where no more than this is to be synced and makes a pack longer, zeros are written ahead of it too. Where bytes lie
#: already a sync waits for the bytes only; where a file grows, it waits for the file system's journal as well, which
#: takes longer than a small object does. Large ones would not gain what writing them twice costs.
_SMALL = 256 * 1024
_AHEAD = bytes(2 * 1024 * 1024)


class PackFile(Protocol):
    """A pack open for writing, by one writer at a time. Until it is closed, zeros may lie behind what was written."""

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        """All the buffers one after the other from `offset` on; one system call unless the system takes less."""

    def sync(self) -> None:
        """Returns once everything written is durable, its length too."""

    def truncate(self, size: int) -> None:
        """Of what was written from there on nothing is left."""

    def close(self) -> None: ...

    def close_for_ever(self) -> None:
        """Close and mark the pack so that it is never written again, as far as the storage still takes a mark."""


class Backend(Protocol):
    """Numbered packs."""

    def numbers(self) -> list[int]:
        """Every pack there is, ascending."""

    def create(self, number: int, header: bytes) -> PackFile:
        """A new pack that begins with `header`, durable with its name. FileExistsError if the number is taken."""

    def open(self, number: int) -> PackFile: ...

    def closed(self, number: int) -> bool:
        """Whether the pack was closed for ever."""

    def size(self, number: int) -> int:
        """What lies behind an open pack's end is counted."""

    def read(self, number: int, offset: int, length: int) -> bytes:
        """Fewer bytes only where the pack ends. Safe from any thread, while the pack is written too."""

    def remove(self, number: int) -> None: ...

    def close(self) -> None:
        """Let go of what is open for reading."""


class FilesystemPack:
    """`_end` is where what was written ends, `_size` where the file does. `_unsynced`: bytes written since a sync."""

    __slots__ = ("_cached_from", "_descriptor", "_end", "_size", "_unsynced")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._cached_from = self._end = self._size = os.fstat(descriptor).st_size
        self._unsynced = 0

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        left = sum(map(len, buffers))
        self._end = max(self._end, offset + left)
        self._unsynced += left
        if self._end > self._size and self._unsynced <= _SMALL:
            buffers = [*buffers, _AHEAD]
        written = os.pwritev(self._descriptor, buffers, offset)
        self._size = max(self._size, offset + written)
        while written < left:
            # A short write is how a filling disk begins to fail; the next call says why.
            offset, left = offset + written, left - written
            buffers = _after(buffers, written)
            written = os.pwritev(self._descriptor, buffers, offset)
            self._size = max(self._size, offset + written)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)
        self._unsynced = 0
        behind = self._end - _KEPT_CACHED
        if behind - self._cached_from >= _GIVEN_BACK:
            os.posix_fadvise(self._descriptor, self._cached_from, behind - self._cached_from, os.POSIX_FADV_DONTNEED)
            self._cached_from = behind

    def truncate(self, size: int) -> None:
        if self._end < self._size and self._end - size <= _SMALL:
            # What lies ahead stays of use: an object that is sent again is cut each time.
            self.write(size, [_AHEAD[: self._end - size]])
        else:
            os.ftruncate(self._descriptor, size)
            self._size = size
        self._end = size
        self._unsynced = 0

    def close(self) -> None:
        if self._end < self._size:
            # Where that fails the next start does it.
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
        os.close(self._descriptor)

    def close_for_ever(self) -> None:
        # The disk has failed already and that error is on its way up; a second one about the mark adds nothing.
        with suppress(OSError):
            os.fchmod(self._descriptor, _CLOSED_MODE)
        self.close()


class FilesystemBackend:
    """Packs as files below a directory, `DDD/NNNNNNNN.pack`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._readers: OrderedDict[int, _Reader] = OrderedDict()
        self._lock = threading.Lock()

    def numbers(self) -> list[int]:
        found = []
        for path in self._directory.glob("*/*.pack"):
            match = _NAME.fullmatch(path.name)
            if match and path == self.path(number := int(match[1])):
                found.append(number)
        return sorted(found)

    def path(self, number: int) -> Path:
        return self._directory / f"{number // _PER_DIRECTORY:03d}" / f"{number:08d}.pack"

    def create(self, number: int, header: bytes) -> PackFile:
        path = self.path(number)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        pack = FilesystemPack(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            pack.write(0, [header])
            pack.sync()
            _sync_directory(path.parent)
            # Always: a directory that is there already may be another thread's, or a dead process's, not synced yet.
            _sync_directory(self._directory)
        except OSError:
            pack.close()
            path.unlink()
            raise
        return pack

    def open(self, number: int) -> PackFile:
        return FilesystemPack(os.open(self.path(number), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))

    def closed(self, number: int) -> bool:
        return not self.path(number).stat().st_mode & 0o200

    def size(self, number: int) -> int:
        return self.path(number).stat().st_size

    def read(self, number: int, offset: int, length: int) -> bytes:
        reader = self._reader(number)
        data = os.pread(reader.descriptor, length, offset)
        if 0 < len(data) < length:
            data += self.read(number, offset + len(data), length - len(data))
        return data

    def remove(self, number: int) -> None:
        with self._lock:
            self._readers.pop(number, None)
        path = self.path(number)
        path.unlink()
        _sync_directory(path.parent)

    def close(self) -> None:
        with self._lock:
            self._readers.clear()

    def _reader(self, number: int) -> "_Reader":
        with self._lock:
            reader = self._readers.get(number)
            if reader is None:
                reader = _Reader(os.open(self.path(number), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
                self._readers[number] = reader
                if len(self._readers) > _CACHED:
                    self._readers.popitem(last=False)
            else:
                self._readers.move_to_end(number)
            return reader


class _Reader:
    """A descriptor that closes when its last user lets go: a cache must not close it under a reading thread."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def _after(buffers: Sequence[Buffer], written: int) -> list[Buffer]:
    rest: list[Buffer] = []
    for buffer in buffers:
        rest.append(memoryview(buffer)[min(written, len(buffer)) :])
        written = max(written - len(buffer), 0)
    return rest


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
