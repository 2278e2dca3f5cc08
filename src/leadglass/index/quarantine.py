"""Rows of what inspection held back."""

import time
from collections.abc import Iterator
from typing import Any

from leadglass.index.catalogue import ADVANCE_PACK
from leadglass.index.held_rows import NewQuarantined, QuarantineRow
from leadglass.index.rows import ObjectLocation
from leadglass.model import Scope

_SELECT = (
    "SELECT id, digest, site, issuer, sop_class, sop_instance, study, transfer_syntax, principal, peer, findings, "
    "state, pack, start, length, object_id, plain_length, wrapped_key, attempts, created, decided, "
    "coalesce(decided_by, '') FROM quarantine "
)
_INSERT = (
    "INSERT INTO quarantine (digest, site, issuer, sop_class, sop_instance, study, transfer_syntax, principal, peer, "
    "findings, state, pack, start, length, object_id, plain_length, wrapped_key, attempts, created) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'held', ?, ?, ?, ?, ?, ?, 1, ?)"
)


class QuarantineWriter:
    """Adds and decides, in the writer's transaction."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def quarantined(self, digest: bytes, site: str) -> QuarantineRow | None:
        return quarantined(self._cursor, digest, site)

    def quarantine_row(self, quarantine_id: int, scope: Scope) -> QuarantineRow | None:
        return quarantine_row(self._cursor, quarantine_id, scope)

    def add_quarantined(self, new: NewQuarantined) -> int:
        location = new.location
        self._cursor.execute(ADVANCE_PACK, (location.pack, location.offset + location.length))
        values = (
            *(new.digest, new.site, new.issuer, new.sop_class, new.sop_instance, new.study, new.transfer_syntax),
            *(new.principal, new.peer, new.findings, location.pack, location.offset, location.length),
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


def _row(row: tuple[Any, ...]) -> QuarantineRow:
    values = [*row[:12], ObjectLocation(*row[12:15]), *row[15:]]
    return QuarantineRow(*values)


def _within(scope: Scope) -> tuple[str, tuple[str, ...]]:
    if scope.sites is None:
        return "", ()
    sites = tuple(sorted(scope.sites))
    return f" AND site IN ({', '.join('?' * len(sites))})", sites
