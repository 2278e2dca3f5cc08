"""C-FIND as one SQL statement: which rows match (PS3.4 C.2.2.2), and what is answered about each (C.4.1.1.3).

A study is visible when it has a visible instance and lies in the scope; so is a series, and what is below. A patient is
shown as the newest visible study in the scope describes it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, func, select

from leadglass.dicom import tags
from leadglass.index.answers import column_for, items, scope_condition, supported, unique_keys
from leadglass.index.keys import Search
from leadglass.index.matching import Condition
from leadglass.index.person import Driver
from leadglass.index.schema import instance, patient, series, study
from leadglass.model import Attributes, Level, Scope

#: Rows fetched from SQLite at a time.
FETCHED = 128


def find(
    connection: Connection,
    level: Level,
    keys: Attributes,
    scope: Scope,
    *,
    limit: int | None,
    combined_datetime: bool,
    offset: int,
) -> Iterator[Attributes]:
    """Answers one by one, from one snapshot. Raises DataSetError for a key that cannot be meant."""
    statement, answered = build(level, keys, scope, combined_datetime=combined_datetime)
    if offset:
        statement = statement.limit(-1 if limit is None else limit).offset(offset)
    has_requests = tags.REQUEST_ATTRIBUTES_SEQUENCE in answered
    # The result is closed with the generator, or a search given up would hold its snapshot.
    # Rows come as they are found: to stop taking them is the limit, and spares SQLAlchemy writing one into the text.
    fetched = FETCHED if limit is None else max(1, min(FETCHED, limit))
    with connection.execution_options(yield_per=fetched).execute(statement) as result:
        for row in islice(result, limit):
            answer: dict[int, Any] = dict(zip(answered, row, strict=True))
            answer[tags.QUERY_RETRIEVE_LEVEL] = level.value
            if has_requests:
                answer[tags.REQUEST_ATTRIBUTES_SEQUENCE] = items(answer[tags.REQUEST_ATTRIBUTES_SEQUENCE])
            yield answer


def build(
    level: Level, keys: Attributes, scope: Scope, *, combined_datetime: bool
) -> tuple[Select[Any], tuple[int, ...]]:
    """The statement, and the tag of each of its columns."""
    known = supported(level)
    answered = tuple(dict.fromkeys((*unique_keys(level), *(tag for tag in keys if tag in known))))
    search = Search(level, keys, combined_datetime)
    statement = select(*(column_for(tag, scope) for tag in answered)).select_from(_rows(level, search.driver))
    statement = statement.where(_visible(level), scope_condition(scope, study), *search.conditions)
    if level is Level.PATIENT:
        statement = statement.where(_newest_of_patient(scope))
    return statement.order_by(*search.order), answered


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
