"""Which attribute is indexed where: the one place that says so. Search, store and conformance statement read it.

The choice is every required key and the usual optional ones of PS3.4 C.6.1 and C.6.2 and of PS3.18 Table 10.6.3-3, -4
and -5. Fields with a column are searched by it; the others stand in `extra` and are matched there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypedDict

from leadglass.dicom import tags
from leadglass.dicom.dictionary import tag_of, vr_of
from leadglass.index.rows import SeriesFields, StudyFields
from leadglass.model import Level

_SEPARATED_DATE = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)")
_SEPARATED_TIME = re.compile(r"(\d\d):(\d\d)(?::(\d\d(?:\.\d+)?))?")
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute of `level` in `column` of the level's table, or in `extra` when `column` is empty.

    `folded` names the column that holds it without case and accents.
    """

    tag: int
    level: Level
    column: str
    folded: str = ""

    @property
    def vr(self) -> str:
        return vr_of(self.tag)


def _fields(level: Level, columns: Mapping[int, str], extra: tuple[str, ...]) -> Mapping[int, Field]:
    fields = {tag: Field(tag, level, column) for tag, column in columns.items()}
    fields.update((tag_of(keyword), Field(tag_of(keyword), level, "")) for keyword in extra)
    return MappingProxyType(fields)


#: Of the patient, but kept with each study: what one site says about a patient is not another site's to see.
PATIENT_FIELDS: Final = _fields(
    Level.PATIENT,
    {
        tags.PATIENT_NAME: "patient_name",
        tags.PATIENT_BIRTH_DATE: "birth_date",
        tags.PATIENT_SEX: "sex",
    },
    (
        "TypeOfPatientID",
        "PatientBirthTime",
        "OtherPatientIDs",
        "OtherPatientNames",
        "EthnicGroup",
        "PatientComments",
        "PatientIdentityRemoved",
        "ResponsiblePerson",
        "PatientSpeciesDescription",
        "PatientBreedDescription",
    ),
)
STUDY_FIELDS: Final = _fields(
    Level.STUDY,
    {
        tags.STUDY_DATE: "date",
        tags.STUDY_TIME: "time",
        tags.ACCESSION_NUMBER: "accession_number",
        tags.STUDY_ID: "study_id",
        tags.STUDY_DESCRIPTION: "description",
        tags.REFERRING_PHYSICIAN_NAME: "referring_physician",
    },
    (
        "TimezoneOffsetFromUTC",
        "ConsultingPhysicianName",
        "PhysiciansOfRecord",
        "NameOfPhysiciansReadingStudy",
        "AdmittingDiagnosesDescription",
        "PatientAge",
        "PatientSize",
        "PatientWeight",
        "MedicalAlerts",
        "Allergies",
        "PregnancyStatus",
        "Occupation",
        "AdditionalPatientHistory",
        "AdmissionID",
        "RequestingPhysician",
        "RequestingService",
        "RequestedProcedureDescription",
    ),
)
SERIES_FIELDS: Final = _fields(
    Level.SERIES,
    {
        tags.MODALITY: "modality",
        tags.SERIES_NUMBER: "number",
        tags.SERIES_DESCRIPTION: "description",
        tags.SERIES_DATE: "date",
        tags.SERIES_TIME: "time",
        tags.BODY_PART_EXAMINED: "body_part",
        tags.PROTOCOL_NAME: "protocol_name",
        tags.LATERALITY: "laterality",
        tags.STATION_NAME: "station_name",
        tags.MANUFACTURER: "manufacturer",
        tags.INSTITUTION_NAME: "institution_name",
        tags.PERFORMED_PROCEDURE_STEP_START_DATE: "step_date",
        tags.PERFORMED_PROCEDURE_STEP_START_TIME: "step_time",
    },
    (
        "InstitutionalDepartmentName",
        "PerformingPhysicianName",
        "OperatorsName",
        "ManufacturerModelName",
        "DeviceSerialNumber",
        "SoftwareVersions",
        "PatientPosition",
        "FrameOfReferenceUID",
        "PerformedProcedureStepID",
        "PerformedProcedureStepDescription",
        "PerformedProcedureStepEndDate",
        "PerformedProcedureStepEndTime",
    ),
)
#: Nothing that an image of a large series has goes into `extra`: that is for documents and presentation states.
INSTANCE_FIELDS: Final = _fields(
    Level.IMAGE,
    {
        tags.INSTANCE_NUMBER: "number",
        tags.ROWS: "rows",
        tags.COLUMNS: "columns",
        tags.BITS_ALLOCATED: "bits_allocated",
        tags.NUMBER_OF_FRAMES: "frames",
    },
    (
        "ContentLabel",
        "ContentDescription",
        "ContentCreatorName",
        "PresentationCreationDate",
        "PresentationCreationTime",
        "CompletionFlag",
        "VerificationFlag",
    ),
)
#: Items of Request Attributes Sequence (0040,0275): tag → column of `request_attributes`.
REQUEST_FIELDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        tags.ACCESSION_NUMBER: "accession_number",
        tags.SCHEDULED_PROCEDURE_STEP_ID: "step_id",
        tags.SCHEDULED_PROCEDURE_STEP_DESCRIPTION: "step_description",
        tags.REQUESTED_PROCEDURE_ID: "procedure_id",
        tags.REQUESTED_PROCEDURE_DESCRIPTION: "procedure_description",
    }
)

#: Top-level elements that the index wants of a data set.
WANTED_TAGS: Final = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID,
        tags.STUDY_INSTANCE_UID,
        tags.SERIES_INSTANCE_UID,
        tags.PATIENT_ID,
        tags.ISSUER_OF_PATIENT_ID,
        *PATIENT_FIELDS,
        *STUDY_FIELDS,
        *SERIES_FIELDS,
        *INSTANCE_FIELDS,
    }
)
#: Top-level sequences whose items it wants.
WANTED_SEQUENCES: Final = frozenset({tags.REQUEST_ATTRIBUTES_SEQUENCE})


def _extra_tags(*tables: Mapping[int, Field]) -> tuple[int, ...]:
    return tuple(field.tag for table in tables for field in table.values() if not field.column)


_STUDY_EXTRA: Final = _extra_tags(PATIENT_FIELDS, STUDY_FIELDS)
_SERIES_EXTRA: Final = _extra_tags(SERIES_FIELDS)
_INSTANCE_EXTRA: Final = _extra_tags(INSTANCE_FIELDS)


class InstanceFields(TypedDict):
    """The members of `NewInstance` that come from the data set."""

    number: int | None
    rows: int | None
    columns: int | None
    bits_allocated: int | None
    frames: int | None
    extra: Mapping[int, str]


def study_from(attributes: Mapping[int, str]) -> StudyFields:
    text = attributes.get
    return StudyFields(
        patient_name=text(tags.PATIENT_NAME, ""),
        birth_date=plain_date(text(tags.PATIENT_BIRTH_DATE, "")),
        sex=text(tags.PATIENT_SEX, ""),
        date=plain_date(text(tags.STUDY_DATE, "")),
        time=plain_time(text(tags.STUDY_TIME, "")),
        accession_number=text(tags.ACCESSION_NUMBER, ""),
        study_id=text(tags.STUDY_ID, ""),
        description=text(tags.STUDY_DESCRIPTION, ""),
        referring_physician=text(tags.REFERRING_PHYSICIAN_NAME, ""),
        extra=_present(attributes, _STUDY_EXTRA),
    )


def series_from(attributes: Mapping[int, str]) -> SeriesFields:
    text = attributes.get
    return SeriesFields(
        modality=text(tags.MODALITY, ""),
        number=integer(text(tags.SERIES_NUMBER, "")),
        description=text(tags.SERIES_DESCRIPTION, ""),
        date=plain_date(text(tags.SERIES_DATE, "")),
        time=plain_time(text(tags.SERIES_TIME, "")),
        body_part=text(tags.BODY_PART_EXAMINED, ""),
        protocol_name=text(tags.PROTOCOL_NAME, ""),
        laterality=text(tags.LATERALITY, ""),
        station_name=text(tags.STATION_NAME, ""),
        manufacturer=text(tags.MANUFACTURER, ""),
        institution_name=text(tags.INSTITUTION_NAME, ""),
        step_date=plain_date(text(tags.PERFORMED_PROCEDURE_STEP_START_DATE, "")),
        step_time=plain_time(text(tags.PERFORMED_PROCEDURE_STEP_START_TIME, "")),
        extra=_present(attributes, _SERIES_EXTRA),
    )


def instance_from(attributes: Mapping[int, str]) -> InstanceFields:
    text = attributes.get
    return {
        "number": integer(text(tags.INSTANCE_NUMBER, "")),
        "rows": integer(text(tags.ROWS, "")),
        "columns": integer(text(tags.COLUMNS, "")),
        "bits_allocated": integer(text(tags.BITS_ALLOCATED, "")),
        "frames": integer(text(tags.NUMBER_OF_FRAMES, "")),
        "extra": _present(attributes, _INSTANCE_EXTRA),
    }


def _present(attributes: Mapping[int, str], wanted: tuple[int, ...]) -> Mapping[int, str]:
    return {tag: attributes[tag] for tag in wanted if attributes.get(tag)}


def plain_date(text: str) -> str:
    """A date without the separators of ACR-NEMA (PS3.5 6.2, note on DA)."""
    found = _SEPARATED_DATE.fullmatch(text)
    return "".join(found.groups()) if found else text


def plain_time(text: str) -> str:
    """A time without the separators of ACR-NEMA (PS3.5 6.2, note on TM)."""
    found = _SEPARATED_TIME.fullmatch(text)
    return "".join(part for part in found.groups() if part) if found else text


def integer(text: str) -> int | None:
    """An integer string (PS3.5 6.2, IS) of at most 63 bits; None when it is not one."""
    if not text or len(text) > 20:
        return None
    try:
        value = int(text)
    except ValueError:
        return None
    return value if -_MAX_INTEGER <= value <= _MAX_INTEGER else None
