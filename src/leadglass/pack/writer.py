"""Sealing one object into a pack as it arrives (docs/formats/pack.md, "Writing")."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from leadglass.crypto.streaming import HEADER, KEY, StreamSealer, seal
from leadglass.crypto.wrapping import wrap_key
from leadglass.errors import LeadglassError
from leadglass.model import Sent
from leadglass.pack.backend import Buffer
from leadglass.pack.format import (
    ID,
    OBJECT_HEADER,
    Location,
    StudyKey,
    associated_content,
    associated_key,
    associated_layout,
    clear_fields,
    encode_object_header,
    encode_trailer,
)
from leadglass.pack.pool import OpenPack, PackPool, is_full, storage_error

#: The most plaintext sealed between two looks at the room left.
_PIECE = 256 * 1024
#: Room for sealed bytes: more than 1 MiB has gathered when a piece and a held segment no longer fit.
_SLAB = 1024 * 1024 + 2 * _PIECE
_KEPT_SLABS = 8


class Slabs:
    """Buffers for sealed bytes, used again: fresh memory for each object would cost a page fault every 4 KiB."""

    def __init__(self) -> None:
        self._free: list[memoryview] = []

    def take(self) -> memoryview:
        # A list's pop and append are atomic; looking first would not be.
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(bytearray(_SLAB))

    def give_back(self, slab: memoryview) -> None:
        if len(self._free) < _KEPT_SLABS:
            self._free.append(slab)


@dataclass(frozen=True, slots=True)
class StoredObject(Sent):
    """What the index needs to know. `digest` is the SHA-256 of the data set as received, `plain_length` its bytes."""

    location: Location
    object_id: bytes
    plain_length: int
    digest: bytes


class ObjectWriter:
    """One object: `write` …, `finish`, `sync`, then after the index's commit `release`. `abandon` until then.

    For one thread at a time. A failed `write`, `finish` or `sync` ends the object and leaves nothing to give back.
    If it is unknown whether the commit took place, `forsake` it: the next start decides by the row.
    """

    __slots__ = (
        "_archive_id",
        "_at",
        "_digest",
        "_header",
        "_key",
        "_length",
        "_pack",
        "_plain",
        "_pool",
        "_sealer",
        "_slab",
        "_slabs",
        "_synced",
        "object_id",
    )

    def __init__(self, pool: PackPool, slabs: Slabs, archive_id: bytes) -> None:
        random = os.urandom(ID + KEY)
        self.object_id = random[:ID]
        self._key = random[ID:]
        self._archive_id = archive_id
        self._pool = pool
        self._pack: OpenPack | None = None
        self._digest = hashlib.sha256()
        self._plain = 0
        self._length = 0
        self._synced = False
        self._header = encode_object_header(self.object_id)
        self._sealer = StreamSealer(self._key, associated_content(archive_id, self.object_id))
        self._slabs = slabs
        self._slab: memoryview | None = slabs.take()
        self._slab[:OBJECT_HEADER] = self._header
        self._at = OBJECT_HEADER + HEADER
        self._slab[OBJECT_HEADER : self._at] = self._sealer.header

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was written so far."""
        return self._digest.digest()

    def write(self, data: Buffer) -> None:
        """Hash and seal the next bytes of the data set; `data` may be reused afterwards.

        OutOfResources without space, NotAvailable on other failures of the disk.
        """
        slab = self._open_slab()
        size = len(data)
        if size > _PIECE:
            view = memoryview(data)
            for start in range(0, size, _PIECE):
                self.write(view[start : start + _PIECE])
            return
        if self._sealer.bound(size) > _SLAB - self._at:
            self._append([slab[: self._at]])
            self._at = 0
        self._digest.update(data)
        self._plain += size
        self._at = self._sealer.update(data, slab, self._at)

    def finish(self, study_key: StudyKey, layout: bytes) -> StoredObject:
        """Write the rest with `layout` (sealed, opaque) and the object key under the study's. Errors as `write`."""
        slab = self._open_slab()
        digest = self._digest.digest()
        sealed = seal(self._key, associated_layout(self._archive_id, self.object_id), digest + layout)
        clear = clear_fields(study_key.id, self._plain, len(sealed))
        wrapped = wrap_key(study_key.key, self._key, associated_key(self._archive_id, self.object_id, clear))
        at = self._sealer.finish(slab, self._at)
        self._append([slab[:at], sealed, encode_trailer(self._header, sealed, clear, wrapped)])
        self._drop_slab()
        pack = self._leased()
        return StoredObject(Location(pack.number, pack.end, self._length), self.object_id, self._plain, digest)

    def sync(self) -> None:
        """Make the pack durable. When that fails the pack is closed for ever and the error raised (see `write`)."""
        if self._slab is not None:
            raise RuntimeError("An object is synced after it is finished.")
        pack = self._leased()
        try:
            pack.file.sync()
        except OSError as error:
            # A second fdatasync could succeed without the bytes being on the disk.
            self._pack = None
            pack.file.close_for_ever()
            raise storage_error(error, f"Pack {pack.number} could not be made durable and is closed") from error
        self._synced = True

    def release(self) -> None:
        """After the commit: the pack goes back to the pool."""
        pack = self._leased()
        if not self._synced:
            raise RuntimeError("An object is released after it is durable.")
        self._pack = None
        pack.end += self._length
        self._pool.give_back(pack)

    def abandon(self) -> None:
        """Cut off what was written. Nothing happens if the object has ended already. Never after a commit."""
        self._drop_slab()
        if self._pack is not None:
            pack, self._pack = self._pack, None
            self._pool.cut(pack)

    def forsake(self) -> None:
        """Leave what was written as it is, and the pack alone until the next start. Nothing if the object has ended."""
        self._drop_slab()
        if self._pack is not None:
            pack, self._pack = self._pack, None
            pack.file.close()

    def _append(self, buffers: Sequence[Buffer]) -> None:
        try:
            pack = self._pack = self._pack or self._pool.lease()
        except LeadglassError:
            self._drop_slab()
            raise
        try:
            pack.file.write(pack.end + self._length, buffers)
        except OSError as error:
            self._pack = None
            self._drop_slab()
            if is_full(error):
                self._pool.cut(pack)
            else:
                self._pool.condemn(pack)
            raise storage_error(error, f"Pack {pack.number} could not be written") from error
        self._length += sum(map(len, buffers))

    def _open_slab(self) -> memoryview:
        if self._slab is None:
            raise RuntimeError("The object has ended.")
        return self._slab

    def _drop_slab(self) -> None:
        if self._slab is not None:
            slab, self._slab = self._slab, None
            self._slabs.give_back(slab)

    def _leased(self) -> OpenPack:
        if self._pack is None:
            raise RuntimeError("The object has ended.")
        return self._pack
