"""The open archive: its parts, put together once, and the order in which they open and close."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from leadglass.archive.access import AccessLedger
from leadglass.archive.committer import LocalCommitter
from leadglass.archive.credentials import Credentials
from leadglass.archive.devices import Registry
from leadglass.archive.directory import DataDirectory
from leadglass.archive.disk import DEFAULT_RESERVE, DiskReserve
from leadglass.archive.enrolment import Enrolments, Parts
from leadglass.archive.housekeeping import Housekeeping
from leadglass.archive.journal import Journal
from leadglass.archive.lockouts import Lockouts
from leadglass.archive.openid import OpenIdConfig, Provider
from leadglass.archive.passkeys import Passkeys
from leadglass.archive.preparation import Preparation
from leadglass.archive.provision import issue, provision
from leadglass.archive.quarantine import QuarantineKeys
from leadglass.archive.refusals import RefusalRecorder
from leadglass.archive.sessions import SessionLimits, Sessions
from leadglass.archive.signin import SignIn
from leadglass.archive.studykeys import Keyring, Salts, open_wrapped
from leadglass.archive.suspension import SuspensionLimits
from leadglass.archive.tokens import Tokens
from leadglass.archive.users import Clock, Users
from leadglass.archive.writers import begin_chain, close_chain
from leadglass.crypto.certificates import parse_certificate
from leadglass.crypto.keys import KeyDirectory, KeyFile
from leadglass.index.index import Index
from leadglass.index.rows import InstanceRow
from leadglass.inspection.engines import Engines
from leadglass.model import DataSetLimits
from leadglass.pack.backend import FilesystemBackend
from leadglass.pack.format import Location, StudyKey
from leadglass.pack.reader import ObjectReader
from leadglass.pack.recovery import Recovery
from leadglass.pack.store import PackStore
from leadglass.pack.writer import StoredObject

DEFAULT_MAX_ANSWERS = 10_000
DEFAULT_HTTPS_PORT = 8443


def now_us() -> int:
    return time.time_ns() // 1000


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


class Archive:
    """Everything a verb needs. Made by `open_archive`; close it to write the closing events."""

    def __init__(self, directory: DataDirectory, keys: KeyDirectory, config: ArchiveConfig) -> None:
        root = keys.root()
        self.directory = directory
        self.keys = keys
        self.limits = config.limits
        self.engines = config.engines
        self.suspension = config.suspension
        self.clock = config.clock
        #: Where the web door listens while one does, so that links lead there.
        self.https_port = DEFAULT_HTTPS_PORT
        self.max_answers = config.max_answers
        self.disk = DiskReserve(directory.path, config.reserve_bytes)
        self.index = Index.open(directory.index, root.derive("index"))
        self.archive_id = self.index.archive_id
        self.packs = PackStore(FilesystemBackend(directory.packs), self.archive_id, config.pack_bytes)
        self.repaired = _in_words(self.packs.recover(self.index.pack_ends()))
        self.keyring = Keyring(root, self.archive_id, self.index)
        self.quarantine_keys = QuarantineKeys(root, self.archive_id)
        self.salts = Salts(root, self.archive_id)
        self.mac_key = root.derive("log-mac")
        head = begin_chain(self.index, self.mac_key, self.salts)
        self.committer = LocalCommitter(self.index, Journal(self.mac_key, head), self.salts)
        self.ledger = AccessLedger(self.committer)
        self.refusals = RefusalRecorder(self.committer)
        self.registry = Registry(self.index, self.committer, parse_certificate(keys.read(KeyFile.CA_CERTIFICATE)).der)
        self.users = Users(self.index, self.committer, config.clock)
        self.provider = None if config.openid is None else Provider(config.openid, self.users, config.clock)
        self.tokens = Tokens(self.index, self.committer, self.users, config.clock, self.provider)
        self.passkeys = Passkeys(self.index, self.users, config.clock)
        self.lockouts = Lockouts(self.index, self.committer, config.clock)
        self.sessions = Sessions(self.index, self.committer, self.users, config.clock, config.sessions)
        credentials = Credentials(
            self.users, self.committer, root.derive("account-secrets"), self.archive_id, config.clock
        )
        self.sign_in = SignIn(self.users, credentials, self.passkeys, self.lockouts, self.committer)
        self.enrolments = Enrolments(
            Parts(
                self.index,
                self.committer,
                self.users,
                self.sessions,
                self.tokens,
                credentials,
                self.passkeys,
                self.lockouts,
                config.clock,
            )
        )
        self.preparation = Preparation(self)
        self.housekeeping = Housekeeping(
            (self.ledger.close_idle, self.refusals.flush_past, self.sessions.sweep, self.preparation.look)
        )

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

    def close(self) -> None:
        """Settle, then release the lock."""
        try:
            self.settle()
        finally:
            self.directory.unlock()

    def settle(self) -> None:
        """Write what is owed to the log and close the chain; stored objects are durable already. The lock stays with
        the process: for one that ends now, and in which some thread may be writing until then."""
        with ExitStack() as steps:  # the last one first; when one fails the others are still done
            steps.callback(self.index.close)
            steps.callback(self.packs.close)
            steps.callback(self.committer.close)
            steps.callback(self.committer.run, close_chain)
            steps.callback(self.refusals.flush)
            steps.callback(self.ledger.close_idle, 0)
            steps.callback(self.housekeeping.close)


def _in_words(recovery: Recovery) -> tuple[str, ...]:
    return (
        *(f"pack {cut.pack}: cut {cut.end - cut.start} bytes of objects never acknowledged" for cut in recovery.cut),
        *(f"pack {number}: removed, it held nothing acknowledged" for number in recovery.removed),
        *(
            f"pack {short.pack}: {short.expected - short.size} bytes are LOST; restore the pack from a backup"
            for short in recovery.short
        ),
    )


def create_archive(data: Path, keys: Path, hostnames: tuple[str, ...]) -> KeyDirectory:
    """Make an empty archive and its keys. Raises RefusedForSafety when either directory holds one already, UsageError
    for a host name that is none."""
    # Both before there are keys to nothing.
    DataDirectory.require_free(data)
    certificates = issue(hostnames)
    made = KeyDirectory.create(keys)
    provision(made, certificates)
    directory = DataDirectory.create(data)
    Index.create(directory.index, made.root().derive("index"), os.urandom(16)).close()
    directory.finish_creation()
    return made


def open_archive(data: Path, keys: Path, config: ArchiveConfig) -> Archive:
    """Open, repair and lock an archive. Raises RefusedForSafety with a remedy, NotAvailable when it is in use."""
    made = KeyDirectory.open(keys)
    made.root()
    directory = DataDirectory.open(data)
    directory.lock()
    try:
        return Archive(directory, made, config)
    except BaseException:
        directory.unlock()
        raise
