"""Finding studies, series and instances by what identifies them."""

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.sqlite import dialect

from leadglass.errors import NotFound
from leadglass.index.rows import Counts, InstanceRow, InstanceState, ObjectLocation, SeriesRow, StudyRow
from leadglass.index.schema import instance, patient, series, study, term
from leadglass.index.uidcode import pack_uid, uid_hash, unpack_uid

_sop_class = term.alias("sop_class")
_transfer_syntax = term.alias("transfer_syntax")

#: Rows for `instance_row`.
instance_select: Select[Any] = (
    select(
        instance.c.id,
        instance.c.uid,
        instance.c.series_id,
        series.c.uid.label("series_uid"),
        series.c.study_id,
        study.c.uid.label("study_uid"),
        study.c.site,
        instance.c.state,
        instance.c.pack,
        instance.c.start,
        instance.c.length,
        instance.c.object_id,
        instance.c.plain_length,
        instance.c.digest,
        _sop_class.c.text.label("sop_class"),
        _transfer_syntax.c.text.label("transfer_syntax"),
        instance.c.number,
        func.coalesce(instance.c.claim, series.c.study_id).label("claim_id"),
    )
    .select_from(instance)
    .join(series, series.c.id == instance.c.series_id)
    .join(study, study.c.id == series.c.study_id)
    .join(_sop_class, _sop_class.c.id == instance.c.sop_class)
    .join(_transfer_syntax, _transfer_syntax.c.id == instance.c.transfer_syntax)
)
_study_select: Select[Any] = (
    select(
        study.c.id,
        study.c.uid,
        study.c.owner,
        study.c.patient_key,
        patient.c.patient_id,
        patient.c.issuer,
        study.c.site,
        study.c.wrapped_key,
        study.c.instances,
    )
    .select_from(study)
    .join(patient, patient.c.id == study.c.patient_key)
)
_series_select: Select[Any] = select(series.c.id, series.c.study_id, series.c.uid, series.c.instances)


def _prepared(statement: Select[Any]) -> str:
    """As text, to be followed by a WHERE clause."""
    return f"{statement.compile(dialect=dialect())} "


INSTANCE_SELECT = _prepared(instance_select)
STUDY_SELECT = _prepared(_study_select)
SERIES_SELECT = _prepared(_series_select)


def study_row(row: tuple[Any, ...]) -> StudyRow:
    id_, uid, owner, patient_key, patient_id, issuer, site, wrapped_key, instances = row
    return StudyRow(id_, uid, bool(owner), patient_key, patient_id, issuer, site, wrapped_key, instances)


def instance_row(row: tuple[Any, ...]) -> InstanceRow:
    return InstanceRow(
        id=row[0],
        uid=unpack_uid(row[1]),
        series_id=row[2],
        series_uid=row[3],
        study_id=row[4],
        study_uid=row[5],
        site=row[6],
        state=InstanceState(row[7]),
        location=ObjectLocation(row[8], row[9], row[10]),
        object_id=row[11],
        plain_length=row[12],
        digest=row[13],
        sop_class=row[14],
        transfer_syntax=row[15],
        number=row[16],
        claim_id=row[17],
    )


def instance_by_id(cursor: Any, instance_id: int) -> InstanceRow:
    """Raises NotFound."""
    row = cursor.execute(INSTANCE_SELECT + "WHERE instance.id = ?", (instance_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no instance {instance_id}.")
    return instance_row(row)


def study_by_id(cursor: Any, study_id: int) -> StudyRow:
    """Raises NotFound."""
    row = cursor.execute(STUDY_SELECT + "WHERE study.id = ?", (study_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no study {study_id}.")
    return study_row(row)


def studies_by_uid(cursor: Any, uid: str) -> list[StudyRow]:
    """All claims on a Study Instance UID, oldest first."""
    rows = cursor.execute(STUDY_SELECT + "WHERE study.uid = ? ORDER BY study.id", (uid,))
    return [study_row(row) for row in rows]


def series_by_id(cursor: Any, series_id: int) -> SeriesRow:
    """Raises NotFound."""
    row = cursor.execute(SERIES_SELECT + "WHERE id = ?", (series_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no series {series_id}.")
    return SeriesRow(*row)


def log_salt(cursor: Any, study_id: int) -> bytes:
    """Raises NotFound."""
    row = cursor.execute("SELECT wrapped FROM log_salt WHERE study_id = ?", (study_id,)).fetchone()
    if row is None:
        raise NotFound("A study has no log salt.", "Run `leadglass fsck`.")
    return bytes(row[0])


def instances_after(cursor: Any, instance_id: int, limit: int) -> list[InstanceRow]:
    query = INSTANCE_SELECT + "WHERE instance.id > ? ORDER BY instance.id LIMIT ?"
    return [instance_row(row) for row in cursor.execute(query, (instance_id, limit))]


def instances_by_uid(cursor: Any, uid: str) -> list[InstanceRow]:
    """All versions under a SOP Instance UID, in any state, oldest first."""
    packed = pack_uid(uid)
    found = cursor.execute(
        INSTANCE_SELECT + "WHERE instance.uid_hash = ? AND instance.uid = ? ORDER BY instance.id",
        (uid_hash(packed), packed),
    )
    return [instance_row(row) for row in found]


def counts(cursor: Any) -> Counts:
    row = cursor.execute(
        "SELECT (SELECT count(*) FROM patient), (SELECT count(*) FROM study), (SELECT count(*) FROM series), "
        "(SELECT count(*) FROM instance), (SELECT count(*) FROM event)"
    ).fetchone()
    return Counts(*row)


def integrity_check(cursor: Any) -> list[str]:
    """Pages against their MACs; when these hold, the B-trees, and the foreign keys."""
    problems = [f"index: {row[0]}" for row in cursor.execute("PRAGMA cipher_integrity_check")]
    if problems:
        return problems
    cursor.execute("BEGIN")
    try:
        # FTS5 checks its table against the structure that this connection has read before, which is out of date once
        # the writer has added to it. A search reads it anew.
        cursor.execute("SELECT rowid FROM study_text WHERE study_text MATCH '\"integrity\"' LIMIT 1").fetchall()
        problems = [f"index: {row[0]}" for row in cursor.execute("PRAGMA integrity_check") if row[0] != "ok"]
        foreign = cursor.execute("PRAGMA foreign_key_check").fetchall()
    finally:
        cursor.execute("COMMIT")
    return problems + [f"index: row {row} of {table} refers to a missing {parent}" for table, row, parent, _ in foreign]
