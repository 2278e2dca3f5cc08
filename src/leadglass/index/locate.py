"""What a retrieval names: the visible instances below its unique keys, PS3.4 C.4.3."""

from collections.abc import Iterator

from sqlalchemy import Connection

from leadglass.dicom import tags
from leadglass.errors import DataSetError
from leadglass.index.answers import scope_condition
from leadglass.index.keys import instance_uid_condition
from leadglass.index.lookup import instance_row, instance_select
from leadglass.index.matching import Condition
from leadglass.index.rows import InstanceRow
from leadglass.index.schema import instance, patient, series, study
from leadglass.model import Attributes, Scope

FETCHED = 256


def locate(connection: Connection, keys: Attributes, scope: Scope, limit: int | None) -> Iterator[InstanceRow]:
    """By series, then instance number. Raises DataSetError when no unique key is given: that would be everything."""
    conditions = [_condition(tag, value) for tag, value in keys.items() if value]
    if not conditions:
        raise DataSetError("A retrieval names no patient, study, series or instance.")
    statement = (
        instance_select.where(instance.c.state == 0, scope_condition(scope, study), *conditions)
        .order_by(series.c.id, instance.c.number, instance.c.id)
        .limit(limit)
    )
    if tags.PATIENT_ID in keys:
        statement = statement.join(patient, patient.c.id == study.c.patient_key)
    with connection.execution_options(yield_per=FETCHED).execute(statement) as result:
        for row in result:
            yield instance_row(tuple(row))


def _condition(tag: int, value: object) -> Condition:
    if not isinstance(value, str):
        raise DataSetError("A unique key is a text.")
    values = [each for each in value.split("\\") if each]
    if tag == tags.PATIENT_ID:
        return patient.c.patient_id.in_(values)
    if tag == tags.STUDY_INSTANCE_UID:
        return study.c.uid.in_(values)
    if tag == tags.SERIES_INSTANCE_UID:
        return series.c.uid.in_(values)
    if tag == tags.SOP_INSTANCE_UID:
        return instance_uid_condition(value)
    raise DataSetError(f"The key {tag:08X} is not a unique key.")
