import errno
import hashlib
import itertools
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.crypto.wrapping import unwrap_key
from leadglass.errors import NotAvailable, OutOfResources, UsageError, VerificationFailed
from leadglass.pack.backend import FilesystemBackend
from leadglass.pack.format import PACK_HEADER, Location, StudyKey, WrappedKey
from leadglass.pack.recovery import Recovery
from leadglass.pack.store import PackStore
from leadglass.pack.writer import StoredObject
from tests.pack.faulty import ARCHIVE, STUDY, FaultyBackend, unwrap


@pytest.fixture
def backend(tmp_path: Path) -> FaultyBackend:
    return FaultyBackend(tmp_path)


@pytest.fixture
def store(backend: FaultyBackend) -> PackStore:
    return PackStore(backend, ARCHIVE)


def keep(store: PackStore, data: bytes, layout: bytes = b"layout") -> StoredObject:
    writer = store.begin()
    writer.write(data)
    stored = writer.finish(STUDY, layout)
    writer.sync()
    writer.release()
    return stored


def opened(store: PackStore, stored: StoredObject) -> bytes:
    return b"".join(store.reader(stored.location, stored.object_id, unwrap).chunks())


@pytest.mark.parametrize("size", [0, 1, 36_000, 528_000, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_round_trip(store: PackStore, size: int) -> None:
    data = os.urandom(size)
    stored = keep(store, data)
    assert (stored.plain_length, stored.digest) == (size, hashlib.sha256(data).digest())
    reader = store.reader(stored.location, stored.object_id, unwrap)
    assert (reader.length, reader.layout, reader.digest) == (size, b"layout", stored.digest)
    assert b"".join(reader.chunks()) == data
    assert reader.read(size // 3, size // 2) == data[size // 3 : size // 3 + size // 2]
    with pytest.raises(UsageError):
        reader.read(0, size + 1)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(0, 700_000), max_size=8), layout=st.binary(max_size=10_000))
def test_any_sequence_of_writes(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], layout: bytes) -> None:
    store = PackStore(FilesystemBackend(tmp_path_factory.mktemp("packs")), ARCHIVE)
    writer = store.begin()
    digest = hashlib.sha256()
    buffer = bytearray(700_000)
    for number, size in enumerate(sizes):
        buffer[:size] = bytes([number + 1]) * size
        writer.write(memoryview(buffer)[:size])
        digest.update(memoryview(buffer)[:size])
    stored = writer.finish(STUDY, layout)
    writer.sync()
    writer.release()
    assert stored.digest == digest.digest()
    reader = store.reader(stored.location, stored.object_id, unwrap)
    assert reader.layout == layout
    assert b"".join(reader.chunks()) == b"".join(bytes([n + 1]) * size for n, size in enumerate(sizes))
    store.close()


def test_small_objects_cost_one_write_and_one_sync(store: PackStore, backend: FaultyBackend) -> None:
    for size in (100, 36_000, 528_000, 1 << 20):
        backend.faults.calls.clear()
        writer = store.begin()
        data = memoryview(bytes(size))
        for start in range(0, size, 131_060):
            writer.write(data[start : start + 131_060])
        assert backend.faults.calls == []
        writer.finish(STUDY, b"")
        writer.sync()
        writer.release()
        assert [call for call in backend.faults.calls if call != "create"] == ["write", "sync"]


def test_large_objects_are_written_in_large_batches(store: PackStore, backend: FaultyBackend) -> None:
    size = 20_000_000
    writer = store.begin()
    for start in range(0, size, 65_536):
        writer.write(bytes(min(65_536, size - start)))
    writer.finish(STUDY, b"")
    assert backend.faults.calls.count("write") <= size // (1 << 20) + 1
    writer.abandon()


def test_nothing_unsealed_reaches_the_disk(store: PackStore, tmp_path: Path) -> None:
    name = b"PLANTED^NAME"
    writer = store.begin()
    for _ in range(300):
        writer.write(name * 1000)
    stored = writer.finish(STUDY, b"PLANTED LAYOUT")
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(everything) > 3_000_000
    for secret in (name, b"PLANTED LAYOUT", stored.digest, STUDY.key):
        assert secret not in everything
        assert repr(secret)[2:-1] not in repr((stored.location, STUDY, writer))


def test_objects_lie_back_to_back_and_files_are_ours_alone(store: PackStore, tmp_path: Path) -> None:
    first, second = keep(store, b"one"), keep(store, b"two" * 100_000)
    assert (first.location.pack, first.location.offset) == (1, PACK_HEADER)
    assert (second.location.pack, second.location.offset) == (1, first.location.end)
    pack = tmp_path / "000" / "00000001.pack"
    store.close()
    assert pack.stat().st_size == second.location.end
    assert (pack.stat().st_mode & 0o777, pack.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_writers_at_once_have_a_pack_each_and_the_last_returned_is_next(store: PackStore) -> None:
    writers = [store.begin() for _ in range(3)]
    for writer in writers:
        writer.write(b"x")
    packs = [writer.finish(STUDY, b"").location.pack for writer in writers]
    assert packs == [1, 2, 3]
    for index in (1, 0, 2):
        writers[index].sync()
        writers[index].release()
    assert [keep(store, b"y").location.pack for _ in range(3)] == [3, 3, 3]


def test_threads_share_the_store(store: PackStore) -> None:
    kept: list[tuple[bytes, StoredObject]] = []

    def work(seed: int) -> None:
        for number in range(20):
            data = bytes([seed, number]) * (number * 9000)
            kept.append((data, keep(store, data)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 80
    assert len(store.numbers()) <= 4
    assert all(opened(store, stored) == data for data, stored in kept)
    spans = sorted((s.location.pack, s.location.offset, s.location.end) for _, s in kept)
    for before, after in itertools.pairwise(spans):
        assert before[0] < after[0] or before[2] == after[1]


def test_packs_roll(backend: FaultyBackend) -> None:
    store = PackStore(backend, ARCHIVE, roll_at=100_000)
    locations = [keep(store, bytes(40_000)).location for _ in range(7)]
    assert [location.pack for location in locations] == [1, 1, 1, 2, 2, 2, 3]
    assert keep(store, bytes(300_000)).location.pack == 3
    assert keep(store, b"").location.pack == 4


def test_abandoned_objects_leave_nothing(store: PackStore, tmp_path: Path) -> None:
    kept = keep(store, b"kept")
    for size in (0, 100, 3_000_000):
        for finishes in (False, True):
            writer = store.begin()
            writer.write(bytes(size))
            if finishes:
                writer.finish(STUDY, b"")
            writer.abandon()
            writer.abandon()
    assert (tmp_path / "000" / "00000001.pack").stat().st_size == kept.location.end
    assert keep(store, b"next").location.offset == kept.location.end


def test_the_order_of_calls_is_checked(store: PackStore) -> None:
    writer = store.begin()
    writer.write(b"x")
    for call in (writer.sync, writer.release):
        with pytest.raises(RuntimeError):
            call()
    writer.finish(STUDY, b"")
    with pytest.raises(RuntimeError):
        writer.release()
    with pytest.raises(RuntimeError):
        writer.write(b"more")
    writer.sync()
    writer.release()
    writer.abandon()
    with pytest.raises(RuntimeError):
        writer.release()
    assert keep(store, b"y").location.offset > PACK_HEADER


class TestVerification:
    def test_every_byte_matters(self, store: PackStore, tmp_path: Path) -> None:
        stored = keep(store, b"content of an object", b"layout")
        pack = tmp_path / "000" / "00000001.pack"
        whole = pack.read_bytes()
        # Neither the object header (its id is in every seal) nor the CRC is looked at by readers: fsck does.
        unread = {*range(32), *range(stored.location.length - 16, stored.location.length - 12)}
        for position in set(range(stored.location.length)) - unread:
            changed = bytearray(whole)
            changed[stored.location.offset + position] ^= 0x40
            pack.write_bytes(changed)
            with pytest.raises(VerificationFailed):
                reader = store.reader(stored.location, stored.object_id, unwrap)
                assert reader.layout == b"layout"
                reader.read(0, reader.length)
        pack.write_bytes(whole)
        assert opened(store, stored) == b"content of an object"

    def test_a_swapped_object_does_not_open(self, store: PackStore) -> None:
        first, second = keep(store, b"same"), keep(store, b"size")
        with pytest.raises(VerificationFailed):
            store.reader(second.location, first.object_id, unwrap)

    def test_another_archive_or_study_key_opens_nothing(self, store: PackStore, backend: FaultyBackend) -> None:
        stored = keep(store, b"content")
        with pytest.raises(VerificationFailed):
            PackStore(backend, bytes(16)).reader(stored.location, stored.object_id, unwrap)

        def wrong(wrapped: WrappedKey) -> bytes:
            return unwrap_key(bytes(32), wrapped.wrapped, wrapped.associated_data)

        with pytest.raises(VerificationFailed):
            store.reader(stored.location, stored.object_id, wrong)

    def test_unwrap_is_told_the_study_key(self, store: PackStore) -> None:
        stored = keep(store, b"content")
        asked: list[int] = []

        def remember(wrapped: WrappedKey) -> bytes:
            asked.append(wrapped.study_key)
            return unwrap(wrapped)

        store.reader(stored.location, stored.object_id, remember)
        assert asked == [STUDY.id]

    def test_wrong_locations_are_noticed(self, store: PackStore) -> None:
        first, second = keep(store, b"a" * 5000), keep(store, b"b" * 5000)
        a, b = first.location, second.location
        wrong = [
            Location(1, a.offset, a.length - 1),
            Location(1, a.offset, a.length + b.length),
            Location(1, a.offset + 1, a.length - 1),
            Location(1, b.end, 500),
            Location(1, b.offset, 10),
        ]
        for location in wrong:
            with pytest.raises(VerificationFailed):
                store.reader(location, first.object_id, unwrap)
        with pytest.raises(NotAvailable):
            store.reader(Location(9, 40, 500), first.object_id, unwrap)


class TestFailingDisk:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("size", [1000, 5_000_000])
    def test_a_full_disk_leaves_the_pack_clean(
        self, store: PackStore, backend: FaultyBackend, tmp_path: Path, code: int, size: int
    ) -> None:
        kept = keep(store, b"kept")
        backend.faults.failing = {"write": code}
        writer = store.begin()
        with pytest.raises(OutOfResources) as caught:
            writer.write(bytes(size))
            writer.finish(STUDY, b"")
        assert caught.value.dimse_status == 0xA700
        writer.abandon()
        assert not any((tmp_path / "000" / "00000001.pack").read_bytes()[kept.location.end :])
        backend.faults.failing = {}
        assert keep(store, b"next").location == Location(1, kept.location.end, kept.location.length)

    def test_no_space_for_a_new_pack(self, store: PackStore, backend: FaultyBackend) -> None:
        backend.faults.failing = {"create": errno.ENOSPC}
        writer = store.begin()
        writer.write(b"x")
        with pytest.raises(OutOfResources):
            writer.finish(STUDY, b"")
        with pytest.raises(RuntimeError):
            writer.write(b"more")
        writer.abandon()
        backend.faults.failing = {}
        keep(store, b"next")

    @pytest.mark.parametrize("persists", [False, True])
    def test_after_a_failed_sync_the_pack_is_never_written_again(
        self, store: PackStore, backend: FaultyBackend, persists: bool
    ) -> None:
        kept = keep(store, b"kept")
        backend.faults.failing, backend.faults.persists = {"sync": errno.EIO}, persists
        writer = store.begin()
        writer.write(b"lost")
        writer.finish(STUDY, b"")
        with pytest.raises(NotAvailable, match="Pack 1"):
            writer.sync()
        backend.faults.failing = {}
        backend.faults.calls.clear()
        with pytest.raises(RuntimeError):
            writer.sync()
        writer.abandon()
        assert backend.faults.calls == []
        next_one = keep(store, b"next")
        assert next_one.location.pack == 2
        assert opened(store, kept) == b"kept"
        again = PackStore(backend, ARCHIVE)
        recovery = again.recover({1: kept.location.end, 2: next_one.location.end})
        assert recovery == Recovery()
        assert keep(again, b"later").location.pack == 2
        assert keep(again, b"later").location.pack == 2
        assert [found.object_id for found in again.iter_objects(1, kept.location.end)] == [kept.object_id]

    @pytest.mark.parametrize("persists", [False, True])
    def test_another_write_error_closes_the_pack(
        self, store: PackStore, backend: FaultyBackend, persists: bool
    ) -> None:
        kept = keep(store, b"kept")
        backend.faults.failing, backend.faults.persists = {"write": errno.EIO}, persists
        writer = store.begin()
        writer.write(b"lost")
        with pytest.raises(NotAvailable):
            writer.finish(STUDY, b"")
        backend.faults.failing = {}
        assert backend.size(1) == kept.location.end
        assert keep(store, b"next").location.pack == 2
        assert backend.closed(1)

    def test_a_pack_that_cannot_be_cut_is_closed(self, store: PackStore, backend: FaultyBackend) -> None:
        kept = keep(store, b"kept")
        writer = store.begin()
        writer.write(b"refused")
        writer.finish(STUDY, b"")
        backend.faults.failing = {"truncate": errno.EIO}
        writer.abandon()
        backend.faults.failing = {}
        assert backend.closed(1)
        assert keep(store, b"next").location.pack == 2
        assert opened(store, kept) == b"kept"


def test_study_keys_do_not_show() -> None:
    assert "key=" not in repr(StudyKey(1, b"secret" * 5))
