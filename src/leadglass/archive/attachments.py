"""The other end of `AttachedArchive`: what the process that writes does for those that receive."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from leadglass.archive.access import Access, Taken
from leadglass.archive.archive import Archive
from leadglass.archive.attached import Books, Opening
from leadglass.archive.link import Verb
from leadglass.archive.studykeys import Claim

#: Verbs that wait at once, for each attached process: for a password's hash, a provider, an acknowledgement of all; and
#: as many beside them for the log, so that no retrieval waits while somebody tries passwords.
_WAITING = 8


def books_of(archive: Archive) -> Books:
    """The newest."""
    return Books(tuple(archive.devices.devices.values()), tuple(archive.people.by_id.values()), archive.authority)


def openings(archive: Archive, processes: int) -> list[Opening]:
    """One for each process."""
    books = books_of(archive)
    return [Opening(books, share) for share in archive.packs.share(processes)]


class Attachment:
    """What one attached process asks for. `close` when it is gone: what it left undone is undone, but for accesses that
    it has not closed. What it took is unknown; they stay open, and count as the whole study."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._keyed: list[Claim] = []
        self._waiting = ThreadPoolExecutor(_WAITING, "attachment")
        self._opening = ThreadPoolExecutor(_WAITING, "accesses")

    def verbs(self) -> Mapping[str, Verb]:
        archive = self._archive
        return {
            "commit": archive.committer.submit,
            "put_off": archive.committer.put_off,
            "attach": archive.take_jobs,
            "acquire": self._acquire,
            "release": self._release,
            "open_accesses": _apart(self._opening, archive.ledger.begin),
            "close_access": self._close_access,
            "refuse": archive.refusals.record,
            "suspend": _apart(self._waiting, archive.suspend),
            "user_by_passcode": _apart(self._waiting, archive.user_by_passcode),
            "principal_by_token": _apart(self._waiting, archive.principal_by_token),
        }

    def close(self) -> None:
        for claim in self._keyed:
            self._archive.keyring.release(claim)
        self._waiting.shutdown()
        self._opening.shutdown()

    def _acquire(self, claim: Claim) -> object:
        keyed = self._archive.keyring.acquire(claim)
        self._keyed.append(claim)
        return keyed

    def _release(self, claim: Claim) -> None:
        self._keyed.remove(claim)
        self._archive.keyring.release(claim)

    def _close_access(self, access: Access, taken: Taken) -> None:
        self._archive.ledger.count_elsewhere(access, taken)
        self._archive.ledger.end([access])


def _apart(threads: ThreadPoolExecutor, verb: Callable[..., Any]) -> Verb:
    return partial(threads.submit, verb)
