"""Direct identifiers of patients in what a PACS answers: Social Security numbers in two tiers, and which others stand
there. Numbers are handed on to be hashed, and never kept."""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from stdnum.exceptions import ValidationError
from stdnum.us import ssn

from leadglass.dicom import tags
from leadglass.dicom.dictionary import keyword_of


class Tier(StrEnum):
    """`formatted` is written as one writes a Social Security number; nine bare digits may be something else."""

    FORMATTED = "formatted"
    BARE = "bare"


# Areas, groups and serials that were never given out (20 CFR 422.103) are passed over here: most identifiers of nine
# digits are, and python-stdnum takes as long for one as all else that is done with an answer.
_FORMATTED: Final = re.compile(r"(?<![\d-])(?!000|666|9)(\d{3})([- ])(?!00)(\d{2})\2(?!0000)(\d{4})(?![\d-])", re.ASCII)
_BARE: Final = re.compile(r"(?<![\d.-])(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}(?![\d.-])", re.ASCII)
#: An answer's texts are bounded; a peer that sends more is not read further.
_LONGEST_TEXT: Final = 8192

PATIENT_TELEPHONE_NUMBERS: Final = 0x00102154

#: Where Social Security numbers are looked for (threats: identifiers and comments).
SSN_TAGS: Final = (
    tags.PATIENT_ID,
    tags.OTHER_PATIENT_IDS,
    tags.PATIENT_COMMENTS,
    tags.ADDITIONAL_PATIENT_HISTORY,
)
#: 45 CFR 164.514(b)(2)(i): identifiers of the individual that a query at study level may answer with.
DIRECT_IDENTIFIERS: Final = (
    tags.PATIENT_NAME,
    tags.PATIENT_ID,
    tags.PATIENT_BIRTH_DATE,
    tags.OTHER_PATIENT_IDS,
    tags.OTHER_PATIENT_IDS_SEQUENCE,
    tags.OTHER_PATIENT_NAMES,
    tags.PATIENT_ADDRESS,
    PATIENT_TELEPHONE_NUMBERS,
    tags.PATIENT_COMMENTS,
    tags.ADDITIONAL_PATIENT_HISTORY,
    tags.ACCESSION_NUMBER,
)
KEYWORDS: Final = {tag: keyword_of(tag) for tag in DIRECT_IDENTIFIERS}


def find_ssns(texts: Iterable[str]) -> set[tuple[Tier, str]]:
    """Tier and nine digits of each valid number in `texts`. Areas, groups and serials that were never given out, and
    numbers from advertisements, are none (20 CFR 422.103; python-stdnum)."""
    found: set[tuple[Tier, str]] = set()
    for text in texts:
        if len(text) < 9:
            continue
        shown = text[:_LONGEST_TEXT]
        for match in _FORMATTED.finditer(shown):
            _keep(found, Tier.FORMATTED, match[1] + match[3] + match[4])
        for bare in _BARE.findall(shown):
            _keep(found, Tier.BARE, bare)
    return found


def _keep(found: set[tuple[Tier, str]], tier: Tier, digits: str) -> None:
    try:
        ssn.validate(ssn.format(digits))
    except ValidationError:
        return
    found.add((tier, digits))
