"""Study keys and log salts: made with the first object of a study, wrapped under keys derived from the root key.

A study is known to storage by its *claim*: Study Instance UID, patient, issuer and site. The first claim on a UID owns
it; others stand beside it unverified, each under a key of its own (docs/formats/index.md).
"""

import os
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from leadglass.crypto.keys import RootKey
from leadglass.crypto.wrapping import unwrap_key, wrap_key
from leadglass.errors import VerificationFailed
from leadglass.index.index import Index
from leadglass.index.rows import StudyRow
from leadglass.index.transaction import Transaction
from leadglass.model import Sent
from leadglass.pack.format import StudyKey, WrappedKey

_HEADER = struct.Struct(">QI")  # key id, root-key epoch
CACHED_KEYS = 4096


@dataclass(frozen=True, slots=True)
class Claim(Sent):
    """Whose study an object says it belongs to."""

    study: str
    patient_id: str
    issuer: str
    site: str


@dataclass(frozen=True, slots=True)
class KeyedClaim:
    claim: Claim
    key: StudyKey
    wrapped: bytes


class Keyring:
    """Wraps and unwraps study keys; keeps the keys of claims that are being stored, so that two associations which
    begin the same new study at once use one key."""

    def __init__(self, root: RootKey, archive_id: bytes, index: Index) -> None:
        self._kek = root.derive("study-key-wrap")
        self._epoch = root.epoch
        self._archive_id = archive_id
        self._index = index
        self._lock = threading.Lock()
        self._by_claim: OrderedDict[Claim, KeyedClaim] = OrderedDict()
        self._in_use: dict[Claim, int] = {}
        self._opened: OrderedDict[tuple[str, int], StudyKey] = OrderedDict()

    def acquire(self, claim: Claim) -> KeyedClaim:
        """The key for a claim, made if the claim is new. Balanced by `release`, until when it stays the same."""
        with self._lock:
            # Read under the lock too: a claim that is not kept here is either on record or nobody is storing it.
            known = self._by_claim.get(claim) or self._stored(claim) or self._fresh(claim)
            self._by_claim[claim] = known
            self._by_claim.move_to_end(claim)
            self._in_use[claim] = self._in_use.get(claim, 0) + 1
            self._trim()
            return known

    def release(self, claim: Claim) -> None:
        with self._lock:
            users = self._in_use[claim] - 1
            if users:
                self._in_use[claim] = users
            else:
                del self._in_use[claim]

    def of_study(self, study: StudyRow) -> StudyKey:
        """The key of a study on record. Raises VerificationFailed if it does not unwrap under the root key."""
        key = self._unwrap(study.uid, study.wrapped_key)
        with self._lock:
            self._opened[study.uid, key.id] = key
            if len(self._opened) > CACHED_KEYS:
                self._opened.popitem(last=False)
        return key

    def opened(self, study_uid: str, key_id: int) -> StudyKey | None:
        """A key of a claim on this study that `of_study` has unwrapped lately."""
        return self._opened.get((study_uid, key_id))

    def _stored(self, claim: Claim) -> KeyedClaim | None:
        for study in self._index.studies(claim.study):
            if claim_of(study) == claim:
                return KeyedClaim(claim, self._unwrap(study.uid, study.wrapped_key), study.wrapped_key)
        return None

    def _fresh(self, claim: Claim) -> KeyedClaim:
        key_id = int.from_bytes(os.urandom(8), "big") >> 1
        key = os.urandom(32)
        header = _HEADER.pack(key_id, self._epoch)
        wrapped = header + wrap_key(self._kek, key, self._associated(header, claim.study))
        return KeyedClaim(claim, StudyKey(key_id, key), wrapped)

    def _unwrap(self, study_uid: str, wrapped: bytes) -> StudyKey:
        if len(wrapped) <= _HEADER.size:
            raise VerificationFailed("A study key on record is cut short.", "Restore the index from a backup.")
        header, sealed = wrapped[: _HEADER.size], wrapped[_HEADER.size :]
        key_id, _epoch = _HEADER.unpack(header)
        return StudyKey(key_id, unwrap_key(self._kek, sealed, self._associated(header, study_uid)))

    def _associated(self, header: bytes, study_uid: str) -> bytes:
        return b"leadglass study key" + self._archive_id + header + study_uid.encode()

    def _trim(self) -> None:
        surplus = max(0, len(self._by_claim) - CACHED_KEYS)
        idle = (claim for claim in self._by_claim if claim not in self._in_use)
        for claim in list(islice(idle, surplus)):
            del self._by_claim[claim]


def open_wrapped(key: StudyKey, wrapped: WrappedKey) -> bytes:
    """An object's key. Raises VerificationFailed when it is not under this study's key."""
    if wrapped.study_key != key.id:
        raise VerificationFailed("An object is sealed under another study's key.", "Run `leadglass fsck --deep`.")
    return unwrap_key(key.key, wrapped.wrapped, wrapped.associated_data)


def claim_of(study: StudyRow) -> Claim:
    return Claim(study.uid, study.patient_id, study.issuer, study.site)


class Salts:
    """Log salts: random for each study, so that they outlive its key; a derived one for events without a study."""

    def __init__(self, root: RootKey, archive_id: bytes) -> None:
        self._kek = root.derive("log-salt-wrap")
        self._general = root.derive("log-salt")
        self._archive_id = archive_id
        self._known: OrderedDict[int, bytes] = OrderedDict()

    def of(self, study_id: int | None, tx: Transaction) -> bytes:
        if study_id is None:
            return self._general
        salt = self._known.get(study_id)
        if salt is None:
            salt = self.unwrap(tx.log_salt(study_id))
            self._known[study_id] = salt
            if len(self._known) > CACHED_KEYS:
                self._known.popitem(last=False)
        return salt

    def on_record(self, index: Index) -> Callable[[int | None], bytes]:
        """The same for whoever verifies, in any thread: from the index, not from what the committer remembers."""

        @lru_cache(CACHED_KEYS)
        def of(study_id: int | None) -> bytes:
            return self._general if study_id is None else self.unwrap(index.log_salt(study_id))

        return of

    def forget(self) -> None:
        """After a rollback: the number of a study that was undone goes to the next one, which has another salt."""
        self._known.clear()

    def new(self) -> bytes:
        return wrap_key(self._kek, os.urandom(32), self._archive_id)

    def unwrap(self, wrapped: bytes) -> bytes:
        return unwrap_key(self._kek, wrapped, self._archive_id)
