"""What storing, searching and reading need of an archive, in whichever of its processes they run.

`Archive` is the one in the process that writes the index; `AttachedArchive` the one in a process that receives.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from leadglass.archive.access import AccessLedger
from leadglass.archive.admission import DeviceBook
from leadglass.archive.committer import Committer
from leadglass.archive.directory import DataDirectory
from leadglass.archive.disk import DEFAULT_RESERVE, DiskReserve
from leadglass.archive.openid import OpenIdConfig
from leadglass.archive.quarantine import QuarantineKeys
from leadglass.archive.refusals import RefusedPeer
from leadglass.archive.sessions import SessionLimits
from leadglass.archive.studykeys import Keyring, open_wrapped
from leadglass.archive.suspension import SuspensionLimits
from leadglass.archive.users import Clock, User, UserBook, now_us
from leadglass.crypto.keys import RootKey
from leadglass.index.index import Index
from leadglass.index.rows import InstanceRow
from leadglass.inspection.engines import Engines
from leadglass.model import DataSetLimits, Principal
from leadglass.pack.format import Location, StudyKey
from leadglass.pack.reader import ObjectReader
from leadglass.pack.store import PackStore
from leadglass.pack.writer import StoredObject

DEFAULT_MAX_ANSWERS = 10_000


@dataclass(frozen=True, slots=True)
class ArchiveConfig:
    """`reserve_bytes` of free disk below which stores are refused; `max_answers` of one query."""

    reserve_bytes: int = DEFAULT_RESERVE
    max_answers: int = DEFAULT_MAX_ANSWERS
    pack_bytes: int = 1024**3
    limits: DataSetLimits = field(default_factory=DataSetLimits)
    #: What sessions, tokens and lock-outs go by.
    clock: Clock = now_us
    sessions: SessionLimits = field(default_factory=SessionLimits)
    openid: OpenIdConfig | None = None
    #: What reads along beside inspection: nothing unless configured.
    engines: Engines = field(default_factory=Engines)
    suspension: SuspensionLimits = field(default_factory=SuspensionLimits)
    #: Whether a payload in a private element is taken out, or its object held back.
    removes_private: bool = True


@dataclass(frozen=True, slots=True)
class Stores:
    """The open index and packs, and what takes jobs and study keys to them."""

    directory: DataDirectory
    root: RootKey
    index: Index
    packs: PackStore
    keyring: Keyring
    committer: Committer
    ledger: AccessLedger


class Holdings(ABC):
    def __init__(self, stores: Stores, config: ArchiveConfig) -> None:
        self.directory = stores.directory
        self.index = stores.index
        self.archive_id = stores.index.archive_id
        self.packs = stores.packs
        self.keyring = stores.keyring
        self.committer = stores.committer
        self.limits = config.limits
        self.engines = config.engines
        self.suspension = config.suspension
        self.removes_private = config.removes_private
        self.max_answers = config.max_answers
        self.disk = DiskReserve(stores.directory.path, config.reserve_bytes)
        self.quarantine_keys = QuarantineKeys(stores.root, self.archive_id)
        self.ledger = stores.ledger

    @property
    @abstractmethod
    def devices(self) -> DeviceBook:
        """The newest snapshot of the enrolled devices."""

    @property
    @abstractmethod
    def people(self) -> UserBook:
        """The newest snapshot of the users."""

    @abstractmethod
    def refuse(self, peer: RefusedPeer) -> None:
        """A connection or association was refused: on record, or counted, when this returns."""

    @abstractmethod
    def suspend(self, device: str, objects: int) -> None:
        """Shut a device out for so many objects that were held back (`Registry.suspend`)."""

    @abstractmethod
    def user_by_passcode(self, name: str, passcode: str, peer: str) -> User:
        """As `SignIn.with_passcode`."""

    @abstractmethod
    def principal_by_token(self, token: str) -> Principal | None:
        """Whom the provider's access token names; None without a provider. Raises as `Provider.principal`."""

    def open(self, row: InstanceRow) -> ObjectReader:
        """A verified reader of one instance's bytes. Raises VerificationFailed."""
        location = Location(row.location.pack, row.location.offset, row.location.length)
        return self.packs.reader(
            location, row.object_id, lambda wrapped: open_wrapped(self._key_of(row, wrapped.study_key), wrapped)
        )

    def open_stored(self, stored: StoredObject, key: StudyKey) -> ObjectReader:
        """The same for an object that the index does not know yet."""
        return self.packs.reader(stored.location, stored.object_id, lambda wrapped: open_wrapped(key, wrapped))

    def _key_of(self, row: InstanceRow, key_id: int) -> StudyKey:
        """Its study's key. One that a steward moved into the owner's study stays sealed under the key of the claim that
        it arrived with, since stored bytes never change."""
        known = self.keyring.opened(row.study_uid, key_id)
        if known is not None:
            return known
        key = self.keyring.of_study(self.index.study(row.study_id))
        if key.id == key_id:
            return key
        claims = (self.keyring.of_study(study) for study in self.index.studies(row.study_uid))
        return next((claimed for claimed in claims if claimed.id == key_id), key)
