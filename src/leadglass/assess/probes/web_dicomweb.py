"""DICOMweb as a stranger asks it (PS3.18): whether it answers, how much it lists, whether images begin to arrive.

A server may cap what it answers with and say so (8.3.4.4, a Warning of 299), or not say so, or ignore `offset`. When a
page brings nothing new, the calendar is halved until every part lies below the cap; what stays capped is a lower bound.
URLs that answers hold (BulkDataURI, RetrieveURL) are never followed: every path is made here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from secrets import SystemRandom
from typing import Final, NamedTuple

from leadglass.assess.counting.census import Census, parse_date
from leadglass.assess.counting.reservoir import Reservoir
from leadglass.assess.observation import Exchange
from leadglass.assess.probes.dimse_write import is_ours
from leadglass.assess.probes.web_answer import INCLUDED, study_of
from leadglass.assess.probes.web_client import Answer, WebWay
from leadglass.assess.probes.web_json import elements
from leadglass.errors import DataSetError, FormatError, NotAvailable

SAMPLE: Final = 5
#: Studies without counts whose images are counted one by one.
MOST_BELOW: Final = 500
JSON: Final = "application/dicom+json, application/json;q=0.9"
_PAGE: Final = 500
_MOST_PAGES: Final = 20_000
_MOST_PARTS: Final = 5_000
_IN_VAIN: Final = 24
_MOST_MALFORMED: Final = 1_000
_FIRST_DAY: Final = date(1900, 1, 1)
_LAST_DAY: Final = date(2100, 12, 31)
_MOST_DAYS: Final = 20_000
#: Up to here all of it is asked for again; beyond, only days drawn at random.
_LOOK_TWICE: Final = 2_000
_DAYS_DRAWN: Final = 8


class Sampled(NamedTuple):
    """A study that was drawn, and how many images were advertised for it. In memory only, and only for this run."""

    study: str
    images: int | None

    def __repr__(self) -> str:
        return "Sampled(***)"


@dataclass(frozen=True, slots=True)
class Room:
    """A DICOMweb root: `access` is `open`, `closed` or `absent`. `first`: the study that an open one answered with."""

    root: str
    access: str
    exchange: Exchange
    first: str = field(default="", repr=False)


def look(way: WebWay, root: str, nowhere: int) -> Room:
    """Knock at a root with the smallest of searches. `nowhere`: the status of a path that does not exist, since a door
    that asks for a login everywhere does not say what is behind it. Raises as `WebWay.ask`."""
    with way.ask(f"{root}/studies?limit=1", accept=JSON) as answer:
        access, first = "absent", ""
        if answer.status in (401, 403) and answer.status != nowhere:
            access = "closed"
        elif answer.status == 204:
            access = "open"
        elif answer.status == 200:
            access, first = _first_study(answer)
        return Room(root, access, answer.exchange(), first)


def _first_study(answer: Answer) -> tuple[str, str]:
    """Whether the body is an array of the JSON model, and whose study comes first: a page that is served for every path
    is none."""
    if answer.media_type not in ("application/dicom+json", "application/json"):
        return "absent", ""
    try:
        for element in elements(answer.read):
            return "open", study_of(element).study
    except FormatError:
        return "absent", ""
    return ("open" if answer.media_type == "application/dicom+json" else "absent"), ""


@dataclass(slots=True)
class _Page:
    """`outside`: answers whose date is not `within` what was asked for."""

    within: tuple[date, date] | None = None
    outside: int = 0
    status: int = 0
    answers: int = 0
    fresh: int = 0
    whole: bool = False
    warned: bool = False
    exchange: Exchange | None = None


@dataclass(slots=True)
class Listing:
    """`sample`: studies drawn at random from all that were listed, for the length of the probe. `days`: of some of
    them, by which they are asked for once more."""

    answers: int = 0
    capped: bool = False
    split: bool = False
    undated: bool = False
    malformed: int = 0
    exchange: Exchange | None = None
    sample: Reservoir[Sampled] = field(default_factory=lambda: Reservoir(SAMPLE), repr=False)
    days: list[date] = field(default_factory=list, repr=False)
    without_counts: list[str] = field(default_factory=list, repr=False)
    unknowns: list[str] = field(default_factory=list)


class StudyList:
    """Counts what a root lists into a census."""

    def __init__(self, way: WebWay, root: str, census: Census) -> None:
        self._way = way
        self._root = root
        self._census = census
        self._include = "&includefield=" + ",".join(f"{tag:08X}" for tag in INCLUDED)
        self.listing = Listing()

    def count(self) -> Listing:
        """All studies, page by page. What breaks off or stays capped is a lower bound."""
        listing = self.listing
        first = self._page(f"limit={_PAGE}&offset=0")
        if first.status == 400:  # more attributes than it knows
            self._include = ""
            first = self._page(f"limit={_PAGE}&offset=0")
        listing.exchange = first.exchange
        page, offset = first, first.answers
        for _ in range(_MOST_PAGES):
            if not page.whole:
                self._miss("the list of studies breaks off")
                break
            if not page.answers:
                self._look_again(first.answers)
                break
            if not page.fresh or page.answers > _PAGE:
                self._halve(first.answers)
                break
            page = self._page(f"limit={_PAGE}&offset={offset}")
            offset += page.answers
        else:
            self._miss("there are more pages than are read")
        listing.answers = max(first.answers, self._census.studies)
        if listing.malformed:
            self._miss(f"{listing.malformed} answers could not be read")
        if listing.capped and listing.undated:
            self._miss("answers are capped, and studies without a date cannot be asked for in parts")
        return listing

    def _miss(self, words: str) -> None:
        self._census.miss_studies()
        self.listing.unknowns.append(words)

    def _look_again(self, cap: int) -> None:
        """A server may end its list where it caps it: parts of it are asked for once more, and where they show studies
        that the list did not have, everything is asked for in parts."""
        looked = [page for part in self._parts() for page in self._all_within(part)]
        if any(page.fresh for page in looked):
            self._halve(cap)
        elif not all(page.whole and not page.outside for page in looked):
            self._miss("whether answers are capped could not be found out: queries by date are not answered as asked")

    def _parts(self) -> list[tuple[date, date]]:
        """Of a short list all of the calendar, in two parts with half of the studies each; of a long one a few days
        drawn at random, and what lies before and after all that are known."""
        known, oldest, newest = self.listing.days, self._census.oldest, self._census.newest
        if oldest is None or newest is None:
            return [(_FIRST_DAY, _LAST_DAY)]
        if len(known) <= _LOOK_TWICE:
            middle = sorted(known)[len(known) // 2]
            return [(_FIRST_DAY, middle - timedelta(days=1)), (middle, _LAST_DAY)]
        ends = [(_FIRST_DAY, oldest - timedelta(days=1)), (newest + timedelta(days=1), _LAST_DAY)]
        return [*ends, *((day, day) for day in SystemRandom().sample(known, _DAYS_DRAWN))]

    def _all_within(self, part: tuple[date, date]) -> Iterator[_Page]:
        """Page by page, until one shows that the list was not whole or that parts are no way to tell."""
        offset = 0
        for _ in range(_MOST_PAGES):
            page = self._page(f"{_between(*part)}&limit={_PAGE}&offset={offset}", part)
            yield page
            if not page.answers or not page.whole or page.fresh or page.outside:
                return
            offset += page.answers

    def _halve(self, cap: int) -> None:
        """`cap`: as many answers as one query brought at most."""
        parts, in_vain = [(_FIRST_DAY, datetime.now(UTC).date() + timedelta(days=1))], 0
        self.listing.split = True
        for _ in range(_MOST_PARTS):
            if not parts:
                return
            first, last = parts.pop()
            page = self._page(_between(first, last))
            if page.whole and page.answers < cap and not page.warned:
                in_vain = 0
                continue
            in_vain = 0 if page.fresh else in_vain + 1
            if in_vain <= _IN_VAIN and first < last and page.whole:
                middle = first + (last - first) // 2
                parts += [(first, middle), (middle + timedelta(days=1), last)]
                continue
            break
        self.listing.capped = True
        self._miss("answers are capped, and asking by date does not show all")

    def _page(self, query: str, within: tuple[date, date] | None = None) -> _Page:
        page = _Page(within)
        try:
            target = f"{self._root}/studies?{query}{self._include}"
            with self._way.ask(target, accept=JSON, longest=self._way.longest_list) as answer:
                page.status = answer.status
                page.exchange = answer.exchange()
                page.warned = "299" in answer.header("warning")
                page.whole = answer.status in (200, 204)
                if answer.status == 200:
                    self._read(answer, page)
        except (NotAvailable, FormatError):
            page.whole = False
        return page

    def _read(self, answer: Answer, page: _Page) -> None:
        listing = self.listing
        for element in elements(answer.read):
            page.answers += 1
            try:
                study = study_of(element)
            except DataSetError:
                listing.malformed += 1
                if listing.malformed > _MOST_MALFORMED:
                    raise
                continue
            day = parse_date(study.study_date)
            if page.within is not None and day is not None and not page.within[0] <= day <= page.within[1]:
                page.outside += 1
            if not is_ours(study.study) and self._census.add(study):
                page.fresh += 1
                listing.undated |= day is None
                if day is not None and len(listing.days) < _MOST_DAYS:
                    listing.days.append(day)
                listing.sample.offer(Sampled(study.study, study.images))
                if study.images is None and len(listing.without_counts) < MOST_BELOW:
                    listing.without_counts.append(study.study)


def _between(first: date, last: date) -> str:
    return f"StudyDate={first:%Y%m%d}-{last:%Y%m%d}"
