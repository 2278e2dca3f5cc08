"""Rows of what inspection held back."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from leadglass.index.catalogue import ADVANCE_PACK
from leadglass.index.held_rows import NewQuarantined, QuarantineRow
from leadglass.index.rows import InstanceState, ObjectLocation
from leadglass.model import Scope

_SELECT = (
    "SELECT id, digest, site, issuer, sop_class, sop_instance, study, transfer_syntax, principal, peer, findings, "
    "state, pack, start, length, object_id, plain_length, wrapped_key, attempts, created, decided, "
    "coalesce(decided_by, '') FROM quarantine "
)
_INSERT = (
    "INSERT INTO quarantine (digest, site, issuer, sop_class, sop_instance, study, transfer_syntax, principal, peer, "
    "findings, state, pack, start, length, object_id, plain_length, wrapped_key, attempts, created) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"
)


class QuarantineWriter:
    """Adds and decides, in the writer's transaction."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def quarantined(self, digest: bytes, site: str) -> QuarantineRow | None:
        return quarantined(self._cursor, digest, site)

    def quarantine_row(self, quarantine_id: int, scope: Scope) -> QuarantineRow | None:
        return quarantine_row(self._cursor, quarantine_id, scope)

    def add_quarantined(self, new: NewQuarantined, state: str = "held") -> int:
        location = new.location
        self._cursor.execute(ADVANCE_PACK, (location.pack, location.offset + location.length))
        values = (
            *(new.digest, new.site, new.issuer, new.sop_class, new.sop_instance, new.study, new.transfer_syntax),
            *(new.principal, new.peer, new.findings, state, location.pack, location.offset, location.length),
            *(new.object_id, new.plain_length, new.wrapped_key, time.time_ns() // 1000),
        )
        return int(self._cursor.execute(_INSERT, values).lastrowid)

    def count_attempt(self, quarantine_id: int) -> None:
        self._cursor.execute("UPDATE quarantine SET attempts = attempts + 1 WHERE id = ?", (quarantine_id,))

    def decide_quarantined(self, quarantine_id: int, state: str, decided_by: str) -> None:
        """`destroyed` forgets the key: with `secure_delete` no page keeps it."""
        self._cursor.execute(
            "UPDATE quarantine SET state = ?, decided = ?, decided_by = ?, "
            "wrapped_key = CASE WHEN ? = 'destroyed' THEN NULL ELSE wrapped_key END WHERE id = ?",
            (state, time.time_ns() // 1000, decided_by, state, quarantine_id),
        )

    def add_disarmed(self, instance_id: int, quarantine_id: int, removed: Sequence[str]) -> None:
        """`removed`: the elements that were taken out, as `(0009,1010)`; none where only the end was cut."""
        insert = "INSERT INTO disarmed (instance_id, quarantine_id, removed) VALUES (?, ?, ?)"
        self._cursor.execute(insert, (instance_id, quarantine_id, json.dumps(removed)))

    def hold_again(self, quarantine_id: int, findings: str) -> None:
        """What was released before, for reasons that nobody has decided about."""
        update = "UPDATE quarantine SET state = 'held', findings = ?, decided = NULL, decided_by = NULL WHERE id = ?"
        self._cursor.execute(update, (findings, quarantine_id))

    def add_withdrawn(self, instance_id: int, quarantine_id: int, state: InstanceState) -> None:
        """`state`: the one that it had."""
        insert = "INSERT INTO withdrawn (instance_id, quarantine_id, state) VALUES (?, ?, ?)"
        self._cursor.execute(insert, (instance_id, quarantine_id, int(state)))

    def take_withdrawn(self, instance_id: int) -> InstanceState | None:
        """The state that a withdrawn instance had, which it is not any more; None for others."""
        delete = "DELETE FROM withdrawn WHERE instance_id = ? RETURNING state"
        row = self._cursor.execute(delete, (instance_id,)).fetchone()
        return InstanceState(row[0]) if row else None

    def set_reinspected(self, instance_id: int) -> None:
        """The last inspection of everything has come as far as this instance; 0 when it is complete."""
        upsert = "INSERT INTO reinspection (id, after_id) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET after_id = ?"
        self._cursor.execute(upsert, (instance_id, instance_id))

    def received_as(self, instance_id: int) -> bytes | None:
        return received_as(self._cursor, instance_id)


def held_since(cursor: Any, principal: str, moment: int) -> int:
    query = "SELECT count(*) FROM quarantine WHERE principal = ? AND created >= ? AND state IN ('held', 'destroyed')"
    return int(cursor.execute(query, (principal, moment)).fetchone()[0])


def reinspected(cursor: Any) -> int:
    row = cursor.execute("SELECT after_id FROM reinspection").fetchone()
    return int(row[0]) if row else 0


def received_as(cursor: Any, instance_id: int) -> bytes | None:
    """The digest of the original of an instance that was disarmed; None for others."""
    query = "SELECT digest FROM quarantine JOIN disarmed ON quarantine_id = quarantine.id WHERE instance_id = ?"
    row = cursor.execute(query, (instance_id,)).fetchone()
    return bytes(row[0]) if row else None


def quarantined(cursor: Any, digest: bytes, site: str) -> QuarantineRow | None:
    row = cursor.execute(_SELECT + "WHERE digest = ? AND site = ?", (digest, site)).fetchone()
    return _row(row) if row else None


def quarantine_row(cursor: Any, quarantine_id: int, scope: Scope) -> QuarantineRow | None:
    within, sites = _within(scope)
    row = cursor.execute(f"{_SELECT}WHERE id = ?{within}", (quarantine_id, *sites)).fetchone()
    return _row(row) if row else None


def quarantine_rows(cursor: Any, state: str, scope: Scope) -> Iterator[QuarantineRow]:
    """Oldest first."""
    within, sites = _within(scope)
    for row in cursor.execute(f"{_SELECT}WHERE state = ?{within} ORDER BY id", (state, *sites)):
        yield _row(row)


def held_counts(cursor: Any, before: int, scope: Scope) -> tuple[int, int, int]:
    """How many are held, how many of them since before a moment, and since when the oldest is (0 when none is)."""
    within, sites = _within(scope)
    counted = "SELECT count(*), coalesce(sum(created < ?), 0), coalesce(min(created), 0) FROM quarantine"
    row = cursor.execute(f"{counted} WHERE state = 'held'{within}", (before, *sites)).fetchone()
    return int(row[0]), int(row[1]), int(row[2])


def _row(row: tuple[Any, ...]) -> QuarantineRow:
    values = [*row[:12], ObjectLocation(*row[12:15]), *row[15:]]
    return QuarantineRow(*values)


def _within(scope: Scope) -> tuple[str, tuple[str, ...]]:
    if scope.sites is None:
        return "", ()
    sites = tuple(sorted(scope.sites))
    return f" AND site IN ({', '.join('?' * len(sites))})", sites
