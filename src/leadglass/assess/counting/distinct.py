"""How many different ones: exact to a million in compact tables of keyed hashes, an estimate beyond (HyperLogLog).

The key lives in the process's memory for one run and is thrown away, so that no table says anything to anybody: a hash
of a Social Security number without a key is found by trying them all.
"""

import math
import secrets
from array import array
from collections.abc import Iterator
from hashlib import blake2b

#: Up to here tables are exact. Two in a million fingerprints of 64 bits agree by chance once in 30 million runs.
EXACT_LIMIT = 1_000_000

_PRECISION = 14
_REGISTERS = 1 << _PRECISION
_FIRST_SLOTS = 1 << 6
_EMPTY = 0


class Fingerprints:
    """Keyed hashes (BLAKE2b) under a fresh random key that nothing else can read."""

    def __init__(self) -> None:
        self._keyed = blake2b(digest_size=8, key=secrets.token_bytes(32))

    def of(self, *parts: str) -> int:
        """64 bits, never 0. Parts are told apart: ("ab", "c") is not ("a", "bc")."""
        keyed = self._keyed.copy()
        keyed.update("\0".join(parts).encode("utf-8", "surrogatepass"))
        return int.from_bytes(keyed.digest(), "little") or 1


class Estimator:
    """HyperLogLog (Flajolet et al. 2007) with 16,384 registers: a standard error of 0.8%."""

    def __init__(self) -> None:
        self._registers = bytearray(_REGISTERS)

    def add(self, fingerprint: int) -> None:
        index = fingerprint & (_REGISTERS - 1)
        rank = 65 - _PRECISION - (fingerprint >> _PRECISION).bit_length()
        if rank > self._registers[index]:
            self._registers[index] = rank

    def absorb(self, other: "Estimator") -> None:
        self._registers = bytearray(map(max, self._registers, other._registers))

    def estimate(self) -> int:
        alpha = 0.7213 / (1 + 1.079 / _REGISTERS)
        raw = alpha * _REGISTERS**2 / sum(2.0**-rank for rank in self._registers)
        empty = self._registers.count(0)
        if raw <= 2.5 * _REGISTERS and empty:
            return round(_REGISTERS * math.log(_REGISTERS / empty))
        return round(raw)


class Distinct:
    """A set of fingerprints with, if asked, a number of 64 bits for each. At most 34 MB, whatever is added."""

    def __init__(self, *, with_values: bool = False, limit: int = EXACT_LIMIT) -> None:
        self._limit = limit
        self._keys = array("Q", bytes(8 * _FIRST_SLOTS))
        self._values = array("Q", bytes(8 * _FIRST_SLOTS)) if with_values else None
        self._size = 0
        self._estimator: Estimator | None = None

    @property
    def exact(self) -> bool:
        return self._estimator is None

    def __len__(self) -> int:
        return self._size if self._estimator is None else self._estimator.estimate()

    def __contains__(self, fingerprint: int) -> bool:
        """Whether it was added; meaningless, and False, once the set is an estimate."""
        return self._estimator is None and self._keys[self._slot(fingerprint)] == fingerprint

    def add(self, fingerprint: int, value: int = 0) -> bool:
        """Whether it is new. Once the set is an estimate nobody knows, and every one passes as new."""
        if self._estimator is not None:
            self._estimator.add(fingerprint)
            return True
        keys = self._keys
        mask = len(keys) - 1
        slot = fingerprint & mask
        # As `_slot`, here once more: a million are added for a large archive.
        while key := keys[slot]:
            if key == fingerprint:
                return False
            slot = (slot + 1) & mask
        if self._size == self._limit:
            self._as_estimator().add(fingerprint)
            return True
        keys[slot] = fingerprint
        if self._values is not None:
            self._values[slot] = value
        self._size += 1
        if 3 * self._size > 2 * len(keys):
            self._grow()
        return True

    def value(self, fingerprint: int) -> int:
        """The number kept with it; 0 if it is not there."""
        if self._values is None or fingerprint not in self:
            return 0
        return self._values[self._slot(fingerprint)]

    def set_value(self, fingerprint: int, value: int) -> None:
        if self._values is not None and fingerprint in self:
            self._values[self._slot(fingerprint)] = value

    def entries(self) -> Iterator[tuple[int, int]]:
        """Fingerprints with their numbers; nothing once the set is an estimate."""
        values = self._values
        for slot, key in enumerate(self._keys):
            if key != _EMPTY:
                yield key, values[slot] if values is not None else 0

    def absorb(self, other: "Distinct") -> None:
        """Becomes the union of both."""
        if other._estimator is not None:
            self._as_estimator().absorb(other._estimator)
        for fingerprint, value in other.entries():
            self.add(fingerprint, value)

    def _slot(self, fingerprint: int) -> int:
        keys = self._keys
        mask = len(keys) - 1
        slot = fingerprint & mask
        while (key := keys[slot]) and key != fingerprint:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        self._keys = array("Q", bytes(16 * len(keys)))
        if values is not None:
            self._values = array("Q", bytes(16 * len(keys)))
        for old, key in enumerate(keys):
            if key != _EMPTY:
                slot = self._slot(key)
                self._keys[slot] = key
                if values is not None and self._values is not None:
                    self._values[slot] = values[old]

    def _as_estimator(self) -> Estimator:
        if self._estimator is None:
            self._estimator = Estimator()
            for fingerprint, _ in self.entries():
                self._estimator.add(fingerprint)
            self._keys = array("Q", bytes(8 * _FIRST_SLOTS))
            self._values = array("Q", bytes(8 * _FIRST_SLOTS)) if self._values is not None else None
        return self._estimator
