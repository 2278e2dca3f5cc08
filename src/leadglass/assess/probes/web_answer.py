"""What is read out of a web answer about a study: the JSON model (PS3.18 Annex F). Kept by nobody."""

from collections.abc import Iterable, Mapping
from typing import Final

from leadglass.assess.counting.census import StudyAnswer, parse_number
from leadglass.assess.counting.identifiers import DIRECT_IDENTIFIERS, KEYWORDS, SSN_TAGS
from leadglass.dicom import tags
from leadglass.dicom.uids import parse_uid
from leadglass.errors import DataSetError

#: Values and items of one attribute that are looked at.
_MOST_VALUES: Final = 64
_LONGEST: Final = 8192

Element = Mapping[str, object]


def study_of(element: object) -> StudyAnswer:
    """A study as QIDO-RS tells it. DataSetError if it names none."""
    if not isinstance(element, dict):
        raise DataSetError("An answer is no object of the JSON model (PS3.18 F.2).")
    texts = {tag: text for tag in _ASKED if (text := text_of(element, tag))}
    return study_from(texts, _other_ids(element))


def study_from(texts: Mapping[int, str], others: tuple[str, ...] = ()) -> StudyAnswer:
    """A study from its attributes. DataSetError without a valid Study Instance UID."""
    identifiers = [KEYWORDS[tag] for tag in DIRECT_IDENTIFIERS if texts.get(tag)]
    if others:
        identifiers.append(KEYWORDS[tags.OTHER_PATIENT_IDS_SEQUENCE])
    return StudyAnswer(
        study=parse_uid(texts.get(tags.STUDY_INSTANCE_UID, "")),
        patient_id=texts.get(tags.PATIENT_ID, ""),
        issuer=texts.get(tags.ISSUER_OF_PATIENT_ID, ""),
        birth_date=texts.get(tags.PATIENT_BIRTH_DATE, ""),
        study_date=texts.get(tags.STUDY_DATE, ""),
        series=parse_number(texts.get(tags.NUMBER_OF_STUDY_RELATED_SERIES, "")),
        images=parse_number(texts.get(tags.NUMBER_OF_STUDY_RELATED_INSTANCES, "")),
        texts=(*(texts[tag] for tag in SSN_TAGS if tag in texts), *others),
        identifiers=tuple(dict.fromkeys(identifiers)),
    )


def text_of(element: Element, tag: int) -> str:
    """The values of an attribute joined by backslashes; "" where there is none that is text or a number."""
    entry = element.get(f"{tag:08X}")
    values = entry.get("Value") if isinstance(entry, dict) else None
    if not isinstance(values, list):
        return ""
    return "\\".join(_texts(values[:_MOST_VALUES]))[:_LONGEST]


def _texts(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        if isinstance(value, dict):  # PN: PS3.18 F.2.2
            yield str(value.get("Alphabetic") or value.get("Ideographic") or "")[:_LONGEST]
        elif isinstance(value, str):
            yield value[:_LONGEST]
        elif isinstance(value, int | float):
            yield str(value)


def _other_ids(element: Element) -> tuple[str, ...]:
    entry = element.get(f"{tags.OTHER_PATIENT_IDS_SEQUENCE:08X}")
    items = entry.get("Value") if isinstance(entry, dict) else None
    if not isinstance(items, list):
        return ()
    found = (text_of(item, tags.PATIENT_ID) for item in items[:_MOST_VALUES] if isinstance(item, dict))
    return tuple(each for each in found if each)


#: Asked of each study besides what PS3.18 10.6.3.3.1 answers unasked.
INCLUDED: Final = tuple(
    dict.fromkeys(
        (
            *DIRECT_IDENTIFIERS,
            *SSN_TAGS,
            tags.ISSUER_OF_PATIENT_ID,
            tags.STUDY_DATE,
            tags.NUMBER_OF_STUDY_RELATED_SERIES,
            tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
        )
    )
)
_ASKED: Final = (*(tag for tag in INCLUDED if tag != tags.OTHER_PATIENT_IDS_SEQUENCE), tags.STUDY_INSTANCE_UID)
