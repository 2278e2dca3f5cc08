"""What a search can answer: for each attribute the SQL expression of its text, empty where nothing is known."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, Table, Text, and_, cast, false, func, or_, select, true
from sqlalchemy import literal_column as sql

from leadglass.dicom import tags
from leadglass.dicom.dictionary import tag_of
from leadglass.index.attributes import (
    INSTANCE_FIELDS,
    PATIENT_FIELDS,
    REQUEST_FIELDS,
    SERIES_FIELDS,
    STUDY_FIELDS,
    Field,
)
from leadglass.index.matching import Condition, one_of
from leadglass.index.schema import account, instance, patient, request_attributes, series, share, study, term
from leadglass.model import Attributes, Level, Role, Scope

AVAILABLE_TRANSFER_SYNTAX_UID: Final = tag_of("AvailableTransferSyntaxUID")
LEVELS: Final = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
FIELDS: Final[Mapping[int, Field]] = {**PATIENT_FIELDS, **STUDY_FIELDS, **SERIES_FIELDS, **INSTANCE_FIELDS}
UNIQUE_KEYS: Final = {
    Level.PATIENT: tags.PATIENT_ID,
    Level.STUDY: tags.STUDY_INSTANCE_UID,
    Level.SERIES: tags.SERIES_INSTANCE_UID,
    Level.IMAGE: tags.SOP_INSTANCE_UID,
}
#: Attributes that have a place of their own, or none and are computed.
_OTHERS: Final = {
    Level.PATIENT: frozenset(
        {
            tags.PATIENT_ID,
            tags.ISSUER_OF_PATIENT_ID,
            tags.NUMBER_OF_PATIENT_RELATED_STUDIES,
            tags.NUMBER_OF_PATIENT_RELATED_SERIES,
            tags.NUMBER_OF_PATIENT_RELATED_INSTANCES,
        }
    ),
    Level.STUDY: frozenset(
        {
            tags.STUDY_INSTANCE_UID,
            tags.MODALITIES_IN_STUDY,
            tags.SOP_CLASSES_IN_STUDY,
            tags.NUMBER_OF_STUDY_RELATED_SERIES,
            tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
        }
    ),
    Level.SERIES: frozenset(
        {tags.SERIES_INSTANCE_UID, tags.REQUEST_ATTRIBUTES_SEQUENCE, tags.NUMBER_OF_SERIES_RELATED_INSTANCES}
    ),
    Level.IMAGE: frozenset({tags.SOP_INSTANCE_UID, tags.SOP_CLASS_UID, AVAILABLE_TRANSFER_SYNTAX_UID}),
}
_TABLES: Final = {Level.PATIENT: study, Level.STUDY: study, Level.SERIES: series, Level.IMAGE: instance}


@cache
def supported(level: Level) -> frozenset[int]:
    """Attributes that a search at `level` answers, and matches unless they are counts: of it and the levels above."""
    above = LEVELS[: LEVELS.index(level) + 1]
    fields = {field.tag for field in FIELDS.values() if field.level in above}
    return frozenset(fields.union(*(_OTHERS[each] for each in above)))


def unique_keys(level: Level) -> tuple[int, ...]:
    """Of the level and those above, PS3.4 C.6.1.1."""
    return tuple(UNIQUE_KEYS[each] for each in LEVELS[: LEVELS.index(level) + 1])


def table_of(field: Field) -> Table:
    return _TABLES[field.level]


def extra_text(field: Field) -> ColumnElement[Any]:
    # A literal, so that the text is the same for each search and SQLite keeps it prepared.
    return func.json_extract(table_of(field).c.extra, sql(f"'$.\"{field.tag:08X}\"'"))


def column_for(tag: int, scope: Scope) -> ColumnElement[Any]:
    """The text of an attribute for the row at hand; for Request Attributes Sequence a JSON array for `items`."""
    counted = _PATIENT_COUNTS.get(tag)
    return _column(tag) if counted is None else cast(_of_patient(scope, counted), Text)


@cache
def _column(tag: int) -> ColumnElement[Any]:
    # Made once: putting an expression together costs more than SQLite takes to answer with it.
    field = FIELDS.get(tag)
    if field is None:
        return _PLAIN[tag]
    if not field.column:
        return func.coalesce(extra_text(field), "")
    column = table_of(field).c[field.column]
    return func.coalesce(column if isinstance(column.type, Text) else cast(column, Text), "")


def scope_condition(scope: Scope, table: FromClause) -> Condition:
    """The one condition that decides what a principal sees, on each statement that reads studies."""
    own = true() if scope.sites is None else one_of(table.c.site, sorted(scope.sites))
    allowed = or_(own, table.c.id.in_(_shared(scope))) if scope.shared_with else own
    return allowed if scope.patients is None else and_(allowed, table.c.patient_key.in_(_patients(scope.patients)))


def _shared(scope: Scope) -> Select[Any]:
    """Never more than the sharer may see now: who shared is not disabled, still of the study's site, and still sees
    images at all."""
    return _SHARED.where(share.c.account_id == scope.shared_with, share.c.until > scope.at)


def _standing() -> Select[Any]:
    sharer, shared = account.alias("sharer"), study.alias("shared")
    source = share.join(sharer, sharer.c.id == share.c.sharer).join(shared, shared.c.id == share.c.study_id)
    sees = or_(*(func.instr(sharer.c.roles, f'"{role}"') > 0 for role in (Role.CLINICIAN, Role.STEWARD)))
    holds = (share.c.revoked.is_(None), sharer.c.disabled == 0, sharer.c.site == shared.c.site, sees)
    return select(share.c.study_id).select_from(source).where(*holds)


#: The studies of shares that stand. Put together once: that costs ten times what SQLite takes to answer with it.
_SHARED = _standing()


def _patients(allowed: frozenset[tuple[str, str]]) -> Select[Any]:
    """An empty Patient ID names nobody (docs/formats/index.md)."""
    named = patient.alias("allowed_patient")
    wanted = [
        and_(named.c.patient_id == patient_id, named.c.issuer == issuer)
        for patient_id, issuer in sorted(allowed)
        if patient_id
    ]
    return select(named.c.id).where(named.c.patient_id != sql("''"), or_(false(), *wanted))


def _of_patient(scope: Scope, counted: str) -> ColumnElement[Any]:
    """A count over the patient's visible studies in the scope."""
    own = study.alias("of_patient")
    visible = and_(own.c.patient_key == study.c.patient_key, own.c.instances > 0, scope_condition(scope, own))
    if counted == "series":
        below = own.join(
            series_of_patient := series.alias("series_of_patient"), series_of_patient.c.study_id == own.c.id
        )
        return (
            select(func.count())
            .select_from(below)
            .where(visible, series_of_patient.c.instances > 0)
            .correlate(study)
            .scalar_subquery()
        )
    what = func.count() if counted == "studies" else func.coalesce(func.sum(own.c.instances), 0)
    return select(what).select_from(own).where(visible).correlate(study).scalar_subquery()


def _joined(distinct: ColumnElement[Any], source: FromClause, where: Condition) -> ColumnElement[Any]:
    """The distinct texts of a study's rows below, as several values."""
    inner = select(distinct.label("text")).distinct().select_from(source).where(where).correlate(study).subquery()
    return func.coalesce(
        select(func.group_concat(inner.c.text, sql("char(92)"))).select_from(inner).scalar_subquery(), ""
    )


_below = series.alias("below")
_instance_below = instance.alias("instance_below")
_class_below = term.alias("class_below")
_series_visible = and_(_below.c.study_id == study.c.id, _below.c.instances > 0)


def _request_items() -> ColumnElement[Any]:
    members: list[ColumnElement[Any]] = []
    for tag, column in REQUEST_FIELDS.items():
        members += (sql(f"'{tag:08X}'"), request_attributes.c[column])
    return (
        select(func.json_group_array(func.json_object(*members)))
        .where(request_attributes.c.series_id == series.c.id)
        .correlate(series)
        .scalar_subquery()
    )


def _sop_classes() -> ColumnElement[Any]:
    source = _below.join(_instance_below, _instance_below.c.series_id == _below.c.id).join(
        _class_below, _class_below.c.id == _instance_below.c.sop_class
    )
    return _joined(_class_below.c.text, source, and_(_series_visible, _instance_below.c.state == 0))


def _term(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return select(term.c.text).where(term.c.id == column).correlate(instance).scalar_subquery()


_PATIENT_COUNTS: Final = {
    tags.NUMBER_OF_PATIENT_RELATED_STUDIES: "studies",
    tags.NUMBER_OF_PATIENT_RELATED_SERIES: "series",
    tags.NUMBER_OF_PATIENT_RELATED_INSTANCES: "instances",
}
_PLAIN: Final[dict[int, ColumnElement[Any]]] = {
    tags.PATIENT_ID: patient.c.patient_id,
    tags.ISSUER_OF_PATIENT_ID: patient.c.issuer,
    tags.STUDY_INSTANCE_UID: study.c.uid,
    tags.MODALITIES_IN_STUDY: func.coalesce(study.c.modalities, ""),
    tags.SOP_CLASSES_IN_STUDY: _sop_classes(),
    tags.NUMBER_OF_STUDY_RELATED_SERIES: cast(study.c.series_shown, Text),
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES: cast(study.c.instances, Text),
    tags.SERIES_INSTANCE_UID: series.c.uid,
    tags.REQUEST_ATTRIBUTES_SEQUENCE: _request_items(),
    tags.NUMBER_OF_SERIES_RELATED_INSTANCES: cast(series.c.instances, Text),
    # The packed form of uidcode.py, undone where the row is read.
    tags.SOP_INSTANCE_UID: func.replace(
        func.rtrim(func.lower(func.hex(instance.c.uid)), sql("'f'")), sql("'a'"), sql("'.'")
    ),
    tags.SOP_CLASS_UID: _term(instance.c.sop_class),
    AVAILABLE_TRANSFER_SYNTAX_UID: _term(instance.c.transfer_syntax),
}


def items(document: str) -> tuple[Attributes, ...]:
    """The items of a Request Attributes Sequence from their JSON."""
    return tuple(
        {int(tag, 16): text for tag, text in item.items() if text is not None} for item in json.loads(document)
    )
