"""A writer is one process's life with the archive open; each keeps a chain of event MACs of its own.

A writer that ended properly closed its chain. One that did not (kill -9, power) has its chain closed by the next
writer, explicitly: an event says how many there were, so that cutting off a tail shows.
"""

import time
from collections.abc import Callable

from leadglass.archive.committer import Writing
from leadglass.archive.journal import ChainedEvent, ChainHead, Journal, first_mac, verify_link
from leadglass.archive.studykeys import Salts
from leadglass.errors import RefusedForSafety, VerificationFailed
from leadglass.index.index import Index
from leadglass.index.rows import EventRow, WriterRow
from leadglass.index.transaction import Transaction
from leadglass.model import AccessEvent, Outcome

SYSTEM = "system:leadglass"
CLOCK_TOLERANCE_US = 5 * 60 * 1_000_000


def begin_chain(index: Index, mac_key: bytes, salts: Salts) -> ChainHead:
    """Close what earlier writers left open, then register this one. Raises RefusedForSafety when the clock is more than
    five minutes behind the last event, VerificationFailed when the end of a chain does not hold (`fsck` walks all)."""
    last = index.last_event_time()
    if time.time_ns() // 1000 < last - CLOCK_TOLERANCE_US:
        raise RefusedForSafety("The clock is more than five minutes behind the last event.", "Set the clock right.")
    with index.begin() as tx:
        dead = tx.open_writers()
        heads = {writer.id: _chain_end(index, tx, writer, mac_key, salts) for writer in dead}
        number = tx.add_writer()
        own = ChainHead(number, 0, first_mac(number, index.archive_id), last)
        journal = Journal(mac_key, own)
        writing = Writing(tx, journal, salts)
        for writer in dead:
            head = heads[writer.id]
            tx.close_writer(writer.id, head.n)
            writing.record(_event("chain-closed", {"writer": writer.id, "events": head.n}))
        writing.record(_event("archive-opened", {"writer": number}))
    return journal.head


def close_chain(writing: Writing) -> None:
    """The last event of this writer: how many there are."""
    head = writing.head
    writing.record(_event("archive-closed", {"writer": head.writer, "events": head.n + 1}))
    writing.tx.close_writer(head.writer, writing.head.n)


def verify_chain(index: Index, writer: WriterRow, mac_key: bytes, salt_of: Callable[[int | None], bytes]) -> ChainHead:
    """Walk one writer's events in order. Raises VerificationFailed at the first gap or altered event."""
    previous, n, time_us = first_mac(writer.id, index.archive_id), 0, 0
    for row in index.chain(writer.id):
        if row.n != n + 1:
            raise VerificationFailed(f"Event {n + 1} of writer {writer.id} is missing from the log.")
        verify_link(mac_key, previous, _chained(row), salt_of(row.study_id))
        previous, n, time_us = row.mac, row.n, row.time_us
    if writer.closed_n is not None and writer.closed_n != n:
        raise VerificationFailed(f"Writer {writer.id} wrote {writer.closed_n} events, but {n} are there.")
    return ChainHead(writer.id, n, previous, time_us)


def _chain_end(index: Index, tx: Transaction, writer: WriterRow, mac_key: bytes, salts: Salts) -> ChainHead:
    """Where an open chain stands. Raises VerificationFailed when its last event does not follow from the one before."""
    end = index.chain_end(writer.id)
    if not end:
        return ChainHead(writer.id, 0, first_mac(writer.id, index.archive_id), 0)
    previous = end[-2].mac if len(end) == 2 else first_mac(writer.id, index.archive_id)
    last = end[-1]
    verify_link(mac_key, previous, _chained(last), salts.of(last.study_id, tx))
    return ChainHead(writer.id, last.n, last.mac, last.time_us)


def _chained(row: EventRow) -> ChainedEvent:
    return ChainedEvent(row.writer, row.n, row.time_us, row.action, row.principal, row.content, row.leaf, row.mac)


def _event(action: str, detail: dict[str, object]) -> AccessEvent:
    return AccessEvent(action=action, outcome=Outcome.DONE, principal=SYSTEM, detail=detail)
