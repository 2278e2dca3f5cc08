"""One archive's numbers as answers come in, in memory that does not grow with them.

A service has a census of its own; a host absorbs those of its services and a run those of its hosts, so that a study
that is seen through two doors, or at two addresses, counts once.
"""

from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from leadglass.assess.counting.distinct import Distinct, Fingerprints
from leadglass.assess.counting.identifiers import Tier, find_ssns
from leadglass.assess.observation import Bound, Count, Counters

# A study's entry: images in 32 bits, series in 24, and whether its images are retrievable by negotiation.
_IMAGES: Final = 0xFFFFFFFF
_SERIES_SHIFT: Final = 32
_SERIES: Final = 0xFFFFFF
_RETRIEVABLE: Final = 1 << 63
#: What lies outside is a mistake or a trick.
_YEARS: Final = range(1900, 2101)


class StudyAnswer(NamedTuple):
    """What a query told of one study. Lives for one call, is never kept and never shown.

    `images`, `series`: None where the answer did not say. `texts`: where Social Security numbers may stand.
    `identifiers`: keywords of the direct identifiers that were not empty. A named tuple since a million are made for a
    large archive, at a third of a dataclass's cost.
    """

    study: str
    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    study_date: str = ""
    series: int | None = None
    images: int | None = None
    texts: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "StudyAnswer(***)"


class Census:
    """`retrievable`: whether negotiation lets a stranger retrieve the images that are counted here."""

    def __init__(self, fingerprints: Fingerprints, *, retrievable: bool = False) -> None:
        self._fingerprints = fingerprints
        self._flag = _RETRIEVABLE if retrievable else 0
        self._studies = Distinct(with_values=True)
        self._patients = Distinct()
        self._ssns = {tier: Distinct() for tier in Tier}
        self._proven = Distinct()
        self._series = 0
        self._images = 0
        self._indicated = 0
        self._more_studies = False
        self._more_images = False
        self._without_images = 0
        self._images_doubted = self._doubted = False
        self._identifiers: set[str] = set()
        self.oldest: date | None = None
        self.newest: date | None = None

    @property
    def studies(self) -> int:
        return len(self._studies)

    @property
    def identifiers(self) -> tuple[str, ...]:
        return tuple(sorted(self._identifiers))

    def knows(self, study: str) -> bool:
        """Whether the study was counted here; False once the numbers are an estimate."""
        return self._fingerprints.of(study) in self._studies

    def add(self, answer: StudyAnswer) -> bool:
        """Whether the study is new."""
        of = self._fingerprints.of
        study, patient_id, issuer, birth_date, study_date, series, images, texts, identifiers = answer
        series, advertised = min(series or 0, _SERIES), min(images or 0, _IMAGES)
        if not self._studies.add(of(study), advertised | series << _SERIES_SHIFT | self._flag):
            return False
        self._series += series
        self._images += advertised
        if self._flag:
            self._indicated += advertised
        if images is None:
            self._without_images += 1
        if patient_id or birth_date:
            self._patients.add(of(patient_id, issuer, birth_date))
        for tier, digits in find_ssns(texts):
            self._ssns[tier].add(of(digits))
        self._identifiers.update(identifiers)
        self._see_date(study_date)
        return True

    def prove(self, sop_instance: str) -> None:
        """An image of this UID began to arrive."""
        self._proven.add(self._fingerprints.of(sop_instance))

    def miss_studies(self) -> None:
        """There are, or may be, studies that no query showed: every number here is a lower bound."""
        self._more_studies = True

    def miss_images(self) -> None:
        """Of some studies it is not known how many series and images they have."""
        self._more_images = True

    def doubt_images(self) -> None:
        """Where it was looked, there were not as many images as advertised: nobody knows how many there are."""
        self._images_doubted = True

    def doubt(self) -> None:
        """Whoever answered may have made it all up."""
        self._doubted = True

    def count_more(self, study: str, series: int, images: int) -> None:
        """What queries below the study level told of a study that was added without these numbers."""
        fingerprint = self._fingerprints.of(study)
        if fingerprint in self._studies:
            old = self._studies.value(fingerprint)
            self._replace(
                fingerprint, old, _merged(old, _bounded(series, _SERIES) << _SERIES_SHIFT | _bounded(images, _IMAGES))
            )
            self._without_images -= 1

    def absorb(self, other: "Census") -> None:
        """Both as one. `other` must not be used afterwards: its tables may become these."""
        self._absorb_studies(other)
        self._patients = _union(self._patients, other._patients)
        self._proven = _union(self._proven, other._proven)
        for tier in Tier:
            self._ssns[tier] = _union(self._ssns[tier], other._ssns[tier])
        self._more_studies |= other._more_studies
        self._more_images |= other._more_images
        self._without_images += other._without_images
        self._images_doubted |= other._images_doubted
        self._doubted |= other._doubted
        self._identifiers |= other._identifiers
        self.oldest = min((each for each in (self.oldest, other.oldest) if each), default=None)
        self.newest = max((each for each in (self.newest, other.newest) if each), default=None)

    def _absorb_studies(self, other: "Census") -> None:
        if not len(self._studies) or not (self._studies.exact and other._studies.exact):
            # Nothing to compare with, or nothing left to compare: entries of an estimate are gone.
            self._studies = _union(self._studies, other._studies)
            self._series += other._series
            self._images += other._images
            self._indicated += other._indicated
            return
        for fingerprint, entry in other._studies.entries():
            old = self._studies.value(fingerprint)
            if self._studies.add(fingerprint, entry):
                self._count(entry)
            else:
                self._replace(fingerprint, old, _merged(old, entry))

    def counters(self) -> Counters:
        missing = Bound.LOWER if self._more_studies else Bound.EXACT
        images = Bound.LOWER if self._more_images or self._without_images else missing
        if self._doubted:
            missing = Bound.ESTIMATE
        if self._doubted or self._images_doubted or not self._studies.exact:
            images = Bound.ESTIMATE
        return Counters(
            studies=_count(self._studies, missing),
            patients=_count(self._patients, missing),
            series=Count(self._series, images),
            images_advertised=Count(self._images, images),
            images_indicated=Count(self._indicated, images),
            images_proven=_count(self._proven, Bound.EXACT),
            ssns_formatted=_count(self._ssns[Tier.FORMATTED], missing),
            ssns_bare=_count(self._ssns[Tier.BARE], missing),
        )

    def _count(self, entry: int, sign: int = 1) -> None:
        images = entry & _IMAGES
        self._images += sign * images
        self._series += sign * (entry >> _SERIES_SHIFT & _SERIES)
        if entry & _RETRIEVABLE:
            self._indicated += sign * images

    def _replace(self, fingerprint: int, old: int, new: int) -> None:
        self._count(old, -1)
        self._studies.set_value(fingerprint, new)
        self._count(new)

    def _see_date(self, text: str) -> None:
        day = parse_date(text)
        if day is not None:
            if self.oldest is None or day < self.oldest:
                self.oldest = day
            if self.newest is None or day > self.newest:
                self.newest = day


@lru_cache(maxsize=1 << 14)  # forty years of days, asked for again with every study
def parse_date(text: str) -> date | None:
    """A DA value (PS3.5 6.2), also as ACR-NEMA wrote it; None if it is no day from 1900 to 2100."""
    digits = text.replace(".", "")
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    try:
        day = date.fromisoformat(digits)
    except ValueError:
        return None
    return day if day.year in _YEARS else None


@lru_cache(maxsize=1 << 12)
def parse_number(text: str) -> int | None:
    """An IS value that counts something; None if it is none or negative."""
    stripped = text.strip()
    if not stripped.isascii() or not stripped.isdigit() or len(stripped) > 12:
        return None
    return int(stripped)


def _bounded(number: int | None, most: int) -> int:
    return min(max(number or 0, 0), most)


def _merged(first: int, second: int) -> int:
    """Of two entries for one study the larger numbers, and retrievable if either is."""
    images = max(first & _IMAGES, second & _IMAGES)
    series = max(first >> _SERIES_SHIFT & _SERIES, second >> _SERIES_SHIFT & _SERIES)
    return images | series << _SERIES_SHIFT | (first | second) & _RETRIEVABLE


def _union(first: Distinct, second: Distinct) -> Distinct:
    """The larger table takes in the smaller one."""
    if first.exact and len(first) < len(second):
        first, second = second, first
    first.absorb(second)
    return first


def _count(distinct: Distinct, bound: Bound) -> Count:
    return Count(len(distinct), bound if distinct.exact else Bound.ESTIMATE)
