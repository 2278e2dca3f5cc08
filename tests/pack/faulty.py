"""Backends for tests: one that fails when told, before or after having done the work; what a study's key unwraps."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path

from leadglass.crypto.wrapping import unwrap_key
from leadglass.pack.backend import Buffer, FilesystemBackend, PackFile
from leadglass.pack.format import StudyKey, WrappedKey

ARCHIVE = bytes(range(16))
STUDY = StudyKey(42, bytes(range(32)))


def unwrap(wrapped: WrappedKey) -> bytes:
    return unwrap_key(STUDY.key, wrapped.wrapped, wrapped.associated_data)


class Faults:
    """Which calls fail: name → errno. `persists`: a failing call has done its work all the same."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.persists = False
        self.calls: list[str] = []

    def __call__(self, name: str, work: Callable[[], None]) -> None:
        self.calls.append(name)
        code = self.failing.get(name)
        if code is None or self.persists:
            work()
        if code is not None:
            raise OSError(code, errno.errorcode[code])


class FaultyPack:
    def __init__(self, inner: PackFile, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        def work() -> None:
            self._inner.write(offset, buffers)

        if not self._faults.persists and self._faults.failing.get("write") == errno.ENOSPC:
            # A filling disk takes a part.
            whole = b"".join(bytes(buffer) for buffer in buffers)
            self._inner.write(offset, [whole[: len(whole) // 2]])
        self._faults("write", work)

    def sync(self) -> None:
        self._faults("sync", self._inner.sync)

    def truncate(self, size: int) -> None:
        self._faults("truncate", lambda: self._inner.truncate(size))

    def close(self) -> None:
        self._inner.close()

    def close_for_ever(self) -> None:
        self._inner.close_for_ever()


class FaultyBackend(FilesystemBackend):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.faults = Faults()

    def create(self, number: int, header: bytes) -> PackFile:
        self.faults("create", lambda: None)
        return FaultyPack(super().create(number, header), self.faults)

    def open(self, number: int) -> PackFile:
        return FaultyPack(super().open(number), self.faults)
