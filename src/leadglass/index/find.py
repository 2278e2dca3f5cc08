"""C-FIND as one SQL statement: which rows match (PS3.4 C.2.2.2), and what is answered about each (C.4.1.1.3).

A study is visible when it has a visible instance and lies in the scope; so is a series, and what is below. A patient is
shown as the newest visible study in the scope describes it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, func, select

from leadglass.dicom import tags
from leadglass.index.answers import column_for, items, scope_condition, supported, unique_keys
from leadglass.index.keys import Search, exact_keys
from leadglass.index.matching import Condition
from leadglass.index.person import Driver
from leadglass.index.schema import instance, patient, series, study
from leadglass.index.template import Slot, Template, like_scope, scope_slots
from leadglass.model import LITERAL, Attributes, Level, Matching, Scope

#: Rows fetched from SQLite at a time.
FETCHED = 128
#: Statements kept: by what is answered, which keys are matched exactly, and what the scope is like.
KEPT = 256


def find(
    connection: Connection,
    level: Level,
    keys: Attributes,
    scope: Scope,
    *,
    limit: int | None,
    matching: Matching,
    offset: int,
) -> Iterator[Attributes]:
    """Answers one by one, from one snapshot. Raises DataSetError for a key that cannot be meant."""
    exact = exact_keys(level, keys)
    if exact is None or offset:
        yield from _found(connection, level, keys, scope, limit, offset, matching)
        return
    answered = _answered(level, keys)
    template = _template(level, answered, frozenset(exact), like_scope(scope))
    slots = dict(scope_slots(scope)) | {_slot(tag): value for tag, value in exact.items()}
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(template.text, template.filled(slots))
        yield from _answers(level, answered, islice(cursor, limit))
    finally:
        cursor.close()


def _found(
    connection: Connection,
    level: Level,
    keys: Attributes,
    scope: Scope,
    limit: int | None,
    offset: int,
    matching: Matching,
) -> Iterator[Attributes]:
    """By a statement that is put together for these values."""
    statement = build(level, keys, scope, matching)
    if offset:
        statement = statement.limit(-1 if limit is None else limit).offset(offset)
    # The result is closed with the generator, or a search given up would hold its snapshot.
    # Rows come as they are found: to stop taking them is the limit, and spares SQLAlchemy writing one into the text.
    fetched = FETCHED if limit is None else max(1, min(FETCHED, limit))
    with connection.execution_options(yield_per=fetched).execute(statement) as result:
        yield from _answers(level, _answered(level, keys), islice(result, limit))


def _answers(level: Level, answered: tuple[int, ...], rows: Iterable[Sequence[Any]]) -> Iterator[Attributes]:
    has_requests = tags.REQUEST_ATTRIBUTES_SEQUENCE in answered
    for row in rows:
        answer: dict[int, Any] = dict(zip(answered, row, strict=True))
        answer[tags.QUERY_RETRIEVE_LEVEL] = level.value
        if has_requests:
            answer[tags.REQUEST_ATTRIBUTES_SEQUENCE] = items(answer[tags.REQUEST_ATTRIBUTES_SEQUENCE])
        yield answer


def _answered(level: Level, keys: Iterable[int]) -> tuple[int, ...]:
    """The tag of each column."""
    known = supported(level)
    return tuple(dict.fromkeys((*unique_keys(level), *(tag for tag in keys if tag in known))))


@lru_cache(maxsize=KEPT)
def _template(level: Level, answered: tuple[int, ...], exact: frozenset[int], scope: Scope) -> Template:
    keys = dict.fromkeys(answered, "") | {tag: _slot(tag) for tag in exact}
    return Template.of(build(level, keys, scope, LITERAL))


def _slot(tag: int) -> Slot:
    return Slot(f"{tag:08X}")


def build(level: Level, keys: Mapping[int, Any], scope: Scope, matching: Matching) -> Select[Any]:
    search = Search(level, keys, matching)
    statement = select(*(column_for(tag, scope) for tag in _answered(level, keys)))
    statement = statement.select_from(_rows(level, search.driver))
    statement = statement.where(_visible(level), scope_condition(scope, study), *search.conditions)
    if level is Level.PATIENT:
        statement = statement.where(_newest_of_patient(scope))
    return statement.order_by(*search.order)


def _rows(level: Level, driver: Driver | None) -> FromClause:
    rows: FromClause = study if driver is None else driver.source.join(study, study.c.id == driver.study_id)
    rows = rows.join(patient, patient.c.id == study.c.patient_key)
    if level in (Level.SERIES, Level.IMAGE):
        rows = rows.join(series, series.c.study_id == study.c.id)
    if level is Level.IMAGE:
        rows = rows.join(instance, instance.c.series_id == series.c.id)
    return rows


def _visible(level: Level) -> Condition:
    if level is Level.IMAGE:
        return instance.c.state == 0
    return series.c.instances > 0 if level is Level.SERIES else study.c.instances > 0


def _newest_of_patient(scope: Scope) -> Condition:
    other = study.alias("of_same_patient")
    newest = select(func.max(other.c.id)).where(
        and_(other.c.patient_key == study.c.patient_key, other.c.instances > 0, scope_condition(scope, other))
    )
    return study.c.id == newest.correlate(study).scalar_subquery()
