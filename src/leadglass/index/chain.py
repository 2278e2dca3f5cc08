"""Rows of the access log: writers, and events in each writer's chain (docs/formats/log.md)."""

from collections.abc import Iterator
from typing import Any

from leadglass.index.rows import EventRow, WriterRow
from leadglass.index.terms import Terms

#: An event's id is its writer's number times 2^40, plus its own number in the writer's chain.
CHAIN = 1 << 40
_EVENT_SELECT = """
    SELECT event.id, event.id / 1099511627776, event.id % 1099511627776, time, study_id, action.text, principal.text,
           content, leaf, mac, leaf_index
    FROM event JOIN term AS action ON action.id = event.action JOIN term AS principal ON principal.id = event.principal
    """
_INSERT_EVENT = (
    "INSERT INTO event (id, time, study_id, action, principal, content, leaf, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


class ChainWriter:
    """Adds to the log, in the writer's transaction. Numbers, leaves and MACs are the archive's."""

    def __init__(self, cursor: Any, terms: Terms) -> None:
        self._cursor = cursor
        self._terms = terms

    def add_event(
        self,
        writer: int,
        n: int,
        time_us: int,
        study_id: int | None,
        action: str,
        principal: str,
        content: bytes,
        leaf: bytes,
        mac: bytes,
        disclosing: bool = False,
    ) -> None:
        """`disclosing` lists it with its study, for `disclosures`."""
        cursor, terms = self._cursor, self._terms
        action_id, principal_id = terms.of(cursor, action), terms.of(cursor, principal)
        event_id = writer * CHAIN + n
        cursor.execute(_INSERT_EVENT, (event_id, time_us, study_id, action_id, principal_id, content, leaf, mac))
        if disclosing:
            cursor.execute("INSERT INTO disclosure (study_id, event_id) VALUES (?, ?)", (study_id, event_id))

    def add_writer(self) -> int:
        """A new chain, still open."""
        return int(self._cursor.execute("INSERT INTO writer (closed_n) VALUES (NULL)").lastrowid)

    def close_writer(self, writer: int, n: int) -> None:
        """The chain has `n` events and gets no more."""
        self._cursor.execute("UPDATE writer SET closed_n = ? WHERE id = ?", (n, writer))

    def open_writers(self) -> list[WriterRow]:
        rows = self._cursor.execute("SELECT id, closed_n FROM writer WHERE closed_n IS NULL ORDER BY id")
        return [WriterRow(*row) for row in rows]


def writers(cursor: Any) -> list[WriterRow]:
    return [WriterRow(*row) for row in cursor.execute("SELECT id, closed_n FROM writer ORDER BY id")]


def chain_after(cursor: Any, writer: int, event_id: int, limit: int) -> list[EventRow]:
    """The next events of a chain, by id."""
    query = _EVENT_SELECT + "WHERE event.id > ? AND event.id < ? ORDER BY event.id LIMIT ?"
    bounds = (max(event_id, writer * CHAIN), (writer + 1) * CHAIN)
    return [EventRow(*row) for row in cursor.execute(query, (*bounds, limit))]


def chain_end(cursor: Any, writer: int) -> list[EventRow]:
    """The last two events of a chain, in order; fewer when it has fewer."""
    bounds = (writer * CHAIN, (writer + 1) * CHAIN)
    query = _EVENT_SELECT + "WHERE event.id > ? AND event.id < ? ORDER BY event.id DESC LIMIT 2"
    return [EventRow(*row) for row in cursor.execute(query, bounds)][::-1]


def events(
    cursor: Any, *, after: int, action: str | None, principal: str | None, newest_first: bool, limit: int | None
) -> Iterator[EventRow]:
    where, values = ["event.id > ?"], [after]
    for column, text in (("action", action), ("principal", principal)):
        if text is not None:
            row = cursor.execute("SELECT id FROM term WHERE text = ?", (text,)).fetchone()
            if row is None:
                return
            where.append(f"event.{column} = ?")
            values.append(row[0])
    order = "DESC" if newest_first else "ASC"
    query = f"{_EVENT_SELECT}WHERE {' AND '.join(where)} ORDER BY event.id {order} LIMIT ?"
    for row in cursor.execute(query, (*values, -1 if limit is None else limit)):
        yield EventRow(*row)


def disclosures(cursor: Any, study_id: int, limit: int) -> list[EventRow]:
    """Events by which somebody saw something of a study, the newest first."""
    listed = "WHERE event.id IN (SELECT event_id FROM disclosure WHERE study_id = ? ORDER BY event_id DESC LIMIT ?)"
    query = f"{_EVENT_SELECT}{listed} ORDER BY event.id DESC"
    return [EventRow(*row) for row in cursor.execute(query, (study_id, limit))]


def last_event_time(cursor: Any) -> int:
    """0 when nothing has happened yet."""
    row = cursor.execute("SELECT time FROM event ORDER BY id DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 0
