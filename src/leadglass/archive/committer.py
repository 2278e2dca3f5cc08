"""One thread writes the index. Whatever queued while it was committing becomes the next transaction: group commit
without a timer. A job's result is handed out only after its transaction is durable (synchronous=FULL).
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from leadglass.archive.journal import ChainHead, Journal
from leadglass.archive.studykeys import Salts
from leadglass.errors import LeadglassError, NotAvailable, OutOfResources
from leadglass.index.index import Index
from leadglass.index.transaction import Transaction
from leadglass.model import AccessEvent

T = TypeVar("T")
MAX_BATCH = 64


class Writing:
    """What a job may do inside the committer's transaction: the index's primitives, and recording events."""

    def __init__(self, tx: Transaction, journal: Journal, salts: Salts) -> None:
        self.tx = tx
        self._journal = journal
        self._salts = salts

    @property
    def head(self) -> ChainHead:
        return self._journal.head

    def record(self, event: AccessEvent, study_id: int | None = None) -> None:
        chained = self._journal.chain(event, self._salts.of(study_id, self.tx))
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
        )


Job = Callable[[Writing], T]


class Committer:
    """Owns the writer connection. When a job raises, the others of its transaction are run each by itself."""

    def __init__(self, index: Index, journal: Journal, salts: Salts) -> None:
        self._index = index
        self._journal = journal
        self._salts = salts
        self._queue: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job. The future is done once the job's writes are durable, or holds its error."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise NotAvailable("The archive is shutting down.", "Try again when it is up.")
            self._queue.put((job, future))
        return future

    def run(self, job: Job[T]) -> T:
        return self.submit(job).result()

    def record(self, event: AccessEvent, study_id: int | None = None) -> Future[None]:
        return self.submit(lambda writing: writing.record(event, study_id))

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

    def _commit_batch(self, batch: list[tuple[Job[Any], Future[Any]]]) -> None:
        try:
            results = self._transact([job for job, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the job
            if len(batch) == 1:
                batch[0][1].set_exception(_explained(error))
                return
            for item in batch:
                self._commit_batch([item])
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _transact(self, jobs: list[Job[Any]]) -> list[Any]:
        head = self._journal.head
        try:
            with self._index.begin() as tx:
                writing = Writing(tx, self._journal, self._salts)
                return [job(writing) for job in jobs]
        except BaseException:
            self._journal.head = head  # the chain goes on from the last event that is durable
            raise


def _explained(error: Exception) -> Exception:
    """A full disk under the index is a lack of resources, whatever the driver calls it."""
    if isinstance(error, LeadglassError):
        return error
    if "disk is full" in str(error) or "No space left" in str(error):
        return OutOfResources(
            "The disk that holds the index is full.", "Free some space; nothing acknowledged is lost."
        )
    return error
