"""What a retrieval names: the visible instances below its unique keys, PS3.4 C.4.3."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from leadglass.dicom import tags
from leadglass.errors import DataSetError
from leadglass.index.answers import scope_condition
from leadglass.index.lookup import instance_row, instance_select
from leadglass.index.matching import Condition, one_of
from leadglass.index.rows import InstanceRow
from leadglass.index.schema import instance, patient, series, study
from leadglass.index.template import Slot, Template, like_scope, scope_slots
from leadglass.index.uidcode import pack_uid, uid_hash
from leadglass.model import Attributes, Scope

#: Statements kept: by which keys are given, how many values each has, and what the scope is like.
_KEPT: Final = 128
_COLUMNS: Final = {
    tags.PATIENT_ID: patient.c.patient_id,
    tags.ISSUER_OF_PATIENT_ID: patient.c.issuer,
    tags.STUDY_INSTANCE_UID: study.c.uid,
    tags.SERIES_INSTANCE_UID: series.c.uid,
}

_OF_PATIENT: Final = frozenset({tags.PATIENT_ID, tags.ISSUER_OF_PATIENT_ID})


def locate(cursor: Any, keys: Attributes, scope: Scope, limit: int | None) -> Iterator[InstanceRow]:
    """By series, then instance number. Raises DataSetError when no unique key is given: that would be everything."""
    asked = {tag: _values(tag, value) for tag, value in keys.items() if value}
    if not asked:
        raise DataSetError("A retrieval names no patient, study, series or instance.")
    slots: dict[Slot, object] = dict(scope_slots(scope))
    for tag, values in asked.items():
        slots |= {Slot(f"{tag:08X}", number): value for number, value in enumerate(values)}
        if tag == tags.SOP_INSTANCE_UID:
            slots |= {Slot("hash", number): uid_hash(value) for number, value in enumerate(values)}
    template = _template(tuple((tag, len(values)) for tag, values in asked.items()), like_scope(scope))
    cursor.execute(template.text, template.filled(slots))
    yield from map(instance_row, islice(cursor, limit))


@lru_cache(maxsize=_KEPT)
def _template(asked: tuple[tuple[int, int], ...], scope: Scope) -> Template:
    conditions = (_condition(tag, [Slot(f"{tag:08X}", number) for number in range(count)]) for tag, count in asked)
    statement = instance_select.where(instance.c.state == 0, scope_condition(scope, study), *conditions).order_by(
        series.c.id, instance.c.number, instance.c.id
    )
    if not _OF_PATIENT.isdisjoint(tag for tag, _ in asked):
        statement = statement.join(patient, patient.c.id == study.c.patient_key)
    return Template.of(statement)


def _condition(tag: int, slots: Sequence[Slot]) -> Condition:
    if tag != tags.SOP_INSTANCE_UID:
        return one_of(_COLUMNS[tag], slots)
    # Found by hash and then compared. A UID that cannot be one has no slot.
    hashes = [Slot("hash", slot.number) for slot in slots]
    return one_of(instance.c.uid_hash, hashes) & one_of(instance.c.uid, slots)


def _values(tag: int, value: object) -> list[Any]:
    if not isinstance(value, str):
        raise DataSetError("A unique key is a text.")
    if tag not in _COLUMNS and tag != tags.SOP_INSTANCE_UID:
        raise DataSetError(f"The key {tag:08X} is not a unique key.")
    values = [each for each in value.split("\\") if each]
    if tag == tags.SOP_INSTANCE_UID:
        return [pack_uid(uid) for uid in values if not uid.strip(".0123456789")]
    return values
