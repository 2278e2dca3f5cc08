"""What is asked in a query, and what is read out of its answers: bounded, in one pass, kept by nobody."""

import struct
from collections.abc import Mapping
from typing import Final

from leadglass.assess.counting.census import StudyAnswer, parse_number
from leadglass.assess.counting.identifiers import (
    KEYWORDS,
    PATIENT_TELEPHONE_NUMBERS,
    SSN_TAGS,
)
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements, encode_attributes
from leadglass.dicom.dictionary import SEQUENCES
from leadglass.dicom.encoding import LITTLE, SHORT_VRS, TEXT_VRS
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
_STUDY_TAGS: Final = frozenset(MANY) | {tags.SPECIFIC_CHARACTER_SET}
#: VRs of the plain answers: text behind a 16-bit length.
_TEXTS: Final = frozenset(code for code, vr in SHORT_VRS.items() if vr in TEXT_VRS)
#: Groups below 0008 have no place in a data set (PS3.5 7.1).
_FIRST: Final = 0x0007FFFF
_EMPTY: Final = (bytes(4), b"\xff\xff\xff\xff\xfe\xff\xdd\xe0" + bytes(4))
_SEQUENCES: Final = frozenset({tags.OTHER_PATIENT_IDS_SEQUENCE})
_BELOW_TAGS: Final = frozenset(
    {
        tags.SERIES_INSTANCE_UID,
        tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID,
    }
)


def encode_keys(level: str, keys: Attributes, syntax: TransferSyntax) -> bytes:
    return encode_attributes({**keys, tags.QUERY_RETRIEVE_LEVEL: level}, syntax, ())


def read_study(data: bytes, syntax: TransferSyntax) -> StudyAnswer:
    """Raises DataSetError for what PS3.5 does not allow or what has no Study Instance UID."""
    texts = _plain_texts(data, syntax)
    others: tuple[str, ...] = ()
    if texts is None:
        scanner = DataSetScanner(syntax, LIMITS, wanted=_STUDY_TAGS, wanted_sequences=_SEQUENCES)
        scanner.feed(data)
        scan = scanner.finish()
        texts = decode_elements(scan.elements, scan.little_endian)
        others = _other_ids(scan.sequences.get(tags.OTHER_PATIENT_IDS_SEQUENCE, ()), scan.little_endian)
    get = texts.get
    study = get(tags.STUDY_INSTANCE_UID, "")
    if not study:
        raise DataSetError("An answer at study level names no study (PS3.4 C.6.2.1.2).")
    identifiers = [keyword for tag, keyword in KEYWORDS.items() if get(tag)]
    if others:
        identifiers.append(KEYWORDS[tags.OTHER_PATIENT_IDS_SEQUENCE])
    return StudyAnswer(
        study,
        get(tags.PATIENT_ID, ""),
        get(tags.ISSUER_OF_PATIENT_ID, ""),
        get(tags.PATIENT_BIRTH_DATE, ""),
        get(tags.STUDY_DATE, ""),
        parse_number(get(tags.NUMBER_OF_STUDY_RELATED_SERIES, "")),
        parse_number(get(tags.NUMBER_OF_STUDY_RELATED_INSTANCES, "")),
        (*(texts[tag] for tag in SSN_TAGS if tag in texts), *others),
        tuple(identifiers),
    )


def _plain_texts(data: bytes, syntax: TransferSyntax) -> dict[int, str] | None:
    """The wanted texts of an answer as nearly all are: ASCII, short values in ascending order, no sequence that holds
    anything. None for any other, which the careful reader judges; a million of these are read in seconds."""
    if syntax.deflated or not syntax.little_endian or len(data) > LIMITS.inline_value:
        return None
    explicit = syntax.explicit_vr
    unpack = (LITTLE.explicit if explicit else LITTLE.implicit).unpack_from
    texts: dict[int, str] = {}
    position, size, highest = 0, len(data), _FIRST
    try:
        while position < size:
            fields = unpack(data, position)
            tag, length = fields[0] << 16 | fields[1], fields[-1]
            head = position + 8
            if tag <= highest or not fields[1]:
                return None
            if fields[2] in _TEXTS if explicit else tag not in SEQUENCES:
                position = head + length
                if tag in _STUDY_TAGS:
                    texts[tag] = text = data[head:position].decode("ascii").strip(" \0")
                    if "\\" in text or "\x1b" in text:
                        return None
            else:
                position = _after_empty_sequence(data, head if explicit else head - 4)
                if not position or (explicit and fields[2] != b"SQ"):
                    return None
            highest = tag
    except (struct.error, UnicodeDecodeError):  # cut short, or in a character set
        return None
    return texts if position == size else None


def _after_empty_sequence(data: bytes, position: int) -> int:
    """What follows a sequence without items, whose length stands at `position` (PS3.5 7.5.2); 0 if it has items."""
    return next((position + len(each) for each in _EMPTY if data.startswith(each, position)), 0)


def _other_ids(items: tuple[Mapping[int, Element], ...], little_endian: bool) -> tuple[str, ...]:
    found = (decode_elements(item, little_endian).get(tags.PATIENT_ID, "") for item in items[:64])
    return tuple(each for each in found if each)


def read_below(data: bytes, syntax: TransferSyntax) -> Mapping[int, str]:
    """UIDs and counts of an answer at series or image level. Raises DataSetError."""
    scanner = DataSetScanner(syntax, LIMITS, wanted=_BELOW_TAGS)
    scanner.feed(data)
    scan = scanner.finish()
    return decode_elements(scan.elements, scan.little_endian)
