"""One thread writes the index. Whatever queued while it was committing becomes the next transaction: group commit
without a timer. A job's result is handed out only after its transaction is durable (synchronous=FULL).
"""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, TypeVar

import structlog

from leadglass.archive.journal import DISCLOSING, ChainHead, Journal
from leadglass.archive.studykeys import Salts
from leadglass.errors import LeadglassError, NotAvailable, OutOfResources
from leadglass.index.index import Index
from leadglass.index.transaction import Transaction
from leadglass.model import AccessEvent

log = structlog.get_logger("archive")
T = TypeVar("T")
MAX_BATCH = 64


class Writing:
    """What a job may do inside the committer's transaction: the index's primitives, and recording events."""

    def __init__(self, tx: Transaction, journal: Journal, salts: Salts) -> None:
        self.tx = tx
        self._journal = journal
        self.salts = salts

    @property
    def head(self) -> ChainHead:
        return self._journal.head

    def record(self, event: AccessEvent, study_id: int | None = None) -> None:
        chained = self._journal.chain(event, self.salts.of(study_id, self.tx))
        self.tx.add_event(
            chained.writer,
            chained.n,
            chained.time_us,
            study_id,
            chained.action,
            chained.principal,
            chained.content,
            chained.leaf,
            chained.mac,
            disclosing=study_id is not None and chained.action in DISCLOSING,
        )


Job = Callable[[Writing], T]


class _Queued(NamedTuple):
    job: Job[Any]
    future: Future[Any]
    first: Future[None] | None


class Committer(ABC):
    """Takes jobs to the one thread that writes. A job that comes from another process is a function of a module and
    what it is given, so that it can be sent."""

    @abstractmethod
    def submit(self, job: Job[T], first: "Future[None] | None" = None) -> Future[T]:
        """Queue a job. The future is done once the job's writes are durable, or holds its error.

        `first` must be done before the transaction commits, and undoes it when it failed: what the job writes about
        (bytes in a pack) is durable before the row that names it, while both are under way at once.
        """

    def run(self, job: Job[T]) -> T:
        return self.submit(job).result()

    def record(self, event: AccessEvent, study_id: int | None = None) -> Future[None]:
        """Put an event on record. Many do not wait for it: that it could not be written is said in any case."""
        written = self.submit(partial(record_all, events=((event, study_id),)))
        written.add_done_callback(partial(_say_lost, event.action))
        return written


def record_all(writing: Writing, events: Iterable[tuple[AccessEvent, int | None]]) -> None:
    """A job: events, each with the number of its study."""
    for event, study_id in events:
        writing.record(event, study_id)


class LocalCommitter(Committer):
    """Owns the writer connection. When a job raises, the others of its transaction are run each by itself."""

    def __init__(self, index: Index, journal: Journal, salts: Salts) -> None:
        self._index = index
        self._journal = journal
        self._salts = salts
        self._queue: queue.SimpleQueue[_Queued | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T], first: "Future[None] | None" = None) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise NotAvailable("The archive is shutting down.", "Try again when it is up.")
            self._queue.put(_Queued(job, future, first))
        return future

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        open_for_more = True
        while open_for_more:
            batch = []
            item = self._queue.get()
            while item is not None:
                batch.append(item)
                if len(batch) == MAX_BATCH or self._queue.empty():
                    break
                item = self._queue.get()
            open_for_more = item is not None
            if batch:
                self._commit_batch(batch)

    def _commit_batch(self, batch: list[_Queued]) -> None:
        try:
            results = self._transact(batch)
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the job
            if len(batch) == 1:
                batch[0].future.set_exception(_explained(error))
                return
            for item in batch:
                self._commit_batch([item])
            return
        for queued, result in zip(batch, results, strict=True):
            queued.future.set_result(result)

    def _transact(self, batch: list[_Queued]) -> list[Any]:
        head = self._journal.head
        try:
            with self._index.begin() as tx:
                writing = Writing(tx, self._journal, self._salts)
                results = [queued.job(writing) for queued in batch]
                for queued in batch:
                    if queued.first is not None:
                        queued.first.result()
                return results
        except BaseException:
            self._journal.head = head  # the chain goes on from the last event that is durable
            self._salts.forget()
            raise


def _say_lost(action: str, written: Future[None]) -> None:
    error = written.exception()
    if error is not None:
        log.error("an event could not be put on record", action=action, kind=type(error).__name__)


def _explained(error: Exception) -> Exception:
    """A full disk under the index is a lack of resources, whatever the driver calls it."""
    if isinstance(error, LeadglassError):
        return error
    if "disk is full" in str(error) or "No space left" in str(error):
        return OutOfResources(
            "The disk that holds the index is full.", "Free some space; nothing acknowledged is lost."
        )
    return error
