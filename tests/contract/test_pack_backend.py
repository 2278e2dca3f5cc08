"""What every backend of packs must do. A new backend is one line in `BACKENDS`."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from leadglass.pack.backend import Backend, FilesystemBackend

BACKENDS: dict[str, Callable[[Path], Backend]] = {"filesystem": FilesystemBackend}


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


def test_begins_empty(backend: Backend) -> None:
    assert backend.numbers() == []
    with pytest.raises(FileNotFoundError):
        backend.read(1, 0, 1)
    with pytest.raises(FileNotFoundError):
        backend.open(1)


def test_a_new_pack_holds_its_header_and_its_number_is_taken(backend: Backend) -> None:
    backend.create(3, b"header").close()
    backend.create(1000, b"other").close()
    assert backend.numbers() == [3, 1000]
    assert (backend.read(3, 0, 100), backend.size(3)) == (b"header", 6)
    with pytest.raises(FileExistsError):
        backend.create(3, b"again")
    assert backend.read(3, 0, 100) == b"header"


def test_writes_go_where_they_are_told_and_are_read_back(backend: Backend) -> None:
    pack = backend.create(1, b"head")
    pack.write(4, [b"one", bytearray(b"two"), memoryview(b"three")])
    pack.sync()
    assert backend.read(1, 0, 15) == b"headonetwothree"
    assert backend.read(1, 5, 4) == b"netw"
    assert not any(backend.read(1, 15, 4))
    pack.write(7, [b"TWO"])
    pack.close()
    assert backend.read(1, 15, 4) == b""
    again = backend.open(1)
    again.write(15, [b"!"])
    again.close()
    assert backend.read(1, 4, 100) == b"oneTWOthree!"


def test_truncation_is_seen_by_readers(backend: Backend) -> None:
    pack = backend.create(1, b"head")
    pack.write(4, [b"tail"])
    assert backend.read(1, 0, 8) == b"headtail"
    pack.truncate(4)
    assert backend.read(1, 0, 8).rstrip(b"\0") == b"head"
    pack.write(4, [b"new"])
    assert backend.read(1, 0, 8).rstrip(b"\0") == b"headnew"
    pack.truncate(4)
    pack.close()
    assert (backend.read(1, 0, 8), backend.size(1)) == (b"head", 4)


@pytest.mark.parametrize("lengths", [(1000,) * 50, (1000, 300_000, 1000, 3_000_000, 1000), (3_000_000, 1000)])
def test_a_closed_pack_ends_where_its_last_write_did(backend: Backend, lengths: tuple[int, ...]) -> None:
    pack = backend.create(1, b"head")
    written = b"head"
    for number, length in enumerate(lengths, 1):
        pack.write(len(written), [bytes([number]) * length])
        pack.sync()
        written += bytes([number]) * length
        pack.write(len(written), [b"refused" * 100])
        pack.truncate(len(written))
    assert backend.read(1, 0, len(written)) == written
    assert not any(backend.read(1, len(written), 10_000_000))
    pack.close()
    assert (backend.size(1), backend.read(1, 0, len(written))) == (len(written), written)


def test_closed_for_ever_outlives_the_file_object(backend: Backend) -> None:
    pack = backend.create(1, b"head")
    assert not backend.closed(1)
    pack.close_for_ever()
    assert backend.closed(1)
    assert backend.read(1, 0, 4) == b"head"


def test_removed_packs_are_gone(backend: Backend) -> None:
    backend.create(1, b"head").close()
    assert backend.read(1, 0, 4) == b"head"
    backend.remove(1)
    assert backend.numbers() == []
    with pytest.raises(FileNotFoundError):
        backend.read(1, 0, 4)
    backend.create(1, b"anew").close()
    assert backend.read(1, 0, 4) == b"anew"


def test_many_packs_are_read_from_many_threads(backend: Backend) -> None:
    for number in range(1, 101):
        backend.create(number, b"%d" % number).close()
    wrong: list[int] = []

    def read(offset: int) -> None:
        for step in range(300):
            number = (step * 7 + offset) % 100 + 1
            if backend.read(number, 0, 10) != b"%d" % number:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    backend.close()
    assert backend.read(1, 0, 1) == b"1"
