"""Below the studies that a DICOMweb root lists: how many images they hold, and whether some can be had (PS3.18)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from leadglass.assess.counting.census import Census
from leadglass.assess.observation import Exchange, Fact, Observation, ObservationKind
from leadglass.assess.probes.web_answer import text_of
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_dicomweb import JSON, Sampled
from leadglass.assess.probes.web_json import elements
from leadglass.dicom import tags
from leadglass.dicom.uids import parse_uid
from leadglass.errors import FormatError, NotAvailable

_IMAGE: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_IMAGE_TYPES: Final = ("application/dicom", "multipart/related")
#: Images of one study that are counted one by one.
_MOST_IMAGES: Final = 20_000
_LONGEST_UID: Final = 64


def count_below(way: WebWay, root: str, census: Census, studies: Iterable[str]) -> None:
    """Series and images of studies whose answer did not say, one search each."""
    for study in studies:
        held = _held(way, root, study)
        if held is None or not held.whole:
            census.miss_images()
        if held is None:
            return
        census.count_more(study, held.series, held.images)


def is_caught(way: WebWay, root: str, drawn: Iterable[Sampled]) -> bool:
    """Whether a study that was drawn holds another number of images than was advertised."""
    for sampled in drawn:
        held = _held(way, root, sampled.study) if sampled.images is not None else None
        if held is not None and held.whole and held.images != sampled.images:
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Held:
    """What a study was found to hold; `whole`: and no more."""

    series: int
    images: int
    whole: bool


def _held(way: WebWay, root: str, study: str) -> _Held | None:
    """None where it is not told. A server may cap what it answers: what follows the last image is asked for too."""
    try:
        told = _images_of(way, root, study, "", _MOST_IMAGES)
        images = {image for _, image in told}
        following = _images_of(way, root, study, f"?offset={len(told)}&limit=1", 1)
    except (NotAvailable, FormatError):
        return None
    whole = len(told) < _MOST_IMAGES and not following
    return _Held(len({series for series, _ in told}), len(images), whole)


def _images_of(way: WebWay, root: str, study: str, query: str, most: int) -> list[tuple[str, str]]:
    """Series and SOP Instance UID of at most so many images that are told of. NotAvailable unless it answers."""
    target, shown = f"{root}/studies/{study}/instances{query}", f"{root}/studies/***/instances{query}"
    found: list[tuple[str, str]] = []
    with way.ask(target, shown=shown, accept=JSON) as answer:
        if answer.status not in (200, 204):
            raise NotAvailable("The peer does not answer below the studies.")
        for element in elements(answer.read) if answer.status == 200 else ():
            if isinstance(element, dict):
                uids = (
                    text_of(element, tag)[:_LONGEST_UID] for tag in (tags.SERIES_INSTANCE_UID, tags.SOP_INSTANCE_UID)
                )
                found.append((next(uids), next(uids)))
            if len(found) == most:
                break
    return found


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
    for series, instance in _images_of(way, root, study, "?limit=1", 1):
        return parse_uid(series), parse_uid(instance)
    return None
