"""Rows of what waits for a steward's decision."""

import time
from collections.abc import Iterator
from typing import Any

from leadglass.index.held_rows import ListedReview, ReviewRow
from leadglass.index.uidcode import unpack_uid
from leadglass.model import Scope

_REVIEW_SELECT = """
    SELECT review.id, review.reason, review.state, review.created, review.decided, coalesce(review.decided_by, ''),
           instance.id, instance.uid, series.uid, study.uid,
           study.site, patient.patient_id, patient.issuer, coalesce(study.patient_name, ''),
           coalesce(study.birth_date, ''), coalesce(study.sex, ''), coalesce(study.date, ''),
           coalesce(study.accession_number, ''), coalesce(study.description, ''),
           coalesce(own.site, ''), coalesce(own_patient.patient_id, ''), coalesce(own_patient.issuer, ''),
           coalesce(own.patient_name, ''), coalesce(own.birth_date, ''), coalesce(own.sex, ''),
           coalesce(own.date, ''), coalesce(own.accession_number, ''), coalesce(own.description, '')
    """
_LISTED_SELECT = "SELECT review.id, review.reason, review.state, review.created, instance.uid, series.uid, study.uid"
_FROM = """
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

    def has_open_review(self, instance_id: int, reason: str) -> bool:
        query = "SELECT 1 FROM review WHERE instance_id = ? AND reason = ? AND state = 'open'"
        return self._cursor.execute(query, (instance_id, reason)).fetchone() is not None

    def review(self, review_id: int, scope: Scope) -> ReviewRow | None:
        return review(self._cursor, review_id, scope)

    def decide_review(self, review_id: int, state: str, decided_by: str) -> None:
        self._cursor.execute(
            "UPDATE review SET state = ?, decided = ?, decided_by = ? WHERE id = ?",
            (state, time.time_ns() // 1000, decided_by, review_id),
        )


def reviews(cursor: Any, state: str, scope: Scope) -> Iterator[ListedReview]:
    within, sites = _within(scope)
    query = f"{_LISTED_SELECT}{_FROM}WHERE review.state = ?{within} ORDER BY review.id"
    for number, reason, found, created, packed, *uids in cursor.execute(query, (state, *sites)):
        yield ListedReview(number, reason, found, created, unpack_uid(packed), *uids)


def review(cursor: Any, review_id: int, scope: Scope) -> ReviewRow | None:
    within, sites = _within(scope)
    row = cursor.execute(f"{_REVIEW_SELECT}{_FROM}WHERE review.id = ?{within}", (review_id, *sites)).fetchone()
    if row is None:
        return None
    values = [*row]
    values[7] = unpack_uid(row[7])  # sop_instance_uid
    return ReviewRow(*values)


def open_count(cursor: Any, scope: Scope) -> int:
    within, sites = _within(scope)
    return int(cursor.execute(f"SELECT count(*){_FROM}WHERE review.state = 'open'{within}", sites).fetchone()[0])


def _within(scope: Scope) -> tuple[str, tuple[str, ...]]:
    """Both sites must be in the scope, the object's and that of its study's owner: a review tells of both."""
    if scope.sites is None:
        return "", ()
    sites = tuple(sorted(scope.sites))
    marks = ", ".join("?" * len(sites))
    return f" AND study.site IN ({marks}) AND coalesce(own.site, study.site) IN ({marks})", (*sites, *sites)
