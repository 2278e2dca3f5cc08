"""What is prepared of a series: a sealed document that serves only at the generation that it was made of."""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import select

from leadglass.index.answers import scope_condition
from leadglass.index.lookup import INSTANCE_SELECT, instance_row
from leadglass.index.rows import InstanceRow
from leadglass.index.schema import series, study
from leadglass.index.template import Slot, Template, like_scope, scope_slots
from leadglass.model import Scope

_INSTANCES = (
    INSTANCE_SELECT + "WHERE instance.series_id = ? AND instance.state = 0 ORDER BY instance.number, instance.id"
)


@dataclass(frozen=True, slots=True)
class VisibleSeries:
    """A series with visible instances, which `instances` counts."""

    id: int
    uid: str
    study_id: int
    study_uid: str
    instances: int


@dataclass(frozen=True, slots=True)
class UnpreparedSeries:
    """A series with visible instances of which nothing is prepared at its generation."""

    id: int
    study_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """`generation` is that of the series now; `content` is None unless it was made of that, in that form."""

    generation: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class SeriesInstances:
    """The visible instances of a series by number, and the generation at which these are all."""

    generation: int
    instances: tuple[InstanceRow, ...]


class PreparedWriter:
    """Writing prepared documents, in the writer's transaction."""

    _cursor: Any

    def put_series_document(self, series_id: int, generation: int, form: int, content: bytes, most_bytes: int) -> None:
        """Nothing happens when the series is at another generation by now. Documents prepared longest ago are given up
        until the others have at most `most_bytes`."""
        self._cursor.execute(
            "INSERT OR REPLACE INTO series_document (series_id, generation, form, prepared, size, content) "
            "SELECT id, generation, ?, ?, ?, ? FROM series WHERE id = ? AND generation = ?",
            (form, time.time_ns() // 1000, len(content), content, series_id, generation),
        )
        self._cursor.execute(
            "DELETE FROM series_document WHERE series_id IN (SELECT series_id FROM ("
            "SELECT series_id, sum(size) OVER (ORDER BY prepared DESC, series_id DESC) AS newer FROM series_document"
            ") WHERE newer > ?)",
            (most_bytes,),
        )


def visible_series(cursor: Any, study_uid: str, series_uid: str | None, scope: Scope) -> tuple[VisibleSeries, ...]:
    """The visible series of a study, or the one that is asked for, in the order of `locate`."""
    template = _visible_series(series_uid is not None, like_scope(scope))
    slots = dict(scope_slots(scope)) | {Slot("study"): study_uid, Slot("series"): series_uid}
    return tuple(VisibleSeries(*row) for row in cursor.execute(template.text, template.filled(slots)))


@lru_cache(maxsize=64)
def _visible_series(is_one: bool, scope: Scope) -> Template:
    conditions = (series.c.uid == Slot("series"),) if is_one else ()
    return Template.of(
        select(series.c.id, series.c.uid, study.c.id, study.c.uid, series.c.instances)
        .select_from(study.join(series, series.c.study_id == study.c.id))
        .where(study.c.uid == Slot("study"), series.c.instances > 0, scope_condition(scope, study), *conditions)
        .order_by(series.c.id)
    )


def series_document(cursor: Any, series_id: int, form: int) -> SeriesDocument:
    generation, content = cursor.execute(
        "SELECT series.generation, content FROM series LEFT JOIN series_document AS made "
        "ON made.series_id = series.id AND made.generation = series.generation AND made.form = ? WHERE series.id = ?",
        (form, series_id),
    ).fetchone() or (-1, None)
    return SeriesDocument(generation, content)


def series_instances(cursor: Any, series_id: int) -> SeriesInstances:
    cursor.execute("BEGIN")  # one snapshot for both
    try:
        row = cursor.execute("SELECT generation FROM series WHERE id = ?", (series_id,)).fetchone()
        found = tuple(instance_row(each) for each in cursor.execute(_INSTANCES, (series_id,)))
    finally:
        cursor.execute("COMMIT")
    return SeriesInstances(row[0] if row else -1, found)


def unprepared(cursor: Any, form: int, least: int, newest: int) -> tuple[UnpreparedSeries, ...]:
    """Among so many newest series those with at least so many instances, the newest first."""
    rows = cursor.execute(
        "SELECT series.id, series.study_id, series.generation FROM series LEFT JOIN series_document AS made "
        "ON made.series_id = series.id AND made.generation = series.generation AND made.form = ? "
        "WHERE series.id > (SELECT max(id) FROM series) - ? AND series.instances >= ? AND made.series_id IS NULL "
        "ORDER BY series.id DESC",
        (form, newest, least),
    )
    return tuple(UnpreparedSeries(*row) for row in rows)
