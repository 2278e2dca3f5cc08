"""Rows of what waits for a steward's decision."""

import time
from collections.abc import Iterator
from typing import Any

from leadglass.index.rows import ReviewRow
from leadglass.index.uidcode import unpack_uid

_REVIEW_SELECT = """
    SELECT review.id, review.reason, review.state, review.created, review.decided, coalesce(review.decided_by, ''),
           instance.id, instance.uid, series.uid, study.uid,
           study.site, patient.patient_id, patient.issuer, coalesce(study.patient_name, ''),
           coalesce(study.birth_date, ''), coalesce(study.sex, ''), coalesce(study.date, ''),
           coalesce(study.accession_number, ''), coalesce(study.description, ''),
           coalesce(own.site, ''), coalesce(own_patient.patient_id, ''), coalesce(own_patient.issuer, ''),
           coalesce(own.patient_name, ''), coalesce(own.birth_date, ''), coalesce(own.sex, ''),
           coalesce(own.date, ''), coalesce(own.accession_number, ''), coalesce(own.description, '')
    FROM review
    JOIN instance ON instance.id = review.instance_id
    JOIN series ON series.id = instance.series_id
    JOIN study ON study.id = series.study_id
    JOIN patient ON patient.id = study.patient_key
    LEFT JOIN study AS own ON own.uid = study.uid AND own.owner = 1
    LEFT JOIN patient AS own_patient ON own_patient.id = own.patient_key
    """


class ReviewWriter:
    """Adds and decides reviews, in the writer's transaction."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def add_review(self, instance_id: int, reason: str) -> int:
        insert = "INSERT INTO review (instance_id, reason, state, created) VALUES (?, ?, 'open', ?)"
        return int(self._cursor.execute(insert, (instance_id, reason, time.time_ns() // 1000)).lastrowid)

    def decide_review(self, review_id: int, state: str, decided_by: str) -> None:
        self._cursor.execute(
            "UPDATE review SET state = ?, decided = ?, decided_by = ? WHERE id = ?",
            (state, time.time_ns() // 1000, decided_by, review_id),
        )


def reviews(cursor: Any, state: str) -> Iterator[ReviewRow]:
    for row in cursor.execute(_REVIEW_SELECT + "WHERE review.state = ? ORDER BY review.id", (state,)):
        yield _review(row)


def review(cursor: Any, review_id: int) -> ReviewRow | None:
    row = cursor.execute(_REVIEW_SELECT + "WHERE review.id = ?", (review_id,)).fetchone()
    return _review(row) if row else None


def _review(row: tuple[Any, ...]) -> ReviewRow:
    values = [*row]
    values[7] = unpack_uid(row[7])  # sop_instance_uid
    return ReviewRow(*values)
