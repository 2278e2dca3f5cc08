"""The open archive: its parts, put together once, and the order in which they open and close."""

import os
from contextlib import ExitStack
from pathlib import Path

from leadglass.archive.access import AccessLedger, AccessLog
from leadglass.archive.admission import DeviceBook
from leadglass.archive.committer import LocalCommitter
from leadglass.archive.credentials import Credentials
from leadglass.archive.devices import Registry
from leadglass.archive.directory import DataDirectory
from leadglass.archive.enrolment import Enrolments, Parts
from leadglass.archive.holdings import ArchiveConfig, Holdings, Stores
from leadglass.archive.housekeeping import Housekeeping
from leadglass.archive.journal import Journal
from leadglass.archive.lockouts import Lockouts
from leadglass.archive.openid import Provider
from leadglass.archive.passkeys import Passkeys
from leadglass.archive.preparation import Preparation
from leadglass.archive.provision import issue, provision
from leadglass.archive.refusals import RefusalRecorder, RefusedPeer
from leadglass.archive.sessions import Sessions
from leadglass.archive.signin import SignIn
from leadglass.archive.studykeys import Keyring, Salts
from leadglass.archive.tokens import Tokens
from leadglass.archive.users import User, UserBook, Users, now_us
from leadglass.archive.writers import begin_chain, close_chain
from leadglass.crypto.certificates import parse_certificate
from leadglass.crypto.keys import KeyDirectory, KeyFile
from leadglass.index.index import Index
from leadglass.model import Principal
from leadglass.pack.backend import FilesystemBackend
from leadglass.pack.recovery import Recovery
from leadglass.pack.store import PackStore

__all__ = ["Archive", "ArchiveConfig", "create_archive", "now_us", "open_archive"]

DEFAULT_HTTPS_PORT = 8443


class Archive(Holdings):
    """Everything a verb needs. Made by `open_archive`; close it to write the closing events."""

    def __init__(self, directory: DataDirectory, keys: KeyDirectory, config: ArchiveConfig) -> None:
        root = keys.root()
        index = Index.open(directory.index, root.derive("index"))
        packs = PackStore(FilesystemBackend(directory.packs), index.archive_id, config.pack_bytes)
        self.repaired = _in_words(packs.recover(index.pack_ends()))
        self.salts = Salts(root, index.archive_id)
        self.mac_key = root.derive("log-mac")
        head = begin_chain(index, self.mac_key, self.salts)
        self._writer = LocalCommitter(index, Journal(self.mac_key, head), self.salts)
        keyring = Keyring(root, index.archive_id, index)
        ledger = AccessLedger(AccessLog(self._writer))
        super().__init__(Stores(directory, root, index, packs, keyring, self._writer, ledger), config)
        self.keys = keys
        self.clock = config.clock
        #: Where the web door listens while one does, so that links lead there.
        self.https_port = DEFAULT_HTTPS_PORT
        self.refusals = RefusalRecorder(self.committer)
        #: Our own certificate authority (DER).
        self.authority = parse_certificate(keys.read(KeyFile.CA_CERTIFICATE)).der
        self.registry = Registry(self.index, self.committer, self.authority)
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

    @property
    def devices(self) -> DeviceBook:
        return self.registry.book

    @property
    def people(self) -> UserBook:
        return self.users.book

    def refuse(self, peer: RefusedPeer) -> None:
        self.refusals.record(peer).result()

    def take_jobs(self, descriptor: int) -> None:
        """From another process of the archive (`LocalCommitter.attach`)."""
        self._writer.attach(descriptor)

    def suspend(self, device: str, objects: int) -> None:
        self.registry.suspend(device, objects)

    def user_by_passcode(self, name: str, passcode: str, peer: str) -> User:
        return self.sign_in.with_passcode(name, passcode, peer)

    def principal_by_token(self, token: str) -> Principal | None:
        return None if self.provider is None else self.provider.principal(token)

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
            steps.callback(self.directory.sign_off)
            steps.callback(self.index.close)
            steps.callback(self.packs.close)
            steps.callback(self._writer.close)
            steps.callback(self.committer.run, close_chain)
            steps.callback(self.refusals.flush)
            steps.callback(self.ledger.close_all)
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
