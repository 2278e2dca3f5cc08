"""The open index: one writer, many readers (docs/formats/index.md)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from leadglass.index import accounts, answers, chain, find, locate, lookup, prepared, quarantine, registry, review
from leadglass.index.account_rows import (
    AccountRow,
    EnrolmentRow,
    LockoutRow,
    PasskeyRow,
    SessionRow,
    ShareRow,
    TokenRow,
)
from leadglass.index.connection import create_file, engine
from leadglass.index.held_rows import ListedReview, QuarantineRow, ReviewRow
from leadglass.index.migration import upgrade
from leadglass.index.rows import Counts, DeviceRow, EventRow, InstanceRow, StudyRow, WriterRow
from leadglass.index.terms import Terms
from leadglass.index.transaction import Transaction
from leadglass.model import LITERAL, Attributes, Level, Matching, Scope

T = TypeVar("T")
Row = TypeVar("Row", EventRow, InstanceRow)
#: Rows read at once where all are walked.
PAGE = 1024


class Index:
    """Reading is for any thread; `begin` is for one thread at a time. An iterator that a method returns holds a
    reader's connection and snapshot until it ends or is closed, except where it says that it reads in pages."""

    def __init__(self, readers: Engine, writer: Engine | None) -> None:
        self._readers = readers
        self._writer = writer
        self._pooled = None if writer is None else writer.raw_connection()
        self._connection: Any = None if self._pooled is None else self._pooled.driver_connection
        self._terms = Terms()
        query = "SELECT archive_id FROM archive"
        self.archive_id = bytes(self._read(lambda cursor: cursor.execute(query).fetchone()[0]))

    @classmethod
    def create(cls, path: Path, key: bytes, archive_id: bytes) -> "Index":
        """A new index under a 32-byte key. Raises RefusedForSafety when the file exists."""
        create_file(path)
        with _migrated(path, key) as connection:
            connection.exec_driver_sql("INSERT INTO archive (id, archive_id) VALUES (1, ?)", (archive_id,))
        return cls.open(path, key)

    @classmethod
    def open(cls, path: Path, key: bytes) -> "Index":
        """Raises RefusedForSafety when the file is missing, the key is wrong, or a newer program wrote it."""
        with _migrated(path, key):
            pass
        return cls(engine(path, key, writing=False), engine(path, key, writing=True))

    @classmethod
    def attach(cls, path: Path, key: bytes) -> "Index":
        """For reading only, beside the process that writes. Raises as `open`."""
        return cls(engine(path, key, writing=False), None)

    def close(self) -> None:
        self._readers.dispose()
        if self._pooled is not None and self._writer is not None:
            self._pooled.close()
            self._writer.dispose()

    # Writing

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """One write transaction: durable when the block was left, undone when it raises."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield Transaction(cursor, self._terms)
            cursor.execute("COMMIT")
        except BaseException:
            self._terms.forget()
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()

    def checkpoint(self) -> None:
        """Write the journal back and empty it. Between transactions, on the writer's thread."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # Searching

    def find(
        self,
        level: Level,
        keys: Attributes,
        scope: Scope,
        *,
        limit: int | None,
        matching: Matching = LITERAL,
        offset: int = 0,
    ) -> Iterator[Attributes]:
        """Answers of a query, one by one: the supported keys that were asked for (empty where nothing is known), the
        unique keys of the level and those above, and the level. Raises DataSetError, with the first answer, for a key
        that cannot be meant."""
        with self._readers.connect() as connection:
            yield from find.find(connection, level, keys, scope, limit=limit, matching=matching, offset=offset)

    def supported(self, level: Level) -> frozenset[int]:
        """Tags that `find` answers at a level; it matches them too, except the counts."""
        return answers.supported(level)

    def locate(self, keys: Attributes, scope: Scope, *, limit: int | None = None) -> Iterator[InstanceRow]:
        """Visible instances below the given unique keys (lists of UIDs allowed), by series and instance number."""
        yield from self._stream(lambda cursor: locate.locate(cursor, keys, scope, limit))

    def visible_series(
        self, study_uid: str, series_uid: str | None, scope: Scope
    ) -> tuple[prepared.VisibleSeries, ...]:
        """The visible series of a study, or only the one that is asked for."""
        return self._read(lambda cursor: prepared.visible_series(cursor, study_uid, series_uid, scope))

    # Rows

    def series_document(self, series_id: int, form: int) -> prepared.SeriesDocument:
        """The generation of a series, and what was prepared of it in that form if that still holds."""
        return self._read(lambda cursor: prepared.series_document(cursor, series_id, form))

    def series_instances(self, series_id: int) -> prepared.SeriesInstances:
        return self._read(lambda cursor: prepared.series_instances(cursor, series_id))

    def unprepared(self, form: int, least: int, newest: int) -> tuple[prepared.UnpreparedSeries, ...]:
        """Among so many newest series those with at least so many instances of which nothing is prepared."""
        return self._read(lambda cursor: prepared.unprepared(cursor, form, least, newest))

    def instance(self, instance_id: int) -> InstanceRow:
        """Raises NotFound."""
        return self._read(lambda cursor: lookup.instance_by_id(cursor, instance_id))

    def study(self, study_id: int) -> StudyRow:
        """Raises NotFound."""
        return self._read(lambda cursor: lookup.study_by_id(cursor, study_id))

    def versions(self, uid: str) -> list[InstanceRow]:
        """All versions under a SOP Instance UID, in any state, oldest first."""
        return self._read(lambda cursor: lookup.instances_by_uid(cursor, uid))

    def studies(self, uid: str) -> list[StudyRow]:
        """All claims on a Study Instance UID, oldest first."""
        return self._read(lambda cursor: lookup.studies_by_uid(cursor, uid))

    def all_instances(self, after_id: int = 0) -> Iterator[InstanceRow]:
        """Instances in any state, by id. No snapshot is held between its pages."""
        return self._pages(after_id, lambda cursor, after: lookup.instances_after(cursor, after, PAGE))

    def log_salt(self, study_id: int) -> bytes:
        """The wrapped log salt of a study. Raises NotFound."""
        return self._read(lambda cursor: lookup.log_salt(cursor, study_id))

    def pack_ends(self) -> dict[int, int]:
        """Pack number → the offset up to which its bytes are committed."""
        return self._read(lambda cursor: dict(cursor.execute("SELECT number, committed_end FROM pack").fetchall()))

    def counts(self) -> Counts:
        return self._read(lookup.counts)

    def integrity_check(self) -> list[str]:
        """What is wrong with the file and its tables, in words; nothing when all is well."""
        return self._read(lookup.integrity_check)

    # The log, devices, reviews

    def events(
        self,
        after: int = 0,
        *,
        action: str | None = None,
        principal: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[EventRow]:
        """Events with an id above `after`, in the order in which they were recorded or the reverse."""
        return self._stream(
            lambda cursor: chain.events(
                cursor, after=after, action=action, principal=principal, newest_first=newest_first, limit=limit
            )
        )

    def disclosures(self, study_id: int, limit: int) -> list[EventRow]:
        """Events by which somebody saw something of a study, the newest first."""
        return self._read(lambda cursor: chain.disclosures(cursor, study_id, limit))

    def chain(self, writer: int) -> Iterator[EventRow]:
        """One writer's events in order. No snapshot is held between its pages."""
        return self._pages(0, lambda cursor, after: chain.chain_after(cursor, writer, after, PAGE))

    def chain_end(self, writer: int) -> list[EventRow]:
        """The last two of one writer's events, in order; fewer when it has fewer."""
        return self._read(lambda cursor: chain.chain_end(cursor, writer))

    def writers(self) -> list[WriterRow]:
        return self._read(chain.writers)

    def last_event_time(self) -> int:
        """µs since 1970 UTC; 0 when nothing has happened yet."""
        return self._read(chain.last_event_time)

    def devices(self) -> tuple[DeviceRow, ...]:
        """All devices by name, with titles and keys."""
        return self._read(registry.devices)

    # Users

    def accounts(self) -> tuple[AccountRow, ...]:
        """All users by name."""
        return self._read(accounts.accounts)

    def passkeys(self, account_id: int) -> tuple[PasskeyRow, ...]:
        return self._read(lambda cursor: accounts.passkeys(cursor, account_id))

    def passkey_counts(self) -> dict[int, int]:
        """How many passkeys each account has that has any."""
        return self._read(accounts.passkey_counts)

    def passkey(self, credential: bytes) -> PasskeyRow | None:
        return self._read(lambda cursor: accounts.passkey(cursor, credential))

    def sessions(self) -> tuple[SessionRow, ...]:
        return self._read(accounts.sessions)

    def tokens(self) -> tuple[TokenRow, ...]:
        return self._read(accounts.tokens)

    def enrolment(self, digest: bytes) -> EnrolmentRow | None:
        return self._read(lambda cursor: accounts.enrolment(cursor, digest))

    def lockouts(self) -> tuple[LockoutRow, ...]:
        return self._read(accounts.lockouts)

    def shares(self, study_id: int) -> tuple[ShareRow, ...]:
        return self._read(lambda cursor: accounts.shares(cursor, study_id))

    def reviews(self, scope: Scope, state: str = "open") -> Iterator[ListedReview]:
        """`state` is open, accepted or rejected; oldest first."""
        return self._stream(lambda cursor: review.reviews(cursor, state, scope))

    def open_reviews(self, scope: Scope) -> int:
        """How many there are."""
        return self._read(lambda cursor: review.open_count(cursor, scope))

    def review(self, review_id: int, scope: Scope) -> ReviewRow | None:
        return self._read(lambda cursor: review.review(cursor, review_id, scope))

    def quarantined(self, digest: bytes, site: str) -> QuarantineRow | None:
        """What a site holds back under the digest as received, however it was decided."""
        return self._read(lambda cursor: quarantine.quarantined(cursor, digest, site))

    def held_counts(self, before: int, scope: Scope) -> tuple[int, int, int]:
        """How many objects are held back, how many of them since before a moment (µs since 1970 UTC), and since when
        the oldest is; 0 when there is none."""
        return self._read(lambda cursor: quarantine.held_counts(cursor, before, scope))

    def held_since(self, principal: str, moment: int) -> int:
        """How many different objects of a sender were held back since then (µs), and not released."""
        return self._read(lambda cursor: quarantine.held_since(cursor, principal, moment))

    def reinspected(self) -> int:
        """The last instance that an unfinished inspection of everything has come to; 0 when there is none."""
        return self._read(quarantine.reinspected)

    def received_as(self, instance_id: int) -> bytes | None:
        """The digest of the original of an instance that was disarmed; None for others."""
        return self._read(lambda cursor: quarantine.received_as(cursor, instance_id))

    def quarantine_row(self, quarantine_id: int, scope: Scope) -> QuarantineRow | None:
        return self._read(lambda cursor: quarantine.quarantine_row(cursor, quarantine_id, scope))

    def quarantine_rows(self, scope: Scope, state: str = "held") -> Iterator[QuarantineRow]:
        """`state` is held, released, destroyed or disarmed; oldest first."""
        return self._stream(lambda cursor: quarantine.quarantine_rows(cursor, state, scope))

    def _read(self, read: Callable[[Any], T]) -> T:
        with self._readers.connect() as connection:
            return read(_cursor(connection))

    def _pages(self, after: int, read: Callable[[Any, int], list[Row]]) -> Iterator[Row]:
        while True:
            with self._readers.connect() as connection:
                page = read(_cursor(connection), after)
            if not page:
                return
            yield from page
            after = page[-1].id

    def _stream(self, read: Callable[[Any], Iterator[T]]) -> Iterator[T]:
        with self._readers.connect() as connection:
            cursor = _cursor(connection)
            try:
                yield from read(cursor)
            finally:
                cursor.close()


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()


@contextmanager
def _migrated(path: Path, key: bytes) -> Iterator[Connection]:
    migrating = engine(path, key, writing=True)
    try:
        with migrating.connect() as connection:
            upgrade(connection)
            yield connection
    finally:
        migrating.dispose()
