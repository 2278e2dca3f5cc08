"""One thread writes the index. Whatever came while it was committing becomes the next transaction: group commit
without a timer. A job's result is handed out only after its transaction is durable (synchronous=FULL).
"""

import os
import queue
import select
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog

from leadglass.archive.channel import AnsweringEnd
from leadglass.archive.journal import DISCLOSING, ChainHead, Journal
from leadglass.archive.studykeys import Salts
from leadglass.errors import LeadglassError, NotAvailable, OutOfResources
from leadglass.index.index import Index
from leadglass.index.transaction import Transaction
from leadglass.model import AccessEvent

log = structlog.get_logger("archive")
T = TypeVar("T")
MAX_BATCH = 64
#: How long what was put off waits for the transaction of somebody who waits for it.
PATIENCE_SECONDS = 0.1


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


class _Waiting(Protocol):
    """Who is told what became of a job: a future, or the process that sent it."""

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


class _Queued(NamedTuple):
    """`await_durable` raises when what the job writes about is not. `put_off`: it may wait for others."""

    job: Job[Any]
    waiting: _Waiting
    await_durable: Callable[[], None]
    put_off: bool = False


class Committer(ABC):
    """Takes jobs to the one thread that writes. A job that comes from another process is a function of a module and
    what it is given, so that it can be sent."""

    @abstractmethod
    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job. The future is done once the job's writes are durable, or holds its error."""

    @abstractmethod
    def put_off(self, job: Job[T]) -> Future[T]:
        """Queue a job for the next transaction, or for one of its own when none comes soon: what nobody waits for costs
        no sync of its own."""

    def run(self, job: Job[T]) -> T:
        return self.submit(job).result()

    @abstractmethod
    def run_beside(self, job: Job[T], durable: Callable[[], None]) -> T:
        """Run a job while `durable` is called here. The transaction commits once that has returned, and is undone when
        it raises: what the job writes about (bytes in a pack) is durable before the row that names it, while both are
        under way at once."""

    def record(self, event: AccessEvent, study_id: int | None = None) -> Future[None]:
        """Put an event on record. Many do not wait for it: that it could not be written is said in any case."""
        written = self.submit(partial(record_all, events=((event, study_id),)))
        written.add_done_callback(partial(_say_lost, event.action))
        return written

    def note(self, event: AccessEvent, study_id: int | None = None) -> None:
        """Put an event on record with what comes next, or soon (`put_off`)."""
        written = self.put_off(partial(record_all, events=((event, study_id),)))
        written.add_done_callback(partial(_say_lost, event.action))


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
        self._queue: queue.SimpleQueue[_Queued] = queue.SimpleQueue()
        #: Rung for what is queued here; what other processes send rings for itself.
        self._bell = os.eventfd(0, os.EFD_CLOEXEC)
        self._ends: dict[int, AnsweringEnd] = {}
        self._poll = select.epoll()
        self._poll.register(self._bell, select.EPOLLIN)
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="committer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> Future[T]:
        return self._put(job, _nothing)

    def put_off(self, job: Job[T]) -> Future[T]:
        return self._put(job, _nothing, put_off=True)

    def run_beside(self, job: Job[T], durable: Callable[[], None]) -> T:
        word: Future[None] = Future()
        answer = self._put(job, word.result)
        try:
            durable()
        except BaseException as error:
            word.set_exception(error)
            raise
        word.set_result(None)
        return answer.result()

    def _put(self, job: Job[T], await_durable: Callable[[], None], *, put_off: bool = False) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise NotAvailable("The archive is shutting down.", "Try again when it is up.")
            self._queue.put(_Queued(job, future, await_durable, put_off))
            os.eventfd_write(self._bell, 1)
        return future

    def attach(self, descriptor: int) -> None:
        """Take jobs from another process too, over a socket whose other end is an `AskingEnd`."""
        os.set_inheritable(descriptor, False)
        self._ends[descriptor] = AnsweringEnd(socket.socket(fileno=descriptor))
        self._poll.register(descriptor, select.EPOLLIN)

    def close(self) -> None:
        """Commit what is queued, then stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.eventfd_write(self._bell, 1)
        self._thread.join()
        for end in self._ends.values():
            end.close()
        self._poll.close()
        os.close(self._bell)

    def _work(self) -> None:
        while not (self._closed and self._queue.empty()):
            batch = list(self._gathered(None))
            if batch and all(queued.put_off for queued in batch):
                batch += self._gathered(PATIENCE_SECONDS)
            if batch:
                self._commit(batch)

    def _gathered(self, seconds: float | None) -> Iterator[_Queued]:
        """Waits until there is anything, or so long."""
        for descriptor, _ in self._poll.poll(seconds, MAX_BATCH):
            if descriptor == self._bell:
                yield from self._queued()
            else:
                yield from self._received(descriptor)

    def _queued(self) -> Iterator[_Queued]:
        os.eventfd_read(self._bell)  # first: what is queued from here on rings again
        for _ in range(MAX_BATCH):
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return
        os.eventfd_write(self._bell, 1)  # there may be more

    def _received(self, descriptor: int) -> Iterator[_Queued]:
        end = self._ends[descriptor]
        try:
            yield _Queued(end.receive(), end, end.await_durable)
        except BlockingIOError:
            return
        except EOFError:
            self._poll.unregister(descriptor)
            del self._ends[descriptor]
            end.close()
        except Exception as error:  # noqa: BLE001 - a job that cannot be read is its sender's defect
            end.set_exception(error)

    def _commit(self, batch: list[_Queued]) -> None:
        """The batch, which grows by what comes while it is worked on."""
        try:
            results = self._transact(self._growing(batch))
        except Exception:  # noqa: BLE001 - whoever waits for the job that failed is told by `_commit_alone`
            for queued in batch:
                self._commit_alone(queued)
            return
        for queued, result in zip(batch, results, strict=True):
            queued.waiting.set_result(result)

    def _commit_alone(self, queued: _Queued) -> None:
        try:
            (result,) = self._transact([[queued]])
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the job
            queued.waiting.set_exception(_explained(error))
            return
        queued.waiting.set_result(result)

    def _growing(self, batch: list[_Queued]) -> Iterator[list[_Queued]]:
        """Each part is run and durable where it has to be when the next is asked for. Every job more costs a part of a
        commit only; who came first waits a little longer."""
        part = batch.copy()
        while part:
            yield part
            part = list(self._gathered(0)) if len(batch) < MAX_BATCH else []
            batch += part

    def _transact(self, parts: Iterable[list[_Queued]]) -> list[Any]:
        head = self._journal.head
        try:
            with self._index.begin() as tx:
                writing = Writing(tx, self._journal, self._salts)
                results = []
                for part in parts:
                    results += [queued.job(writing) for queued in part]
                    for queued in part:
                        queued.await_durable()
                return results
        except BaseException:
            self._journal.head = head  # the chain goes on from the last event that is durable
            self._salts.forget()
            raise


def _nothing() -> None:
    """The job writes about nothing that lies elsewhere."""


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
