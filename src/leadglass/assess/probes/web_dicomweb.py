"""DICOMweb as a stranger asks it (PS3.18): whether it answers, how much it lists, whether images begin to arrive.

A server may cap what it answers with and say so (8.3.4.4, a Warning of 299), or not say so, or ignore `offset`. When a
page brings nothing new, the calendar is halved until every part lies below the cap; what stays capped is a lower bound.
URLs that answers hold (BulkDataURI, RetrieveURL) are never followed: every path is made here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from leadglass.assess.counting.census import Census
from leadglass.assess.counting.reservoir import Reservoir
from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.dimse_write import is_ours
from leadglass.assess.probes.web_answer import INCLUDED, study_of, text_of
from leadglass.assess.probes.web_client import Answer, WebWay
from leadglass.assess.probes.web_json import elements
from leadglass.dicom import tags
from leadglass.dicom.uids import parse_uid
from leadglass.errors import DataSetError, FormatError, NotAvailable

SAMPLE: Final = 5
#: Studies without counts whose images are counted one by one.
MOST_BELOW: Final = 500
_JSON: Final = "application/dicom+json, application/json;q=0.9"
_IMAGE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PAGE: Final = 500
_MOST_PAGES: Final = 20_000
_MOST_PARTS: Final = 5_000
_IN_VAIN: Final = 24
_MOST_MALFORMED: Final = 1_000
_FIRST_DAY: Final = date(1900, 1, 1)
_IMAGE_TYPES: Final = ("application/dicom", "multipart/related")


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
    with way.ask(f"{root}/studies?limit=1", accept=_JSON) as answer:
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
    status: int = 0
    answers: int = 0
    fresh: int = 0
    whole: bool = False
    warned: bool = False
    exchange: Exchange | None = None


@dataclass(slots=True)
class Listing:
    """`sample`: Study Instance UIDs drawn at random from all that were listed, for the length of the probe."""

    answers: int = 0
    capped: bool = False
    split: bool = False
    undated: bool = False
    malformed: int = 0
    exchange: Exchange | None = None
    sample: Reservoir[str] = field(default_factory=lambda: Reservoir(SAMPLE), repr=False)
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

    def _halve(self, cap: int) -> None:
        """`cap`: as many answers as one query brought at most."""
        parts, in_vain = [(_FIRST_DAY, datetime.now(UTC).date() + timedelta(days=1))], 0
        self.listing.split = True
        for _ in range(_MOST_PARTS):
            if not parts:
                return
            first, last = parts.pop()
            page = self._page(f"StudyDate={first:%Y%m%d}-{last:%Y%m%d}")
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

    def _page(self, query: str) -> _Page:
        page = _Page()
        try:
            target = f"{self._root}/studies?{query}{self._include}"
            with self._way.ask(target, accept=_JSON, longest=self._way.longest_list) as answer:
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
            if not is_ours(study.study) and self._census.add(study):
                page.fresh += 1
                listing.undated |= not study.study_date
                listing.sample.offer(study.study)
                if study.images is None and len(listing.without_counts) < MOST_BELOW:
                    listing.without_counts.append(study.study)


def count_below(way: WebWay, root: str, census: Census, studies: Iterable[str]) -> None:
    """Series and images of studies whose answer did not say, one search each."""
    for study in studies:
        series: set[str] = set()
        images = 0
        try:
            with way.ask(
                f"{root}/studies/{study}/instances", shown=f"{root}/studies/***/instances", accept=_JSON
            ) as answer:
                if answer.status != 200:
                    census.miss_images()
                    return
                for element in elements(answer.read):
                    if isinstance(element, dict):
                        series.add(text_of(element, tags.SERIES_INSTANCE_UID))
                        images += 1
        except (NotAvailable, FormatError):
            census.miss_images()
            return
        census.count_more(study, len(series), images)


@dataclass(slots=True)
class Sample:
    """Images that were asked for. `proven`: SOP Instance UIDs of those that began to arrive; `known`: study, series and
    instance of one of them, for asking for it another way."""

    tried: int = 0
    proven: list[str] = field(default_factory=list, repr=False)
    known: tuple[str, str, str] | None = field(default=None, repr=False)
    exchanges: list[Exchange] = field(default_factory=list)

    def observation(self, interface: str, root: str) -> Observation:
        facts: dict[str, Fact] = {"interface": interface, "root": root, "tried": self.tried, "proven": len(self.proven)}
        return Observation(ObservationKind.WEB_RETRIEVE, facts, tuple(self.exchanges))


def prove(way: WebWay, root: str, studies: Iterable[str], sample: Sample) -> None:
    """Ask for one image of each study, and hang up once its headers are there."""
    for study in studies:
        try:
            found = _image_of(way, root, study)
            if found is None:
                continue
            sample.tried += 1
            series, instance = found
            target = f"{root}/studies/{study}/series/{series}/instances/{instance}"
            shown = f"{root}/studies/***/series/***/instances/***"
            with way.ask(target, shown=shown, accept=_IMAGE) as answer:
                sample.exchanges.append(answer.exchange("closed after the headers"))
                if answer.status == 200 and answer.media_type in _IMAGE_TYPES:
                    sample.proven.append(instance)
                    sample.known = (study, series, instance)
        except (NotAvailable, FormatError):
            continue


def _image_of(way: WebWay, root: str, study: str) -> tuple[str, str] | None:
    """Series and instance of one image of the study."""
    target = f"{root}/studies/{study}/instances?limit=1"
    with way.ask(target, shown=f"{root}/studies/***/instances?limit=1", accept=_JSON) as answer:
        if answer.status != 200:
            return None
        for element in elements(answer.read):
            if isinstance(element, dict):
                series = text_of(element, tags.SERIES_INSTANCE_UID)
                return parse_uid(series), parse_uid(text_of(element, tags.SOP_INSTANCE_UID))
    return None
