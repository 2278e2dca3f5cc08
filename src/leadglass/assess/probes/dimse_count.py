"""How many studies, even where the peer does not say how many it leaves out.

A peer that caps its answers may say so (PS3.4 C.4.1.1.4, A700H) or call it success. So what came is held against a
second look at parts of it; where that shows more, dates are halved until every part lies below the cap. What stays
capped makes the numbers lower bounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from secrets import SystemRandom
from typing import Final

from leadglass.assess.counting.census import parse_date
from leadglass.assess.probes.dimse_answer import FEW
from leadglass.assess.probes.dimse_asking import Asked, Asking
from leadglass.dicom import tags
from leadglass.dimse.status import CANCEL, NOT_AUTHORISED
from leadglass.model import Attributes

#: Up to here all of it is asked for again, in two parts; beyond, only days drawn at random.
_LOOK_TWICE: Final = 2000
_DAYS_DRAWN: Final = 8
_MOST_QUERIES: Final = 20_000
#: So many capped parts in a row without a new study: halving leads nowhere.
_IN_VAIN: Final = 48
_FIRST_DAY: Final = date(1900, 1, 1)
_END: Final = date(2100, 12, 31)
_WHOLE_DAY: Final = (0, 24 * 60)


@dataclass(frozen=True, slots=True)
class Listing:
    """`status`: of the query for everything, None when the association broke off, `ended` by the peer or else.
    `capped`: it did not show all; `split`: parts were asked for instead."""

    status: int | None
    ended: bool
    answers: int
    capped: bool
    split: bool
    unknowns: tuple[str, ...]

    @property
    def answered(self) -> bool:
        return self.answers > 0 or self.status == 0


def count_studies(asking: Asking) -> Listing:
    """Fills the census of `asking`, marking it where it stays a lower bound. Raises nothing: what breaks off shows."""
    whole = asking.studies({})
    if not whole.answers and whole.status not in (None, 0, CANCEL, NOT_AUTHORISED):
        asking.keys = FEW
        whole = asking.studies({})
    if not whole.answers and whole.status != 0:
        return Listing(whole.status, whole.ended, 0, capped=False, split=False, unknowns=())
    again = _Again.MORE if not whole.complete else _look_again(asking)
    capped = again is _Again.MORE
    split = capped and not whole.stopped
    if split:
        _Halving(asking, whole).run()
    elif again is not _Again.NO_MORE:
        asking.census.miss_studies()
    return Listing(whole.status, whole.ended, whole.answers, capped, split, tuple(_unknowns(asking, whole, again)))


def _unknowns(asking: Asking, whole: Asked, again: "_Again") -> Iterator[str]:
    if whole.stopped:
        yield "the archive kept repeating itself; the query was cancelled"
    if again is _Again.NOBODY_KNOWS:
        yield "whether answers are capped could not be found out: queries by date are not answered as asked"
    if asking.malformed:
        asking.census.miss_studies()
        yield f"{asking.malformed} answers could not be read"
    if again is _Again.MORE and asking.undated:
        asking.census.miss_studies()
        yield "answers are capped, and studies without a date cannot be asked for in parts"


class _Again(Enum):
    """What a second look at parts showed."""

    MORE = "studies that did not come with the whole"
    NO_MORE = "nothing new"
    NOBODY_KNOWS = "the peer does not look at dates, or broke off"


def _look_again(asking: Asking) -> _Again:
    known = sorted(day for text in asking.days if (day := parse_date(text)) is not None)
    if not known:
        parts = [_Part(_FIRST_DAY, _last_day())]
    elif asking.census.studies <= _LOOK_TWICE:
        middle = known[len(known) // 2]
        parts = [_Part(_FIRST_DAY, middle - timedelta(days=1)), _Part(middle, _END)]
    else:
        drawn = SystemRandom().sample(known, min(_DAYS_DRAWN, len(known)))
        ends = _Part(_FIRST_DAY, known[0] - timedelta(days=1)), _Part(known[-1] + timedelta(days=1), _END)
        parts = [*ends, *(_Part(day, day) for day in drawn)]
    looked = [asking.studies(part.keys(), part.holds) for part in parts]
    if any(asked.fresh for asked in looked):
        return _Again.MORE
    honest = all(asked.complete and not asked.outside for asked in looked)
    return _Again.NO_MORE if honest else _Again.NOBODY_KNOWS


def _last_day() -> date:
    return datetime.now(UTC).date() + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Part:
    """Days from `first` to `last`, and minutes of the day where it is only one."""

    first: date
    last: date
    minutes: tuple[int, int] = _WHOLE_DAY

    def keys(self) -> Attributes:
        if self.minutes == _WHOLE_DAY:
            # Range matching of a date, PS3.4 C.2.2.2.5.
            return {tags.STUDY_DATE: f"{self.first:%Y%m%d}-{self.last:%Y%m%d}"}
        first, end = self.minutes
        times = f"{_time(first)}00-{_time(end - 1)}59.999999"
        return {tags.STUDY_DATE: f"{self.first:%Y%m%d}", tags.STUDY_TIME: times}

    def halves(self) -> tuple["_Part", ...]:
        """Nothing once it is a minute."""
        if self.first < self.last:
            middle = self.first + (self.last - self.first) // 2
            return _Part(self.first, middle), _Part(middle + timedelta(days=1), self.last)
        first, end = self.minutes
        if end - first < 2:
            return ()
        middle_minute = (first + end) // 2
        return _Part(self.first, self.last, (first, middle_minute)), _Part(self.first, self.last, (middle_minute, end))

    def holds(self, text: str) -> bool:
        day = parse_date(text)
        return day is None or self.first <= day <= self.last


def _time(minute: int) -> str:
    return f"{minute // 60:02}{minute % 60:02}"


class _Halving:
    """Parts of the calendar, the later half first, until each is answered in full or cannot be halved any more."""

    def __init__(self, asking: Asking, whole: Asked) -> None:
        self._asking = asking
        self._cap = whole.answers
        self._in_vain = 0
        self._failed = 0

    def run(self) -> None:
        asking = self._asking
        # A part is asked for once more than the whole: a peer that fails at everything is not asked a thousand times.
        parts = [_Part(_FIRST_DAY, _last_day())]
        for _ in range(_MOST_QUERIES):
            if not parts:
                return
            part = parts.pop()
            asked = asking.studies(part.keys(), part.holds)
            if self._is_whole(asked):
                self._in_vain = self._failed = 0
                continue
            halves = part.halves()
            self._in_vain = 0 if asked.fresh else self._in_vain + 1
            self._failed = self._failed + 1 if asked.status is None else 0
            leads_nowhere = self._in_vain > _IN_VAIN or self._failed > 2 or 2 * asked.outside > asked.answers > 0
            if not halves or leads_nowhere:
                asking.census.miss_studies()
            if leads_nowhere:
                return
            parts += halves
        asking.census.miss_studies()

    def _is_whole(self, asked: Asked) -> bool:
        return asked.complete and (asked.answers < self._cap or not self._cap)
