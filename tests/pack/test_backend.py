"""What is particular to packs as files: system calls that do less than they were asked, and descriptors."""

import errno
import gc
import os
import resource
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from leadglass.errors import OutOfResources
from leadglass.pack.backend import Buffer, FilesystemBackend
from leadglass.pack.store import PackStore
from tests.pack.faulty import ARCHIVE, STUDY


@pytest.mark.parametrize("most", [1, 3, 4, 7, 100])
def test_short_writes_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    pack = FilesystemBackend(tmp_path).create(1, b"head")
    real = os.pwritev

    def short(descriptor: int, buffers: Sequence[Buffer], offset: int) -> int:
        return real(descriptor, [b"".join(map(bytes, buffers))[:most]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    pack.write(4, [b"one", memoryview(b"two"), b"", bytearray(b"three")])
    pack.close()
    assert FilesystemBackend(tmp_path).read(1, 0, 100) == b"headonetwothree"


@pytest.mark.parametrize("most", [1, 3, 100])
def test_short_reads_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    backend = FilesystemBackend(tmp_path)
    backend.create(1, b"the header of a pack").close()
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: real(descriptor, min(length, most), offset))
    assert backend.read(1, 4, 6) == b"header"
    assert backend.read(1, 14, 100) == b"a pack"


def test_a_pack_whose_header_cannot_be_made_durable_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fdatasync", fail)
    backend = FilesystemBackend(tmp_path)
    with pytest.raises(OSError, match="I/O"):
        backend.create(1, b"head")
    assert backend.numbers() == []


def test_directory_and_pack_are_durable_before_the_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_fdatasync = os.fsync, os.fdatasync

    def fsync(descriptor: int) -> None:
        order.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_fsync(descriptor)

    def fdatasync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        order.append(f"fdatasync {path.name} of {path.read_bytes().rstrip(bytes(1))!r}")
        real_fdatasync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fdatasync", fdatasync)
    FilesystemBackend(tmp_path).create(1, b"head").close()
    assert order == ["fdatasync 00000001.pack of b'head'", "fsync 000", f"fsync {tmp_path.name}"]


def test_links_in_the_place_of_packs_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "000").mkdir()
    (tmp_path / "elsewhere").write_bytes(b"secret")
    (tmp_path / "000" / "00000001.pack").symlink_to(tmp_path / "elsewhere")
    backend = FilesystemBackend(tmp_path)
    with pytest.raises(OSError, match="symbolic"):
        backend.read(1, 0, 6)
    with pytest.raises(OSError, match="symbolic"):
        backend.open(1)
    with pytest.raises(FileExistsError):
        backend.create(1, b"head")


def open_descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_descriptors_for_reading_are_bounded_and_let_go(tmp_path: Path) -> None:
    backend = FilesystemBackend(tmp_path)
    for number in range(1, 151):
        backend.create(number, b"head").close()
    before = open_descriptors()
    for number in range(1, 151):
        backend.read(number, 0, 4)
    assert open_descriptors() <= before + 64
    backend.close()
    assert open_descriptors() == before


@pytest.fixture
def file_size_limit() -> Iterator[None]:
    """The kernel refuses to let a file grow beyond 700,000 bytes: it writes a part, then says EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.usefixtures("file_size_limit")
def test_a_write_that_the_kernel_takes_in_part_leaves_the_pack_clean(tmp_path: Path) -> None:
    store = PackStore(FilesystemBackend(tmp_path), ARCHIVE)
    path = tmp_path / "000" / "00000001.pack"

    def keep(size: int) -> int:
        writer = store.begin()
        writer.write(bytes(size))
        stored = writer.finish(STUDY, b"")
        writer.sync()
        writer.release()
        return stored.location.end

    end = keep(400_000)
    with pytest.raises(OutOfResources):
        keep(400_000)
    assert path.stat().st_size == end
    assert path.stat().st_size < keep(100_000)
