"""The packs that are open for writing. Each is leased to one writer at a time (docs/formats/pack.md, "Writing")."""

import errno
import threading
from contextlib import suppress
from dataclasses import dataclass

from leadglass.errors import LeadglassError, NotAvailable, OutOfResources
from leadglass.pack.backend import Backend, PackFile
from leadglass.pack.format import PACK_HEADER, encode_pack_header

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True)
class OpenPack:
    """A leased pack. `end` is where the committed bytes end and the lessee's begin."""

    number: int
    end: int
    file: PackFile


@dataclass(frozen=True, slots=True)
class Share:
    """`growing`: (number, end) of packs for one process to write; `last`: the highest number in use."""

    growing: tuple[tuple[int, int], ...]
    last: int


class PackPool:
    """Hands out the pack that came back last, so that as few as possible grow. Thread-safe."""

    def __init__(self, backend: Backend, archive_id: bytes, roll_at: int) -> None:
        self._backend = backend
        self._archive_id = archive_id
        self._roll_at = roll_at
        self._lock = threading.Lock()
        self._free: list[OpenPack] = []
        self._resting: list[tuple[int, int]] = []
        self._last = 0

    def rest(self, share: Share) -> None:
        """Take over packs on disk that may still grow and that nobody else writes."""
        with self._lock:
            self._resting = [(number, end) for number, end in share.growing if end < self._roll_at]
            self._last = share.last

    def share(self, parts: int) -> list[Share]:
        """Part with packs that rest here, for as many other processes to `rest` in theirs; one part stays."""
        with self._lock:
            resting, self._resting = self._resting, self._resting[:: parts + 1]
            return [Share(tuple(resting[part :: parts + 1]), self._last) for part in range(1, parts + 1)]

    def lease(self) -> OpenPack:
        """OutOfResources if a new pack is needed and does not fit, NotAvailable if it fails otherwise."""
        with self._lock:
            if self._free:
                return self._free.pop()
            resting = self._resting.pop() if self._resting else None
        try:
            if resting is not None:
                return OpenPack(*resting, self._backend.open(resting[0]))
            return self._new()
        except OSError as error:
            raise storage_error(error, "A pack could not be opened for writing") from error

    def give_back(self, pack: OpenPack) -> None:
        """The lease ends; `pack.end` is where the next object goes."""
        if pack.end >= self._roll_at:
            pack.file.close()
            return
        with self._lock:
            self._free.append(pack)

    def cut(self, pack: OpenPack) -> None:
        """Cut the lessee's bytes off; the lease ends. A pack that cannot be cut is closed for ever."""
        try:
            pack.file.truncate(pack.end)
        except OSError:
            # Nothing was acknowledged and nothing will be written behind it: recovery leaves these dead bytes.
            pack.file.close_for_ever()
            return
        self.give_back(pack)

    def condemn(self, pack: OpenPack) -> None:
        """After a failed write: cut what can be cut and close for ever. The lease ends."""
        # The failed write is the error that the caller reports.
        with suppress(OSError):
            pack.file.truncate(pack.end)
        pack.file.close_for_ever()

    def close(self) -> None:
        """Close every free pack; leases stay with their writers."""
        with self._lock:
            free, self._free, self._resting = self._free, [], []
        for pack in free:
            pack.file.close()

    def _new(self) -> OpenPack:
        """The first number that is free: several processes make packs, and a file is made by one of them only."""
        number = self._next_number()
        while True:
            try:
                file = self._backend.create(number, encode_pack_header(self._archive_id, number))
            except FileExistsError:
                number = self._next_number()
            else:
                return OpenPack(number, PACK_HEADER, file)

    def _next_number(self) -> int:
        with self._lock:
            self._last = max(self._last, max(self._backend.numbers(), default=0)) + 1
            return self._last


def is_full(error: OSError) -> bool:
    return error.errno in _FULL


def storage_error(error: OSError, what: str) -> LeadglassError:
    """What a failed system call means to the caller: out of space, or not available."""
    if is_full(error):
        return OutOfResources(f"{what}: there is no space left.", "Free or add disk space.")
    return NotAvailable(f"{what} ({errno.errorcode.get(error.errno or 0, 'I/O error')}).", "Look at the disk.")
