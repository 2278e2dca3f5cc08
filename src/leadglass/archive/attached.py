"""The archive in a process that receives: it reads index and packs by itself and seals into packs of its own; what is
written goes to the one committer, in the process that `Attachments` is in.
"""

import socket
from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from leadglass.archive.access import Access, AccessLedger, AccessRecord, Taken
from leadglass.archive.admission import DeviceBook
from leadglass.archive.channel import AskingEnd
from leadglass.archive.committer import Committer, Job, Writing
from leadglass.archive.directory import DataDirectory
from leadglass.archive.holdings import ArchiveConfig, Holdings, Stores
from leadglass.archive.link import Link, LinkFailed
from leadglass.archive.refusals import RefusedPeer
from leadglass.archive.studykeys import Claim, KeyedClaim, Keyring
from leadglass.archive.users import User, UserBook
from leadglass.crypto.keys import RootKey
from leadglass.errors import LeadglassError
from leadglass.index.index import Index
from leadglass.index.rows import DeviceRow
from leadglass.model import Principal
from leadglass.pack.backend import FilesystemBackend
from leadglass.pack.pool import Share
from leadglass.pack.store import PackStore

T = TypeVar("T")

#: Seconds after which what an idle access has taken is handed over.
HANDED_OVER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Books:
    """Who may come in, as it is sent: the rows of both books, and our own authority's certificate (DER)."""

    devices: tuple[DeviceRow, ...]
    users: tuple[User, ...]
    authority: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """What a receiving process opens its archive with."""

    books: Books
    share: Share


class RemoteCommitter(Committer):
    """Jobs are sent: those that somebody waits for over channels of their own, kept for the next ones."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._idle: list[AskingEnd] = []

    def submit(self, job: Job[T]) -> Future[T]:
        return self._link.ask("commit", job)

    def put_off(self, job: Job[T]) -> Future[T]:
        return self._link.ask("put_off", job)

    def run(self, job: Job[T]) -> T:
        return self._ask(job, None)

    def run_beside(self, job: Job[T], durable: Callable[[], None]) -> T:
        return self._ask(job, durable)

    def _ask(self, job: Job[T], durable: Callable[[], None] | None) -> T:
        channel = self._channel()
        answer: T
        answer, error = channel.ask(job, durable)
        self._idle.append(channel)
        if error is not None:
            raise error
        return answer

    def _channel(self) -> AskingEnd:
        # A list's pop and append are atomic; looking first would not be.
        try:
            return self._idle.pop()
        except IndexError:
            ours, theirs = socket.socketpair()
            with theirs, suppress(OSError):  # the answer tells that the other process is gone
                self._link.tell("attach", descriptors=(theirs.fileno(),))
            return AskingEnd(ours)


class RemoteKeyring(Keyring):
    """The key of a claim that is not on record comes from the one process that makes keys, so that two which begin the
    same new study at once use one key."""

    def __init__(self, link: Link, root: RootKey, archive_id: bytes, index: Index) -> None:
        super().__init__(root, archive_id, index)
        self._link = link
        self._lent: set[Claim] = set()

    def release(self, claim: Claim) -> None:
        super().release(claim)
        with self._lock:
            if claim in self._lent and claim not in self._in_use:
                # Not kept: unless it is on record by now, it may be given another key.
                self._lent.remove(claim)
                del self._by_claim[claim]
                self._link.tell("release", claim)

    def _fresh(self, claim: Claim) -> KeyedClaim:
        keyed: KeyedClaim = self._link.ask("acquire", claim).result()
        self._lent.add(claim)
        return keyed


class RemoteAccesses(AccessRecord):
    """In the ledger of the one process that writes the log: whoever reads a study through several processes has one
    access to it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def open(self, accesses: Collection[Access]) -> None:
        self._link.ask("open_accesses", accesses).result()

    def close(self, access: Access, taken: Taken) -> None:
        with suppress(OSError):  # the other process is gone, and what it has not closed counts as the whole study
            self._link.tell("close_access", access, taken)


class AttachedArchive(Holdings):
    """Made when the archive is open, repaired and locked; whoever has the link lets it `learn`."""

    def __init__(
        self,
        directory: DataDirectory,
        root: RootKey,
        config: ArchiveConfig,
        link: Link,
        opening: Opening,
    ) -> None:
        index = Index.attach(directory.index, root.derive("index"))
        packs = PackStore(FilesystemBackend(directory.packs), index.archive_id, config.pack_bytes)
        packs.join(opening.share)
        keyring = RemoteKeyring(link, root, index.archive_id, index)
        ledger = AccessLedger(RemoteAccesses(link), HANDED_OVER_SECONDS)
        super().__init__(Stores(directory, root, index, packs, keyring, RemoteCommitter(link), ledger), config)
        self._link = link
        self.learn(opening.books)

    def learn(self, books: Books) -> None:
        """Devices or users have changed."""
        self._devices = DeviceBook.of(books.devices, books.authority)
        self._people = UserBook.of(books.users)

    @property
    def devices(self) -> DeviceBook:
        return self._devices

    @property
    def people(self) -> UserBook:
        return self._people

    def suspend(self, device: str, objects: int) -> None:
        self._link.ask("suspend", device, objects).result()

    def user_by_passcode(self, name: str, passcode: str, peer: str) -> User:
        user: User = self._link.ask("user_by_passcode", name, passcode, peer).result()
        return user

    def principal_by_token(self, token: str) -> Principal | None:
        principal: Principal | None = self._link.ask("principal_by_token", token).result()
        return principal

    def refuse(self, peer: RefusedPeer) -> None:
        self._link.ask("refuse", peer).result()

    def close(self) -> None:
        """Write what is owed to the log, and let go of packs and index."""
        self.ledger.close_all()
        # What was put off is told of over the link, which is closed after this.
        with suppress(LeadglassError, LinkFailed):
            self.committer.submit(_nothing_more).result()
        self.packs.close()
        self.index.close()


def _nothing_more(_: Writing) -> None:
    """A job that is done when all before it are."""
