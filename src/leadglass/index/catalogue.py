"""Writing patients, studies, series and instances by prepared SQL: this is the path of each stored object, where
building statements would cost more than running them.
"""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from leadglass.dicom import tags
from leadglass.dicom.charset import fold_name
from leadglass.dicom.dictionary import vr_of
from leadglass.errors import NotFound
from leadglass.index.attributes import REQUEST_FIELDS
from leadglass.index.lookup import (
    SERIES_SELECT,
    STUDY_SELECT,
    instance_by_id,
    instances_by_uid,
    log_salt,
    series_by_id,
    studies_by_uid,
    study_by_id,
    study_row,
)
from leadglass.index.rows import InstanceRow, InstanceState, NewInstance, SeriesFields, SeriesRow, StudyFields, StudyRow
from leadglass.index.terms import Terms
from leadglass.index.uidcode import pack_uid, uid_hash

_STUDY_TEXTS = (
    "patient_name, birth_date, sex, date, time, accession_number, study_id, description, description_folded, "
    "referring_physician, extra"
)
_SERIES_TEXTS = (
    "modality, number, description, description_folded, date, time, body_part, protocol_name, laterality, "
    "station_name, manufacturer, institution_name, step_date, step_time, extra"
)


_REQUEST_COLUMNS = ", ".join(REQUEST_FIELDS.values())


def _insert(table: str, columns: str) -> str:
    marks = ", ".join("?" * (columns.count(",") + 1))
    return " ".join(("INSERT INTO", table, "(", columns, ") VALUES (", marks, ")"))


def _update(table: str, columns: str) -> str:
    assignments = ", ".join(f"{column} = ?" for column in columns.split(", "))
    return " ".join(("UPDATE", table, "SET", assignments, "WHERE id = ?"))


def _copy(table: str, given: str, columns: str, key: str) -> str:
    """A row again, with other values for the `given` columns."""
    marks = ", ".join("?" * (given.count(",") + 1))
    return " ".join(
        (
            "INSERT INTO",
            table,
            "(",
            given,
            ",",
            columns,
            ") SELECT",
            marks,
            ",",
            columns,
            "FROM",
            table,
            "WHERE",
            key,
            "= ?",
        )
    )


_INSERT_STUDY = _insert("study", "uid, owner, patient_key, site, wrapped_key, created, " + _STUDY_TEXTS)
_UPDATE_STUDY = _update("study", _STUDY_TEXTS)
_INSERT_SERIES = _insert("series", "study_id, uid, " + _SERIES_TEXTS)
_UPDATE_SERIES = _update("series", _SERIES_TEXTS).replace(" SET ", " SET generation = generation + 1, ", 1)
#: What a study says of its visible series.
_GATHER = (
    "UPDATE study SET series_shown = (SELECT count(*) FROM series WHERE study_id = study.id AND instances > 0), "
    "modalities = (SELECT group_concat(modality, char(92)) FROM (SELECT DISTINCT modality FROM series "
    "WHERE study_id = study.id AND instances > 0 AND modality IS NOT NULL ORDER BY modality)) WHERE id = ?"
)
_COUNT = (
    "UPDATE series SET instances = instances + ?, generation = generation + 1 WHERE id = ? "
    "RETURNING study_id, instances"
)
_COPY_SERIES = _copy("series", "study_id", "uid, " + _SERIES_TEXTS, "id")
_INSERT_REQUEST = _insert("request_attributes", "series_id, " + _REQUEST_COLUMNS)
_COPY_REQUESTS = _copy("request_attributes", "series_id", _REQUEST_COLUMNS, "series_id")
_INSTANCE_COLUMNS = (
    "uid_hash, uid, series_id, state, pack, start, length, object_id, plain_length, digest, sop_class, "
    "transfer_syntax, number, rows, columns, bits_allocated, frames, extra"
)
_INSERT_INSTANCE = _insert("instance", _INSTANCE_COLUMNS)
_MOVE_INSTANCE = (
    "UPDATE instance SET series_id = ?, "
    "claim = coalesce(claim, (SELECT study_id FROM series WHERE series.id = instance.series_id)) WHERE id = ?"
)
ADVANCE_PACK = (
    "INSERT INTO pack (number, committed_end) VALUES (?, ?) ON CONFLICT (number) "
    "DO UPDATE SET committed_end = max(committed_end, excluded.committed_end)"
)
_INSERT_TEXT = (
    "INSERT INTO study_text (rowid, patient_name, patient_id, accession_number, description, referring_physician) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


def name_groups(text: str) -> list[str]:
    """The folded component groups of each of several names (PS3.5 6.2.1)."""
    groups = (group for name in text.split("\\") for group in fold_name(name).split("="))
    return list(dict.fromkeys(group for group in groups if group))


def _extra_json(extra: Mapping[int, str]) -> str | None:
    if not extra:
        return None
    document: dict[str, object] = {f"{tag:08X}": text for tag, text in extra.items()}
    document.update((f"~{tag:08X}", name_groups(text)) for tag, text in extra.items() if vr_of(tag) == "PN")
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _study_texts(fields: StudyFields) -> tuple[str | None, ...]:
    return (
        fields.patient_name or None,
        fields.birth_date or None,
        fields.sex or None,
        fields.date or None,
        fields.time or None,
        fields.accession_number or None,
        fields.study_id or None,
        fields.description or None,
        fold_name(fields.description) or None,
        fields.referring_physician or None,
        _extra_json(fields.extra),
    )


def _series_texts(fields: SeriesFields) -> tuple[str | int | None, ...]:
    return (
        fields.modality or None,
        fields.number,
        fields.description or None,
        fold_name(fields.description) or None,
        fields.date or None,
        fields.time or None,
        fields.body_part or None,
        fields.protocol_name or None,
        fields.laterality or None,
        fields.station_name or None,
        fields.manufacturer or None,
        fields.institution_name or None,
        fields.step_date or None,
        fields.step_time or None,
        _extra_json(fields.extra),
    )


class CatalogueWriter:
    """The primitives of storing, in the writer's transaction. Each keeps counts and search tables right."""

    def __init__(self, cursor: Any, terms: Terms) -> None:
        self._cursor = cursor
        self._terms = terms

    def instances(self, uid: str) -> list[InstanceRow]:
        """All versions under a SOP Instance UID, in any state, oldest first."""
        return instances_by_uid(self._cursor, uid)

    def instance(self, instance_id: int) -> InstanceRow:
        """Raises NotFound."""
        return instance_by_id(self._cursor, instance_id)

    def studies(self, uid: str) -> list[StudyRow]:
        """All claims on a Study Instance UID, oldest first."""
        return studies_by_uid(self._cursor, uid)

    def owner_study(self, uid: str) -> StudyRow | None:
        row = self._cursor.execute(STUDY_SELECT + "WHERE study.uid = ? AND study.owner = 1", (uid,)).fetchone()
        return study_row(row) if row else None

    def study(self, study_id: int) -> StudyRow:
        """Raises NotFound."""
        return study_by_id(self._cursor, study_id)

    def series(self, uid: str) -> list[SeriesRow]:
        """All series rows under a Series Instance UID, one for each study that it was sent with."""
        rows = self._cursor.execute(SERIES_SELECT + "WHERE uid = ? ORDER BY id", (uid,))
        return [SeriesRow(*row) for row in rows]

    def series_row(self, series_id: int) -> SeriesRow:
        """Raises NotFound."""
        return series_by_id(self._cursor, series_id)

    def log_salt(self, study_id: int) -> bytes:
        """The wrapped log salt of a study, which outlives it. Raises NotFound."""
        return log_salt(self._cursor, study_id)

    def patient(self, patient_id: str, issuer: str) -> int:
        """The patient row of an identity. An empty Patient ID identifies nobody: always a new row."""
        if patient_id:
            query = "SELECT id FROM patient WHERE patient_id = ? AND issuer = ? AND patient_id <> ''"
            row = self._cursor.execute(query, (patient_id, issuer)).fetchone()
            if row:
                return int(row[0])
        insert = "INSERT INTO patient (patient_id, issuer) VALUES (?, ?)"
        return int(self._cursor.execute(insert, (patient_id, issuer)).lastrowid)

    def add_study(
        self,
        fields: StudyFields,
        *,
        uid: str,
        owner: bool,
        patient_key: int,
        site: str,
        wrapped_key: bytes,
        log_salt: bytes,
    ) -> int:
        """A new claim on a Study Instance UID, with its wrapped key and wrapped log salt."""
        created = time.time_ns() // 1000
        values = (uid, int(owner), patient_key, site, wrapped_key, created, *_study_texts(fields))
        study_id = int(self._cursor.execute(_INSERT_STUDY, values).lastrowid)
        self._cursor.execute("INSERT INTO log_salt (study_id, wrapped) VALUES (?, ?)", (study_id, log_salt))
        self._add_search_texts(study_id, fields)
        return study_id

    def update_study(self, study_id: int, fields: StudyFields) -> None:
        self._cursor.execute(_UPDATE_STUDY, (*_study_texts(fields), study_id))
        self._cursor.execute("DELETE FROM person_name WHERE study_id = ?", (study_id,))
        self._cursor.execute("DELETE FROM study_text WHERE rowid = ?", (study_id,))
        self._add_search_texts(study_id, fields)

    def _add_search_texts(self, study_id: int, fields: StudyFields) -> None:
        names = name_groups(fields.patient_name)
        physicians = name_groups(fields.referring_physician)
        self._cursor.executemany(
            "INSERT INTO person_name (tag, folded, study_id) VALUES (?, ?, ?)",
            [
                *((tags.PATIENT_NAME, group, study_id) for group in names),
                *((tags.REFERRING_PHYSICIAN_NAME, group, study_id) for group in physicians),
            ],
        )
        owner = "SELECT patient_id FROM patient WHERE id = (SELECT patient_key FROM study WHERE id = ?)"
        patient_id = self._cursor.execute(owner, (study_id,)).fetchone()[0]
        description = fold_name(fields.description)
        accession = fields.accession_number
        texts = ("=".join(names), patient_id, accession, description, "=".join(physicians))
        self._cursor.execute(_INSERT_TEXT, (study_id, *texts))

    def add_series(
        self, study_id: int, fields: SeriesFields, *, uid: str, requests: Iterable[Mapping[int, str]] = ()
    ) -> int:
        """`requests`: the items of its Request Attributes Sequence, tag → text."""
        values = (study_id, uid, *_series_texts(fields))
        series_id = int(self._cursor.execute(_INSERT_SERIES, values).lastrowid)
        items = [tuple(item.get(tag) or None for tag in REQUEST_FIELDS) for item in requests]
        self._cursor.executemany(_INSERT_REQUEST, [(series_id, *item) for item in items if any(item)])
        return series_id

    def update_series(self, series_id: int, fields: SeriesFields) -> None:
        self._cursor.execute(_UPDATE_SERIES, (*_series_texts(fields), series_id))
        study_id = self._cursor.execute("SELECT study_id FROM series WHERE id = ?", (series_id,)).fetchone()[0]
        self._cursor.execute(_GATHER, (study_id,))

    def copy_series(self, series_id: int, study_id: int) -> int:
        """The same series, still empty, under another study."""
        copy = int(self._cursor.execute(_COPY_SERIES, (study_id, series_id)).lastrowid)
        self._cursor.execute(_COPY_REQUESTS, (copy, series_id))
        return copy

    def add_instance(self, new: NewInstance) -> int:
        packed = pack_uid(new.uid)
        cursor = self._cursor
        cursor.execute(ADVANCE_PACK, (new.pack, new.offset + new.length))
        cursor.execute(
            _INSERT_INSTANCE,
            (
                uid_hash(packed),
                packed,
                new.series_id,
                int(new.state),
                new.pack,
                new.offset,
                new.length,
                new.object_id,
                new.plain_length,
                new.digest,
                self._terms.of(cursor, new.sop_class),
                self._terms.of(cursor, new.transfer_syntax),
                new.number,
                new.rows,
                new.columns,
                new.bits_allocated,
                new.frames,
                _extra_json(new.extra),
            ),
        )
        instance_id = int(cursor.lastrowid)
        if new.state is InstanceState.VISIBLE:
            self._count(new.series_id, 1)
        return instance_id

    def set_state(self, instance_id: int, state: InstanceState) -> None:
        """Raises NotFound."""
        series_id, was_visible = self._standing(instance_id)
        self._cursor.execute("UPDATE instance SET state = ? WHERE id = ?", (int(state), instance_id))
        change = (state is InstanceState.VISIBLE) - was_visible
        if change:
            self._count(series_id, change)

    def move_instance(self, instance_id: int, series_id: int) -> None:
        """Into a series of another study; the study that it arrived with stays on record. Raises NotFound."""
        old_series, was_visible = self._standing(instance_id)
        self._cursor.execute(_MOVE_INSTANCE, (series_id, instance_id))
        if was_visible:
            self._count(old_series, -1)
            self._count(series_id, 1)

    def _standing(self, instance_id: int) -> tuple[int, bool]:
        query = "SELECT series_id, state FROM instance WHERE id = ?"
        row = self._cursor.execute(query, (instance_id,)).fetchone()
        if row is None:
            raise NotFound(f"There is no instance {instance_id}.")
        return row[0], row[1] == InstanceState.VISIBLE

    def _count(self, series_id: int, change: int) -> None:
        study_id, instances = self._cursor.execute(_COUNT, (change, series_id)).fetchone()
        self._cursor.execute("UPDATE study SET instances = instances + ? WHERE id = ?", (change, study_id))
        if instances in (0, change):  # it has become visible or invisible
            self._cursor.execute(_GATHER, (study_id,))
