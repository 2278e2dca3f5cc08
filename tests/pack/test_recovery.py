"""Every crash case of docs/formats/pack.md: what is on disk, recovered, and what is still there."""

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from leadglass.errors import RefusedForSafety, VerificationFailed
from leadglass.pack import recovery
from leadglass.pack.backend import Backend, Buffer, FilesystemBackend, PackFile
from leadglass.pack.format import OBJECT_HEADER, PACK_HEADER, TRAILER, encode_pack_header
from leadglass.pack.recovery import Cut, Recovery, Short
from leadglass.pack.store import PackStore
from leadglass.pack.writer import ObjectWriter, StoredObject
from tests.pack.faulty import ARCHIVE, STUDY, unwrap


def start(store: PackStore, data: bytes) -> tuple[ObjectWriter, StoredObject]:
    writer = store.begin()
    writer.write(data)
    return writer, writer.finish(STUDY, b"layout")


def keep(store: PackStore, data: bytes) -> StoredObject:
    writer, stored = start(store, data)
    writer.sync()
    writer.release()
    return stored


def opened(store: PackStore, stored: StoredObject) -> bytes:
    return b"".join(store.reader(stored.location, stored.object_id, unwrap).chunks())


def pack_path(folder: Path, number: int = 1) -> Path:
    return folder / "000" / f"{number:08d}.pack"


def store_at(folder: Path) -> PackStore:
    return PackStore(FilesystemBackend(folder), ARCHIVE)


def test_an_empty_archive(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.recover({}) == Recovery()
    assert keep(store, b"first").location.pack == 1


def test_a_crash_at_any_byte_of_an_object(tmp_path: Path) -> None:
    """The pack ends anywhere in the object under way: the committed one stays, the rest is cut, writing goes on."""
    (tmp_path / "whole").mkdir()
    store = store_at(tmp_path / "whole")
    kept = keep(store, b"kept")
    _, lost = start(store, os.urandom(200_000))
    whole = pack_path(tmp_path / "whole").read_bytes()
    segments = range(kept.location.end + OBJECT_HEADER, lost.location.end, 65_536)
    edges = {kept.location.end, lost.location.end, lost.location.end - TRAILER, *segments}
    points = {edge + step for edge in edges for step in (-1, 0, 1)} | set(
        random.Random(1).sample(range(kept.location.end, lost.location.end), 40)
    )
    for point in sorted(point for point in points if kept.location.end <= point <= lost.location.end):
        folder = tmp_path / str(point)
        pack_path(folder).parent.mkdir(parents=True)
        pack_path(folder).write_bytes(whole[:point])
        again = store_at(folder)
        written = kept.location.end + len(whole[kept.location.end : point].rstrip(b"\0"))
        cut = (Cut(1, kept.location.end, written),) if written > kept.location.end else ()
        assert again.recover({1: kept.location.end}) == Recovery(cut=cut)
        assert opened(again, kept) == b"kept"
        following = keep(again, b"next")
        assert (following.location.pack, following.location.offset) == (1, kept.location.end)
        walk = again.iter_objects(1, following.location.end)
        assert [found.location for found in walk] == [following.location, kept.location]
        again.close()
        shutil.rmtree(folder)


def test_a_crash_that_left_holes_in_the_object(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    kept = keep(store, b"kept")
    _, lost = start(store, os.urandom(100_000))
    with pack_path(tmp_path).open("r+b") as file:
        file.seek(kept.location.end)
        file.write(bytes(20_000))
    again = store_at(tmp_path)
    assert again.recover({1: kept.location.end}).cut == (Cut(1, kept.location.end, lost.location.end),)


def test_zeros_that_a_writer_left_ahead_of_itself_are_no_loss(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    kept = keep(store, b"kept")
    assert pack_path(tmp_path).stat().st_size > kept.location.end
    again = store_at(tmp_path)
    assert again.recover({1: kept.location.end}) == Recovery()
    assert pack_path(tmp_path).stat().st_size == kept.location.end


@pytest.mark.parametrize("length", [5_000, 3_000_000])
def test_zeros_in_the_place_of_an_acknowledged_object_are_a_loss(tmp_path: Path, length: int) -> None:
    """A pack that was copied while it was open, beside a newer index."""
    store = store_at(tmp_path)
    kept = keep(store, b"kept")
    copied = pack_path(tmp_path).read_bytes()
    lost = keep(store, os.urandom(length))
    store.close()
    pack_path(tmp_path).write_bytes(copied.ljust(lost.location.end, b"\0"))
    again = store_at(tmp_path)
    assert again.recover({1: lost.location.end}) == Recovery(short=(Short(1, lost.location.end, kept.location.end),))
    assert opened(again, kept) == b"kept"
    assert keep(again, b"next").location.pack == 2


def test_committed_but_not_yet_released(tmp_path: Path) -> None:
    writer, stored = start(store_at(tmp_path), b"committed")
    writer.sync()
    again = store_at(tmp_path)
    assert again.recover({1: stored.location.end}) == Recovery()
    assert opened(again, stored) == b"committed"


@pytest.mark.parametrize("content", [b"", b"LGPACK", encode_pack_header(ARCHIVE, 1), bytes(PACK_HEADER)])
def test_a_new_pack_without_objects_is_removed(tmp_path: Path, content: bytes) -> None:
    pack_path(tmp_path).parent.mkdir()
    pack_path(tmp_path).write_bytes(content)
    store = store_at(tmp_path)
    assert store.recover({}) == Recovery(removed=(1,))
    assert not pack_path(tmp_path).exists()
    assert keep(store, b"first").location.pack == 2


@pytest.mark.parametrize("drop", [0, 1, 1000])
def test_a_new_pack_whose_first_object_was_not_committed_is_removed(tmp_path: Path, drop: int) -> None:
    _, stored = start(store_at(tmp_path), os.urandom(5000))
    os.truncate(pack_path(tmp_path), stored.location.end - drop)
    assert store_at(tmp_path).recover({}) == Recovery(removed=(1,))


def test_an_index_older_than_the_packs_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    first, second, third = keep(store, b"one"), keep(store, os.urandom(100_000)), keep(store, b"three")
    before = pack_path(tmp_path).read_bytes()
    for ends in ({}, {1: first.location.end}):
        for tail in (0, 1, len(before) - second.location.end - OBJECT_HEADER):
            pack_path(tmp_path).write_bytes(before[: len(before) - tail])
            with pytest.raises(RefusedForSafety, match="older"):
                store_at(tmp_path).recover(ends)
            assert pack_path(tmp_path).read_bytes() == before[: len(before) - tail]
    pack_path(tmp_path).write_bytes(before)
    assert store_at(tmp_path).recover({1: second.location.end}).cut == (
        Cut(1, second.location.end, third.location.end),
    )


def test_the_look_for_further_objects_finds_trailers_across_its_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_at(tmp_path)
    keep(store, bytes(100))
    keep(store, bytes(100))
    for scan in (TRAILER, TRAILER + 1, 150, 301):
        monkeypatch.setattr(recovery, "_SCAN", scan)
        with pytest.raises(RefusedForSafety, match="older"):
            store_at(tmp_path).recover({})


def test_nothing_is_changed_in_any_pack_when_one_is_refused(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    (one, kept), (two, other) = start(store, b"one"), start(store, b"two")
    for writer in (one, two):
        writer.sync()
        writer.release()
    following = keep(store, b"three")
    assert (kept.location.pack, other.location.pack, following.location.pack) == (1, 2, 2)
    sizes = [pack_path(tmp_path, number).stat().st_size for number in (1, 2)]
    with pytest.raises(RefusedForSafety):
        store_at(tmp_path).recover({})
    assert [pack_path(tmp_path, number).stat().st_size for number in (1, 2)] == sizes


def test_lost_bytes_are_reported_and_the_pack_is_not_written(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    first, second = keep(store, b"one"), keep(store, b"two")
    os.truncate(pack_path(tmp_path), second.location.end - 5)
    again = store_at(tmp_path)
    found = again.recover({1: second.location.end, 7: 500})
    assert found == Recovery(short=(Short(7, 500, 0), Short(1, second.location.end, second.location.end - 5)))
    assert opened(again, first) == b"one"
    with pytest.raises(VerificationFailed):
        opened(again, second)
    assert keep(again, b"new").location.pack == 8


@pytest.mark.parametrize("header", [encode_pack_header(bytes(16), 1), encode_pack_header(ARCHIVE, 2), bytes(40)])
def test_packs_of_another_archive_are_refused(tmp_path: Path, header: bytes) -> None:
    stored = keep(store_at(tmp_path), b"one")
    with pack_path(tmp_path).open("r+b") as file:
        file.write(header)
    with pytest.raises(RefusedForSafety):
        store_at(tmp_path).recover({1: stored.location.end})


def test_full_packs_are_not_reused(tmp_path: Path) -> None:
    stored = keep(PackStore(FilesystemBackend(tmp_path), ARCHIVE, roll_at=1000), bytes(2000))
    again = PackStore(FilesystemBackend(tmp_path), ARCHIVE, roll_at=1000)
    again.recover({1: stored.location.end})
    assert keep(again, b"next").location.pack == 2


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("000/notes.txt", "000/1.pack", "001/00000001.pack", "00000001.pack", "000/00000000.pack"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"other")
    store = store_at(tmp_path)
    assert store.numbers() == []
    assert store.recover({}) == Recovery()
    assert (tmp_path / "000" / "notes.txt").read_bytes() == b"other"


def test_the_walk_finds_every_object_last_first(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    kept = [keep(store, bytes(size)) for size in (0, 10, 3_000_000, 70_000)]
    found = list(store.iter_objects(1, kept[-1].location.end))
    assert [f.location for f in found] == [k.location for k in reversed(kept)]
    assert [f.object_id for f in found] == [k.object_id for k in reversed(kept)]
    assert [f.plain_length for f in found] == [70_000, 3_000_000, 10, 0]
    assert {f.study_key for f in found} == {STUDY.id}
    assert [f.location for f in store.iter_objects(1, kept[1].location.end)] == [kept[1].location, kept[0].location]


def test_the_walk_stops_at_damage_and_goes_on_from_an_end_that_is_known(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    kept = [keep(store, bytes(5000)) for _ in range(3)]
    middle = kept[1].location
    whole = pack_path(tmp_path).read_bytes()
    trailer = middle.end - TRAILER
    for position in (
        middle.offset,
        middle.offset + 10,
        trailer - 1,
        trailer,
        trailer + 20,
        trailer + 30,
        middle.end - 1,
    ):
        changed = bytearray(whole)
        changed[position] ^= 1
        pack_path(tmp_path).write_bytes(changed)
        walk = store.iter_objects(1, kept[2].location.end)
        assert next(walk).location == kept[2].location
        with pytest.raises(VerificationFailed):
            next(walk)
        assert [f.location for f in store.iter_objects(1, middle.offset)] == [kept[0].location]


class Crash(BaseException):
    """The process dies here."""


class DyingBackend(FilesystemBackend):
    """Dies at the n-th call, before or after the work; half-way for writes."""

    def __init__(self, directory: Path, dies_at: int, how: str) -> None:
        super().__init__(directory)
        self.left, self.how = dies_at, how

    def step(self) -> str:
        self.left -= 1
        return self.how if self.left == 0 else ""

    def create(self, number: int, header: bytes) -> PackFile:
        how = self.step()
        if how == "before":
            raise Crash
        if how == "half":
            path = self.path(number)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(header[: len(header) // 2])
            raise Crash
        pack = super().create(number, header)
        if how:
            raise Crash
        return DyingPack(pack, self)

    def open(self, number: int) -> PackFile:
        return DyingPack(super().open(number), self)


class DyingPack:
    def __init__(self, inner: PackFile, backend: DyingBackend) -> None:
        self._inner, self._backend = inner, backend

    def write(self, offset: int, buffers: Sequence[Buffer]) -> None:
        how = self._backend.step()
        whole = b"".join(bytes(buffer) for buffer in buffers)
        size = {"before": 0, "half": len(whole) // 2}.get(how, len(whole))
        self._inner.write(offset, [whole[:size]])
        if how:
            raise Crash

    def sync(self) -> None:
        how = self._backend.step()
        if how:
            raise Crash
        self._inner.sync()

    def truncate(self, size: int) -> None:
        how = self._backend.step()
        if how != "before":
            self._inner.truncate(size)
        if how:
            raise Crash

    def close(self) -> None:
        self._inner.close()

    def close_for_ever(self) -> None:
        self._inner.close_for_ever()


def scenario(backend: Backend, committed: list[tuple[bytes, StoredObject]]) -> None:
    """Objects small and large, one abandoned; `committed` is the index."""
    store = PackStore(backend, ARCHIVE, roll_at=2_000_000)
    store.recover(ends(committed))
    for size in (1000, 3_000_000, 0, 1_500_000, 1_500_000, 10):
        writer, stored = start(store, bytes([size % 251]) * size)
        writer.sync()
        committed.append((bytes([size % 251]) * size, stored))
        writer.release()
        refused, _ = start(store, bytes(2_000))
        refused.abandon()


def ends(committed: list[tuple[bytes, StoredObject]]) -> dict[int, int]:
    result: dict[int, int] = {}
    for _, stored in committed:
        result[stored.location.pack] = max(result.get(stored.location.pack, 0), stored.location.end)
    return result


@pytest.mark.parametrize("how", ["before", "half", "after"])
def test_a_crash_at_every_call_of_the_store_path(tmp_path: Path, how: str) -> None:
    """The calls are counted by running the scenario, not chosen by hand."""
    counting = DyingBackend(tmp_path / "count", 0, "")
    (tmp_path / "count").mkdir()
    scenario(counting, [])
    calls = -counting.left
    assert calls > 20
    for point in range(1, calls + 1):
        folder = tmp_path / f"{point}"
        folder.mkdir()
        committed: list[tuple[bytes, StoredObject]] = []
        with pytest.raises(Crash):
            scenario(DyingBackend(folder, point, how), committed)
        store = store_at(folder)
        found = store.recover(ends(committed))
        assert found.short == ()
        assert len(found.cut) + len(found.removed) <= 1
        for data, stored in committed:
            assert opened(store, stored) == data
        walked = {item.object_id for number in store.numbers() for item in store.iter_objects(number)}
        assert walked == {stored.object_id for _, stored in committed}
        keep(store, b"and on")
        store.close()
        shutil.rmtree(folder)
