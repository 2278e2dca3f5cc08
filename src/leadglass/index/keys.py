"""The matching keys of a search as SQL conditions, and what drives it: which index is read, in which order."""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, literal, select
from sqlalchemy import literal_column as sql

from leadglass.dicom import tags
from leadglass.dicom.charset import fold_name
from leadglass.dicom.dictionary import keyword_of, vr_of
from leadglass.errors import DataSetError
from leadglass.index.answers import AVAILABLE_TRANSFER_SYNTAX_UID, FIELDS, extra_text, supported, table_of
from leadglass.index.attributes import REQUEST_FIELDS, Field
from leadglass.index.matching import (
    Condition,
    combined_condition,
    has_wildcard,
    is_range,
    is_universal,
    matches,
    matches_extra,
    name_like,
    name_words_like,
    spans_days,
)
from leadglass.index.person import (
    Driver,
    driven_text_condition,
    extra_name_condition,
    name_condition,
    name_driver,
    name_scan,
    text_driver,
    words_driver,
)
from leadglass.index.schema import instance, patient, request_attributes, series, study, term
from leadglass.index.template import Slot
from leadglass.index.uidcode import pack_uid, uid_hash
from leadglass.model import Attributes, Level, Matching

#: Dates and times that are one moment (PS3.4 C.2.2.2.5.4).
_MOMENTS = (
    (tags.STUDY_DATE, tags.STUDY_TIME),
    (tags.SERIES_DATE, tags.SERIES_TIME),
    (tags.PERFORMED_PROCEDURE_STEP_START_DATE, tags.PERFORMED_PROCEDURE_STEP_START_TIME),
)
#: Computed for answers, not matched.
_COUNTS = frozenset(
    {
        tags.NUMBER_OF_PATIENT_RELATED_STUDIES,
        tags.NUMBER_OF_PATIENT_RELATED_SERIES,
        tags.NUMBER_OF_PATIENT_RELATED_INSTANCES,
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
        tags.NUMBER_OF_SERIES_RELATED_INSTANCES,
    }
)
#: A value of one of these, without wildcard, leaves few studies: their own index serves.
_STRONG = frozenset(
    {
        tags.STUDY_INSTANCE_UID,
        tags.SERIES_INSTANCE_UID,
        tags.SOP_INSTANCE_UID,
        tags.PATIENT_ID,
        tags.ACCESSION_NUMBER,
        tags.STUDY_ID,
    }
)
#: Names and texts with trigrams, tag → column of `study_text`, in the order in which they should drive a search.
_TRIGRAMS = {
    tags.PATIENT_NAME: "patient_name",
    tags.PATIENT_ID: "patient_id",
    tags.ACCESSION_NUMBER: "accession_number",
    tags.REFERRING_PHYSICIAN_NAME: "referring_physician",
    tags.STUDY_DESCRIPTION: "description",
}

_NAMES = frozenset({tags.PATIENT_NAME, tags.REFERRING_PHYSICIAN_NAME})
_DATES = frozenset({tags.STUDY_DATE, tags.PATIENT_BIRTH_DATE})
#: Study dates that span no more days than this leave fewer studies than most names do.
_FEW_DAYS = 7
#: Besides these keys a search by date reads only the index of dates.
_WITH_DATE = frozenset({tags.STUDY_DATE, tags.STUDY_TIME, tags.MODALITIES_IN_STUDY})


#: Keys whose values, where they are exact, do not change what a statement looks like.
_EXACT = {
    tags.PATIENT_ID: patient.c.patient_id,
    tags.ACCESSION_NUMBER: study.c.accession_number,
    tags.STUDY_INSTANCE_UID: study.c.uid,
    tags.STUDY_DATE: study.c.date,
    tags.MODALITIES_IN_STUDY: study.c.modalities,
}
_DAY = re.compile("[0-9]{8}")


def exact_keys(level: Level, identifier: Attributes) -> Mapping[int, str] | None:
    """What `Search` takes slots for, and their values, when all that is matched is exact; None when anything is not."""
    keys = matching_keys(level, identifier)
    if not all(tag in _EXACT and _is_exact(tag, value) for tag, value in keys.items()):
        return None
    # Several modalities stand framed by backslashes in one text.
    return {tag: f"\\{value}\\" if tag == tags.MODALITIES_IN_STUDY else value for tag, value in keys.items()}


def _is_exact(tag: int, value: object) -> bool:
    """One value without wildcards. Dates in other forms are ranges, or spelled after older editions."""
    if not isinstance(value, str) or "\\" in value or has_wildcard(value):
        return False
    return tag != tags.STUDY_DATE or _DAY.fullmatch(value) is not None


def matching_keys(level: Level, identifier: Mapping[int, Any]) -> dict[int, Any]:
    """The keys of an identifier that are matched: supported at this level, no counts, not universal."""
    known = supported(level) - _COUNTS
    return {tag: value for tag, value in identifier.items() if tag in known and not _is_open(value)}


def _is_open(value: object) -> bool:
    if isinstance(value, Slot):
        return False
    if isinstance(value, str):
        return is_universal(value)
    return not isinstance(value, tuple) or not any(not _is_open(part) for item in value for part in item.values())


class Search:
    """Conditions, order and driver of one search. Raises DataSetError for a key that cannot be meant. The values of
    `exact_keys` may be slots."""

    def __init__(self, level: Level, identifier: Mapping[int, Any], matching: Matching) -> None:
        self._level = level
        self._fuzzy = matching.fuzzy_names
        self._alike = name_words_like if matching.fuzzy_names else name_like
        self._keys = matching_keys(level, identifier)
        self._driven, self.driver = self._choose_driver()
        self.conditions: list[Condition] = [] if self.driver is None else [self.driver.condition]
        moments = self._moments() if matching.combined_datetime else {}
        for date, time in moments.items():
            self.conditions.append(combined_condition(self._operand(date), self._operand(time)))
        taken = {*moments.keys(), *moments.values()}
        self.conditions += [self._condition(tag, value) for tag, value in self._keys.items() if tag not in taken]

    @property
    def order(self) -> tuple[ColumnElement[Any], ...]:
        """Only orders that an index serves: newest first when nothing narrows, newest date when only the date does."""
        if self.driver is not None:
            return self.driver.order
        if not self._keys:
            return (instance.c.id.desc(),) if self._level is Level.IMAGE else (study.c.id.desc(),)
        if tags.STUDY_DATE in self._keys and set(self._keys) <= _WITH_DATE:
            return (study.c.date.desc(), study.c.id.desc())
        return ()

    def _choose_driver(self) -> tuple[int, Driver | None]:
        """The name or text whose search table is read first; none when another index serves."""
        if self._has_strong_key():
            return 0, None
        for tag, text_column in _TRIGRAMS.items():
            value = self._keys.get(tag)
            if isinstance(value, str) and (driver := self._driver_for(tag, text_column, value)):
                return tag, driver
        names = _NAMES.intersection(self._keys)
        if names and not _DATES.intersection(self._keys):
            tag = min(names)
            return tag, name_scan(tag, str(self._keys[tag]), self._alike)
        return 0, None

    def _driver_for(self, tag: int, text_column: str, value: str) -> Driver | None:
        if tag in _NAMES:
            return words_driver(text_column, value) if self._fuzzy else name_driver(tag, text_column, value)
        if "\\" in value:  # alternatives
            return None
        if tag == tags.STUDY_DESCRIPTION:
            return text_driver(text_column, fold_name(value), has_index=False)
        return text_driver(text_column, value, has_index=True)

    def _has_strong_key(self) -> bool:
        if any(tag in _STRONG and not has_wildcard(str(value)) for tag, value in self._keys.items()):
            return True
        dates = self._keys.get(tags.STUDY_DATE)
        if isinstance(dates, Slot):
            return True
        return isinstance(dates, str) and spans_days(tags.STUDY_DATE, dates) <= _FEW_DAYS

    def _moments(self) -> dict[int, int]:
        both = ((date, time) for date, time in _MOMENTS if date in self._keys and time in self._keys)
        return {date: time for date, time in both if is_range(self._keys[date]) and is_range(self._keys[time])}

    def _operand(self, tag: int) -> tuple[int, ColumnElement[Any], str]:
        field = FIELDS[tag]
        return tag, table_of(field).c[field.column], self._keys[tag]

    def _condition(self, tag: int, value: Any) -> Condition:
        if tag == tags.REQUEST_ATTRIBUTES_SEQUENCE:
            return _request_condition(value)
        if isinstance(value, Slot):
            return _exact_condition(tag, value)
        if not isinstance(value, str):
            raise DataSetError(f"The key {keyword_of(tag)} cannot have items.")
        if tag in _NAMES:
            return name_condition(tag, value, self._alike)
        if tag == self._driven:
            return _driven_condition(tag, value)
        field = FIELDS.get(tag)
        return _other_condition(tag, value) if field is None else self._field_condition(field, value)

    def _field_condition(self, field: Field, value: str) -> Condition:
        table = table_of(field)
        if field.column:
            folded = table.c.get(f"{field.column}_folded")
            target = table.c[field.column] if folded is None else folded
            return matches(field.tag, field.vr, target, value, folded=folded is not None)
        if field.vr == "PN":
            return extra_name_condition(table.c.extra, field.tag, value, self._alike)
        return matches_extra(field.tag, field.vr, extra_text(field), value)


def _exact_condition(tag: int, slot: Slot) -> Condition:
    column = _EXACT[tag]
    if tag == tags.MODALITIES_IN_STUDY:
        return func.instr(literal("\\").concat(column).concat("\\"), literal(slot)) > 0
    # The index of identities leaves empty Patient IDs out, and SQLite wants to be told that they are not meant.
    return and_(column == slot, column != sql("''")) if tag == tags.PATIENT_ID else column == slot


def _driven_condition(tag: int, value: str) -> Condition:
    if tag == tags.STUDY_DESCRIPTION:
        return driven_text_condition(study.c.description_folded, fold_name(value))
    column = patient.c.patient_id if tag == tags.PATIENT_ID else study.c.accession_number
    return driven_text_condition(column, value)


def _other_condition(tag: int, value: str) -> Condition:
    """Of an attribute with a place of its own."""
    if tag == tags.PATIENT_ID:
        # The index of identities leaves empty Patient IDs out, and SQLite wants to be told that they are not meant.
        return and_(matches(tag, "LO", patient.c.patient_id, value), patient.c.patient_id != sql("''"))
    if tag == tags.ISSUER_OF_PATIENT_ID:
        return matches(tag, "LO", patient.c.issuer, value)
    if tag == tags.STUDY_INSTANCE_UID:
        return matches(tag, "UI", study.c.uid, value)
    if tag == tags.SERIES_INSTANCE_UID:
        return matches(tag, "UI", series.c.uid, value)
    if tag == tags.SOP_INSTANCE_UID:
        return instance_uid_condition(value)
    if tag == tags.MODALITIES_IN_STUDY:
        return matches_extra(tag, "CS", study.c.modalities, value)
    uids = select(term.c.id).where(term.c.text.in_(value.split("\\")))
    if tag == tags.SOP_CLASSES_IN_STUDY:
        return _below_condition(_below.c.id.in_(_holding(uids)))
    column = {tags.SOP_CLASS_UID: "sop_class", AVAILABLE_TRANSFER_SYNTAX_UID: "transfer_syntax"}[tag]
    return instance.c[column].in_(uids)


_below = series.alias("matched_below")


def _below_condition(condition: Condition) -> Condition:
    """A visible series of the study at hand for which `condition` holds."""
    return exists().where(_below.c.study_id == study.c.id, _below.c.instances > 0, condition).correlate(study)


def _holding(sop_classes: Any) -> Any:
    held = instance.alias("held")
    return select(held.c.series_id).where(
        held.c.series_id == _below.c.id, held.c.state == 0, held.c.sop_class.in_(sop_classes)
    )


def instance_uid_condition(value: str) -> Condition:
    """A list of UIDs, found by hash and then compared."""
    packed = [pack_uid(uid) for uid in value.split("\\") if uid and not uid.strip(".0123456789")]
    if not packed:
        return false()
    return and_(instance.c.uid_hash.in_([uid_hash(each) for each in packed]), instance.c.uid.in_(packed))


def _request_condition(value: Any) -> Condition:
    """Sequence matching, PS3.4 C.2.2.2.6: one item on record for which all keys of the asked item hold."""
    if isinstance(value, str) or len(value) != 1:
        raise DataSetError("A sequence key has exactly one item.")
    asked = {tag: text for tag, text in value[0].items() if tag in REQUEST_FIELDS and not _is_open(text)}
    conditions = [
        matches(tag, vr_of(tag), request_attributes.c[REQUEST_FIELDS[tag]], text) for tag, text in asked.items()
    ]
    return exists().where(request_attributes.c.series_id == series.c.id, *conditions)
