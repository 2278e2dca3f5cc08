"""The search of the studies page: what is typed and chosen → identifiers of queries (PS3.4 C.2.2.2)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from leadglass.dicom import tags
from leadglass.errors import UsageError
from leadglass.model import Attributes, Level

#: What a line of the list shows.
ANSWERED: Attributes = {
    tags.QUERY_RETRIEVE_LEVEL: Level.STUDY.value,
    tags.STUDY_INSTANCE_UID: "",
    tags.PATIENT_NAME: "",
    tags.PATIENT_ID: "",
    tags.PATIENT_BIRTH_DATE: "",
    tags.PATIENT_SEX: "",
    tags.STUDY_DATE: "",
    tags.STUDY_TIME: "",
    tags.STUDY_DESCRIPTION: "",
    tags.ACCESSION_NUMBER: "",
    tags.REFERRING_PHYSICIAN_NAME: "",
    tags.MODALITIES_IN_STUDY: "",
    tags.NUMBER_OF_STUDY_RELATED_SERIES: "",
    tags.NUMBER_OF_STUDY_RELATED_INSTANCES: "",
}
PERIODS: Mapping[str, tuple[str, int]] = {
    "today": ("Today", 0),
    "week": ("Last 7 days", 6),
    "month": ("Last 30 days", 29),
    "year": ("Last 12 months", 365),
}
#: Those worth a line in the list of choices (PS3.3 C.7.3.1.1.1 has many more).
MODALITIES = (
    *("CR", "CT", "DOC", "DX", "ECG", "ES", "IO", "MG", "MR", "NM", "OP", "OT"),
    *("PT", "PX", "RF", "RTSTRUCT", "SC", "SEG", "SM", "SR", "US", "XA", "XC"),
)
_BETWEEN = re.compile(r"[\s,^]+")
_LONGEST = 64
_MOST_PAGES = 200


@dataclass(frozen=True, slots=True)
class Search:
    """`text` looks in names when it has a letter, and in patient IDs and accession numbers when it has a digit."""

    text: str = ""
    period: str = ""
    first: str = ""
    last: str = ""
    modality: str = ""
    description: str = ""
    page: int = 1

    @classmethod
    def of(cls, form: Mapping[str, str]) -> "Search":
        """What cannot be meant is left out: somebody is still typing. Raises UsageError for what nobody types."""
        page = form.get("page", "1")
        if len(page) > _LONGEST:
            raise UsageError("The number of the page is longer than any.", "Begin with page 1.")
        return cls(
            text=_bounded(form.get("text", "")),
            period=form.get("period", "") if form.get("period") in (*PERIODS, "between") else "",
            first=_day(form.get("first", "")),
            last=_day(form.get("last", "")),
            modality=form.get("modality", "") if form.get("modality") in MODALITIES else "",
            description=_bounded(form.get("description", "")),
            page=min(int(page), _MOST_PAGES) if page.isdecimal() and int(page) else 1,
        )

    @property
    def narrowed(self) -> bool:
        return any((self.text, self.period, self.modality, self.description))

    def identifiers(self, today: date) -> tuple[Attributes, ...]:
        """One for each attribute that the text may be about; their answers are shown together."""
        common = {**ANSWERED, **self._narrowing(today)}
        name = ({**common, tags.PATIENT_NAME: _words(self.text)},) if re.search(r"[^\W\d_]", self.text) else ()
        numbers = (tags.PATIENT_ID, tags.ACCESSION_NUMBER) if re.search(r"\d", self.text) else ()
        return (
            *name,
            *({**common, tag: f"*{self.text}*"} for tag in numbers),
        ) or (common,)

    def _narrowing(self, today: date) -> dict[int, str]:
        keys = {}
        if self.modality:
            keys[tags.MODALITIES_IN_STUDY] = self.modality
        if self.description:
            keys[tags.STUDY_DESCRIPTION] = f"*{self.description}*"
        if self.period in PERIODS:
            first = today - timedelta(days=PERIODS[self.period][1])
            keys[tags.STUDY_DATE] = f"{first:%Y%m%d}-"
        elif self.period == "between" and (self.first or self.last):
            keys[tags.STUDY_DATE] = f"{self.first.replace('-', '')}-{self.last.replace('-', '')}"
        return keys


def _words(text: str) -> str:
    """Anywhere inside the words of a name, matched fuzzily in whichever order: `ohn doe` finds `DOE^JOHN`."""
    return " ".join(f"*{word}*" for word in _BETWEEN.split(text) if word)


def _bounded(text: str) -> str:
    # A backslash would be several values (PS3.5 6.4).
    return re.sub(r"[\\\x00-\x1f]", " ", text).strip()[:_LONGEST]


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
