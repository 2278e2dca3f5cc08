"""Two versions of one SOP Instance beside each other, for the steward who decides which of them is shown.

Which elements differ is told to whoever reviews. What stands in them and how the pixels look is for those who may see
images, and it is an access to the study like any other: on record before the first byte leaves. Pixels are decoded in
the sandbox, and frames are in memory only.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING

from leadglass.archive.access import Access
from leadglass.archive.authorise import authorise, may
from leadglass.archive.decoding import AS_IT_IS, Decoding
from leadglass.archive.frames import Frames, InstanceFrames
from leadglass.archive.retrieve import Retrieval
from leadglass.archive.review import located, review_event, review_scope
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.charset import parse_charsets
from leadglass.dicom.dictionary import keyword_of
from leadglass.dicom.differences import Content, Difference, Path, contents, differences
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, DecodingFailed, NotAvailable, NotFound
from leadglass.index.rows import InstanceRow, InstanceState
from leadglass.model import Operation, Principal
from leadglass.pixels.difference import Box

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: Elements of one data set that are compared one by one, and differences that are listed.
MOST_ELEMENTS = 20_000
MOST_LISTED = 300
#: Frames whose stored bytes are compared, and of those that differ how many are decoded.
MOST_FRAMES = 64
MOST_DECODED = 8


class Side(StrEnum):
    """`KEPT` is what the site is or was shown, `ARRIVED` what the review is about."""

    KEPT = "kept"
    ARRIVED = "arrived"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class Value:
    """`length` in bytes, of a sequence in items, None where it has none; `text` is empty where it is not shown."""

    vr: str
    length: int | None
    text: str


@dataclass(frozen=True, slots=True)
class ElementDifference:
    """`path` as (0040,0275)[1](0040,0007); None for a version that has nothing there."""

    path: str
    keyword: str
    kept: Value | None
    arrived: Value | None


@dataclass(frozen=True, slots=True)
class FrameDifference:
    """`pixels` that differ `of` all; `largest` difference of two samples, in stored values."""

    number: int
    pixels: int
    of: int
    box: Box | None
    largest: float


@dataclass(frozen=True, slots=True)
class PixelsCompared:
    """`frames` of which `compared`, beginning with the first, were looked at; `differing` in order."""

    frames: tuple[int, int]
    compared: int
    differing: tuple[FrameDifference, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Problems: why there is nothing of elements or of pixels."""

    elements: tuple[ElementDifference, ...] = ()
    elements_problem: str = ""
    pixels: PixelsCompared | None = None
    pixels_problem: str = ""


class Comparison:
    """What one review is about, for as long as `comparing` lasts."""

    def __init__(self, archive: "Archive", retrieval: Retrieval, shows_images: bool) -> None:
        self._archive = archive
        self._retrieval = retrieval
        self._frames = Frames(archive)
        self.kept, self.arrived = retrieval.instances
        self.shows_images = shows_images

    def found(self, decoding: Decoding) -> Found:
        """All that can be compared. Raises VerificationFailed."""
        elements: tuple[ElementDifference, ...] = ()
        pixels: PixelsCompared | None = None
        elements_problem = pixels_problem = ""
        try:
            elements = self.elements()
        except DataSetError as error:
            elements_problem = error.message
        try:
            pixels = self.pixels(decoding)
        except (NotFound, DecodingFailed, NotAvailable) as error:
            pixels_problem = error.message
        return Found(elements, elements_problem, pixels, pixels_problem)

    def elements(self) -> tuple[ElementDifference, ...]:
        """Those that differ, at most MOST_LISTED. Raises DataSetError beyond MOST_ELEMENTS, VerificationFailed."""
        one, other = self._contents(self.kept), self._contents(self.arrived)
        listed = tuple(islice(differences(one, other), MOST_LISTED))
        kept, arrived = self._values(self.kept, one), self._values(self.arrived, other)
        if self.shows_images:
            for instance in (self.kept, self.arrived):
                self._retrieval.count_described(instance, sum(map(_short, listed)))
        return tuple(
            ElementDifference(
                _written(each.path), keyword_of(each.path[-1]), kept.of(each, each.first), arrived.of(each, each.second)
            )
            for each in listed
        )

    def pixels(self, decoding: Decoding) -> PixelsCompared:
        """Raises NotFound for objects without frames, DecodingFailed, NotAvailable, VerificationFailed."""
        kept, arrived = self._frames_of(self.kept), self._frames_of(self.arrived)
        geometry = kept.stored.geometry
        counts = geometry.frames, arrived.stored.geometry.frames
        compared = 0
        differing: list[FrameDifference] = []
        for number in range(1, min(*counts, MOST_FRAMES) + 1):
            if len(differing) == MOST_DECODED:
                break
            compared = number
            if _digest(kept, number) == _digest(arrived, number):
                continue
            found = decoding.compared(kept, arrived, number)
            if found.pixels:
                of = geometry.rows * geometry.columns
                differing.append(FrameDifference(number, found.pixels, of, found.box, found.largest))
        return PixelsCompared(counts, compared, tuple(differing))

    def picture(self, decoding: Decoding, side: Side, number: int) -> bytes:
        """A frame as PNG, or where the two differ; counted as disclosed. Raises as `pixels`, and NotAuthorised."""
        kept, arrived = self._frames_of(self.kept), self._frames_of(self.arrived)
        if side is not Side.DIFFERENCE:
            return decoding.rendered(kept if side is Side.KEPT else arrived, number, AS_IT_IS)
        for each in (kept, arrived):
            each.require(number)
        picture = decoding.compared(kept, arrived, number).picture
        for each in (kept, arrived):
            self._retrieval.count_part(each.instance, len(picture))
        return picture

    def _frames_of(self, instance: InstanceRow) -> InstanceFrames:
        return self._frames.of(self._retrieval, instance)

    def _contents(self, instance: InstanceRow) -> Mapping[Path, Content]:
        limits = replace(self._archive.limits, elements=MOST_ELEMENTS)
        with self._retrieval.watched(instance):
            return contents(self._archive.open(instance).chunks(), TRANSFER_SYNTAXES[instance.transfer_syntax], limits)

    def _values(self, instance: InstanceRow, found: Mapping[Path, Content]) -> "_Values":
        charset = found.get((tags.SPECIFIC_CHARACTER_SET,))
        element = charset.element if charset is not None else None
        terms = element.value.decode("ascii", "replace") if element is not None else ""
        little_endian = TRANSFER_SYNTAXES[instance.transfer_syntax].little_endian
        return _Values(little_endian, parse_charsets(terms), self.shows_images)


@dataclass(frozen=True, slots=True)
class _Values:
    """How the values of one version become text, if they may be seen."""

    little_endian: bool
    charsets: tuple[str, ...]
    shown: bool

    def of(self, difference: Difference, content: Content | None) -> Value | None:
        if content is None:
            return None
        element = content.element
        if not self.shown or element is None:
            return Value(content.vr, content.length, "")
        tag = difference.path[-1]
        text = decode_elements({tag: element}, self.little_endian, self.charsets).get(tag, "")
        return Value(content.vr, content.length, text)


@contextmanager
def comparing(archive: "Archive", principal: Principal, review_id: int, peer: str = "") -> Iterator[Comparison]:
    """The versions of a review beside each other; that somebody compares them is durable when this returns. Raises
    NotAuthorised, NotFound, also when nothing else is known under the SOP Instance UID."""
    found, arrived = located(archive, principal, review_id)
    kept = _counterpart(archive, principal, arrived)
    event = review_event(principal, "review-compared", found)
    archive.committer.run(lambda writing: writing.record(event, arrived.study_id))
    rows = (kept, arrived)
    accesses = {row.study_id: Access.of(principal, row.study_id, row.study_uid, peer) for row in rows}
    retrieval = Retrieval(archive, rows, accesses)
    if not may(principal, Operation.RETRIEVE):
        yield Comparison(archive, retrieval, shows_images=False)
        return
    archive.ledger.begin(accesses.values())
    with retrieval:
        yield Comparison(archive, retrieval, shows_images=True)


def compared_picture(
    archive: "Archive", principal: Principal, decoding: Decoding, review_id: int, side: Side, number: int, peer: str
) -> bytes:
    """One picture of a comparison. Raises NotAuthorised for those who see no images, and as `Comparison.picture`."""
    authorise(principal, Operation.RETRIEVE)
    with comparing(archive, principal, review_id, peer) as comparison:
        return comparison.picture(decoding, side, number)


def _counterpart(archive: "Archive", principal: Principal, arrived: InstanceRow) -> InstanceRow:
    """The version that is shown under the same UID, else the last one that was. Raises NotFound."""
    sites = review_scope(principal).sites
    states = (InstanceState.VISIBLE, InstanceState.SUPERSEDED)
    rows = (
        row
        for row in archive.index.versions(arrived.uid)
        if row.id != arrived.id and row.state in states and (sites is None or row.site in sites)
    )
    kept = min(rows, key=lambda row: (row.site != arrived.site, row.state, -row.id), default=None)
    if kept is None:
        raise NotFound("Nothing else was shown under its SOP Instance UID: there is nothing to compare it with.")
    return kept


def _digest(frames: InstanceFrames, number: int) -> bytes:
    running = hashlib.sha256()
    for chunk in frames.read(number):
        running.update(chunk)
    return running.digest()


def _short(difference: Difference) -> int:
    """Bytes of values that are shown."""
    both = (difference.first, difference.second)
    return sum(len(each.element.value) for each in both if each is not None and each.element is not None)


def _written(path: Path) -> str:
    return "".join(f"[{part}]" if at % 2 else f"({part >> 16:04X},{part & 0xFFFF:04X})" for at, part in enumerate(path))
