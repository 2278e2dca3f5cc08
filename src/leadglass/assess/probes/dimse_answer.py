"""What is asked in a query, and what is read out of its answers: bounded, in one pass, kept by nobody."""

from collections.abc import Mapping
from itertools import compress
from typing import Final

from leadglass.assess.counting.census import StudyAnswer, parse_number
from leadglass.assess.counting.identifiers import (
    DIRECT_IDENTIFIERS,
    KEYWORDS,
    PATIENT_TELEPHONE_NUMBERS,
    SSN_TAGS,
)
from leadglass.assess.probes.dimse_plain import PlainReader
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements, encode_attributes
from leadglass.dicom.reader import DataSetScanner, Element
from leadglass.dicom.uids import TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import Attributes, DataSetLimits

LIMITS: Final = DataSetLimits(depth=8, elements=4096, inline_value=16_384, held_bytes=1 << 20, total_bytes=1 << 20)

#: Asked of each study. A peer that refuses so much is asked for `FEW`.
MANY: Final[Attributes] = {
    tags.STUDY_DATE: "",
    tags.ACCESSION_NUMBER: "",
    tags.PATIENT_NAME: "",
    tags.PATIENT_ID: "",
    tags.ISSUER_OF_PATIENT_ID: "",
    tags.PATIENT_BIRTH_DATE: "",
    tags.OTHER_PATIENT_IDS: "",
    tags.OTHER_PATIENT_IDS_SEQUENCE: (),
    tags.PATIENT_ADDRESS: "",
    PATIENT_TELEPHONE_NUMBERS: "",
    tags.ADDITIONAL_PATIENT_HISTORY: "",
    tags.PATIENT_COMMENTS: "",
    tags.STUDY_INSTANCE_UID: "",
    tags.NUMBER_OF_STUDY_RELATED_SERIES: "",
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "",
}
FEW: Final[Attributes] = {
    tags.STUDY_DATE: "",
    tags.PATIENT_NAME: "",
    tags.PATIENT_ID: "",
    tags.STUDY_INSTANCE_UID: "",
}
_SEQUENCES: Final = frozenset({tags.OTHER_PATIENT_IDS_SEQUENCE})
#: What is read of an answer, in this order: where Social Security numbers may stand, the other direct identifiers, and
#: what identifies nobody.
_IDENTIFIERS: Final = (
    *SSN_TAGS,
    *(tag for tag in DIRECT_IDENTIFIERS if tag in MANY and tag not in {*SSN_TAGS, *_SEQUENCES}),
)
_FIELDS: Final = (
    *_IDENTIFIERS,
    tags.STUDY_INSTANCE_UID,
    tags.ISSUER_OF_PATIENT_ID,
    tags.STUDY_DATE,
    tags.NUMBER_OF_STUDY_RELATED_SERIES,
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
)
_KEYWORDS: Final = tuple(KEYWORDS[tag] for tag in _IDENTIFIERS)
_SSN_FIELDS: Final = len(SSN_TAGS)
_PATIENT_ID, _BIRTH_DATE = (_FIELDS.index(tag) for tag in (tags.PATIENT_ID, tags.PATIENT_BIRTH_DATE))
_WANTED: Final = frozenset({*_FIELDS, tags.SPECIFIC_CHARACTER_SET})
_BELOW_TAGS: Final = frozenset(
    {
        tags.SERIES_INSTANCE_UID,
        tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID,
    }
)


def encode_keys(level: str, keys: Attributes, syntax: TransferSyntax) -> bytes:
    return encode_attributes({**keys, tags.QUERY_RETRIEVE_LEVEL: level}, syntax, ())


class StudyReader:
    """Reads the answers to one query at study level."""

    def __init__(self, syntax: TransferSyntax) -> None:
        self._syntax = syntax
        self._plain = PlainReader(syntax, _FIELDS)

    def read(self, data: bytes) -> StudyAnswer:
        """Raises DataSetError for what PS3.5 does not allow or what has no Study Instance UID."""
        others: tuple[str, ...] = ()
        texts = self._plain.texts(data) if len(data) <= LIMITS.inline_value else None
        if texts is None:
            scanner = DataSetScanner(self._syntax, LIMITS, wanted=_WANTED, wanted_sequences=_SEQUENCES)
            scanner.feed(data)
            scan = scanner.finish()
            decoded = decode_elements(scan.elements, scan.little_endian)
            texts = [decoded.get(tag, "") for tag in _FIELDS]
            others = _other_ids(scan.sequences.get(tags.OTHER_PATIENT_IDS_SEQUENCE, ()), scan.little_endian)
        study, issuer, study_date, series, images = texts[len(_IDENTIFIERS) :]
        if not study:
            raise DataSetError("An answer at study level names no study (PS3.4 C.6.2.1.2).")
        identifiers = tuple(compress(_KEYWORDS, texts))
        if others:
            identifiers += (KEYWORDS[tags.OTHER_PATIENT_IDS_SEQUENCE],)
        return StudyAnswer(
            study,
            texts[_PATIENT_ID],
            issuer,
            texts[_BIRTH_DATE],
            study_date,
            parse_number(series),
            parse_number(images),
            (*filter(None, texts[:_SSN_FIELDS]), *others),
            identifiers,
        )


def _other_ids(items: tuple[Mapping[int, Element], ...], little_endian: bool) -> tuple[str, ...]:
    found = (decode_elements(item, little_endian).get(tags.PATIENT_ID, "") for item in items[:64])
    return tuple(each for each in found if each)


def read_below(data: bytes, syntax: TransferSyntax) -> Mapping[int, str]:
    """UIDs and counts of an answer at series or image level. Raises DataSetError."""
    scanner = DataSetScanner(syntax, LIMITS, wanted=_BELOW_TAGS)
    scanner.feed(data)
    scan = scanner.finish()
    return decode_elements(scan.elements, scan.little_endian)
