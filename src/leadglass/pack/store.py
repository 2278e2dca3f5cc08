"""The front of the room: sealed objects in, sealed objects out."""

from collections.abc import Iterator, Mapping

from leadglass.pack import recovery
from leadglass.pack.backend import Backend
from leadglass.pack.format import Location
from leadglass.pack.pool import PackPool, Share, storage_error
from leadglass.pack.reader import ObjectReader, Unwrap
from leadglass.pack.recovery import FoundObject, Recovery
from leadglass.pack.writer import ObjectWriter, Slabs

ROLL_AT = 1024**3


class PackStore:
    """Every pack of one archive. Thread-safe, but for `recover`. Only one process may write a pack."""

    def __init__(self, backend: Backend, archive_id: bytes, roll_at: int = ROLL_AT) -> None:
        """`archive_id`: the archive's 16 random bytes. A pack of `roll_at` bytes takes no further object."""
        self._backend = backend
        self._archive_id = archive_id
        self._pool = PackPool(backend, archive_id, roll_at)
        self._slabs = Slabs()

    def begin(self) -> ObjectWriter:
        """A writer for one object. It takes a pack only when it has bytes to write."""
        return ObjectWriter(self._pool, self._slabs, self._archive_id)

    def reader(self, location: Location, object_id: bytes, unwrap: Unwrap) -> ObjectReader:
        """The object at `location`, which must be `object_id`. `unwrap` gives its key, with the study's key.

        VerificationFailed if something else lies there or it was changed; NotAvailable if it cannot be read.
        """
        return ObjectReader(self._backend, self._archive_id, location, object_id, unwrap)

    def recover(self, committed_ends: Mapping[int, int]) -> Recovery:
        """At start, before any writer: cut what the index did not commit, and reuse packs that are not full.

        `committed_ends`: pack number → the largest offset + length of its rows. RefusedForSafety, with nothing
        changed, if the index is older than the packs or not theirs; NotAvailable if a pack cannot be repaired.
        """
        try:
            inventory = recovery.recover(self._backend, self._archive_id, committed_ends)
        except OSError as error:
            raise storage_error(error, "The packs could not be recovered") from error
        self._pool.rest(Share(inventory.growing, inventory.last))
        return inventory.recovery

    def share(self, parts: int) -> list[Share]:
        """After `recover`: packs that so many other processes take over with `join`, before any writer."""
        return self._pool.share(parts)

    def join(self, share: Share) -> None:
        """In another process than the one that recovered: write these packs and new ones."""
        self._pool.rest(share)

    def numbers(self) -> list[int]:
        """Every pack there is, ascending."""
        return self._backend.numbers()

    def iter_objects(self, pack: int, end: int | None = None) -> Iterator[FoundObject]:
        """Headers and trailers of the objects that end at `end` (by default the pack's end) or before, last first.

        Needs no keys. VerificationFailed at the first damage; NotAvailable if the pack cannot be read.
        """
        try:
            yield from recovery.iter_objects(self._backend, pack, end)
        except OSError as error:
            raise storage_error(error, f"Pack {pack} could not be read") from error

    def close(self) -> None:
        """Let go of every file. Writers that still hold a lease keep theirs."""
        self._pool.close()
        self._backend.close()
