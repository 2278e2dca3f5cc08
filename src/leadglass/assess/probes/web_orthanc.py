"""Orthanc's own REST interface: who may use it may read, change and delete everything."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Final

from leadglass.assess.counting.census import Census, StudyAnswer
from leadglass.assess.counting.distinct import Distinct, Fingerprints
from leadglass.assess.observation import Exchange
from leadglass.assess.probes.dimse_write import is_ours
from leadglass.assess.probes.web_answer import study_from
from leadglass.assess.probes.web_client import WebWay
from leadglass.assess.probes.web_dicomweb import SAMPLE
from leadglass.assess.probes.web_images import Sample
from leadglass.assess.probes.web_json import decoded, elements
from leadglass.dicom import tags
from leadglass.dicom.uids import parse_uid
from leadglass.errors import DataSetError, FormatError, NotAvailable

_SMALL: Final = 65_536
_PAGE: Final = 500
_SERIES_PAGE: Final = 200
_MOST_PAGES: Final = 20_000
_SERIES_SHIFT: Final = 32
#: Images of one archive that are believed: 2⁴⁰ of them would fill exabytes.
_MOST_INSTANCES: Final = 1 << 40
_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
_VERSION: Final = re.compile(r"mainline|\d{1,2}(\.\d{1,2}){1,2}", re.ASCII)
#: What the interface calls the attributes, beside their keywords.
_TAGS: Final = {
    "StudyInstanceUID": tags.STUDY_INSTANCE_UID,
    "StudyDate": tags.STUDY_DATE,
    "AccessionNumber": tags.ACCESSION_NUMBER,
    "PatientID": tags.PATIENT_ID,
    "PatientName": tags.PATIENT_NAME,
    "PatientBirthDate": tags.PATIENT_BIRTH_DATE,
    "OtherPatientIDs": tags.OTHER_PATIENT_IDS,
    "IssuerOfPatientID": tags.ISSUER_OF_PATIENT_ID,
}


@dataclass(frozen=True, slots=True)
class System:
    """What GET /system tells. `access`: `open`, `closed` (it asks for a login) or `absent`. `dicom_port`: 0 if it
    does not say."""

    access: str
    product: str
    exchange: Exchange
    dicom_port: int = 0


def look(way: WebWay) -> System:
    """Whether this is Orthanc and whether it asks for a login. Raises as `WebWay.ask`."""
    with way.ask("/system", accept="application/json") as answer:
        if answer.status == 401 and "orthanc" in answer.header("www-authenticate").lower():
            return System("closed", "Orthanc", answer.exchange())
        if answer.status == 200:
            try:
                told = decoded(answer.body(_SMALL))
            except FormatError:
                told = None
            if isinstance(told, dict) and "DicomAet" in told and "DatabaseVersion" in told:
                product = f"Orthanc {_version(told.get('Version'))}".rstrip()
                return System("open", product, answer.exchange(), _bounded(told.get("DicomPort"), 0xFFFF))
        return System("absent", "", answer.exchange())


def _version(told: object) -> str:
    return told if isinstance(told, str) and _VERSION.fullmatch(told) else ""


class StudyList:
    """Counts what the REST interface lists: first all series, by study, then all studies with what was added up."""

    def __init__(self, way: WebWay, census: Census) -> None:
        self._way = way
        self._census = census
        self._fingerprints = Fingerprints()
        self._held = Distinct(with_values=True)
        self.answers = 0
        self.exchange: Exchange | None = None
        self.unknowns: list[str] = []

    def count(self) -> None:
        """What breaks off is a lower bound."""
        whole_series = self._walk("series", _SERIES_PAGE, self._on_series)
        if not whole_series or not self._held.exact:
            self._census.miss_images()
            self.unknowns.append("the list of series breaks off")
        if not self._walk("studies", _PAGE, self._on_study):
            self._census.miss_studies()
            self.unknowns.append("the list of studies breaks off")

    def _walk(self, level: str, page: int, on: Callable[[object], None]) -> bool:
        """Whether the list was read to its end."""
        since = 0
        for _ in range(_MOST_PAGES):
            count = 0
            try:
                target = f"/{level}?expand&since={since}&limit={page}"
                with self._way.ask(target, accept="application/json", longest=self._way.longest_list) as answer:
                    if level == "studies" and self.exchange is None:
                        self.exchange = answer.exchange()
                    if answer.status != 200:
                        return False
                    for element in elements(answer.read):
                        count += 1
                        on(element)
            except (NotAvailable, FormatError):
                return False
            if count != page:
                # More than asked for: `since` and `limit` are ignored, and everything came at once.
                return True
            since += count
        return False

    def _on_series(self, element: object) -> None:
        if not isinstance(element, dict):
            return
        study, instances = element.get("ParentStudy"), element.get("Instances")
        if isinstance(study, str) and isinstance(instances, list):
            fingerprint = self._fingerprints.of(study)
            more = 1 << _SERIES_SHIFT | len(instances)
            if not self._held.add(fingerprint, more):
                self._held.set_value(fingerprint, self._held.value(fingerprint) + more)

    def _on_study(self, element: object) -> None:
        if not isinstance(element, dict):
            return
        texts = dict(_texts(element.get("PatientMainDicomTags"))) | dict(_texts(element.get("MainDicomTags")))
        held = self._held.value(self._fingerprints.of(str(element.get("ID", ""))))
        if held:
            texts[tags.NUMBER_OF_STUDY_RELATED_SERIES] = str(held >> _SERIES_SHIFT)
            texts[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] = str(held & (1 << _SERIES_SHIFT) - 1)
        try:
            study: StudyAnswer = study_from(texts)
        except DataSetError:
            self._census.miss_studies()
            return
        self.answers += 1
        if not is_ours(study.study):
            self._census.add(study)


def _texts(named: object) -> Iterator[tuple[int, str]]:
    if isinstance(named, dict):
        for name, tag in _TAGS.items():
            value = named.get(name)
            if isinstance(value, str) and value:
                yield tag, value


def instances(way: WebWay) -> int:
    """How many images GET /statistics tells of, bounded; 0 if it does not."""
    try:
        with way.ask("/statistics", accept="application/json") as answer:
            told = decoded(answer.body(_SMALL)) if answer.status == 200 else None
    except (NotAvailable, FormatError):
        return 0
    return _bounded(told.get("CountInstances"), _MOST_INSTANCES) if isinstance(told, dict) else 0


def _bounded(number: object, most: int) -> int:
    """A number as a peer tells it: 0 where it is none, and no more than `most` where no archive holds so many."""
    return min(max(number, 0), most) if isinstance(number, int) else 0


def prove(way: WebWay, sample: Sample) -> None:
    """Ask for images at random places of the list, and hang up once their headers are there."""
    total = instances(way)
    random = SystemRandom()
    for place in sorted(random.sample(range(total), min(SAMPLE, total))):
        try:
            found = _instance_at(way, place)
            if found is None:
                continue
            sample.tried += 1
            identifier, instance = found
            with way.ask(f"/instances/{identifier}/file", shown="/instances/***/file") as answer:
                sample.exchanges.append(answer.exchange("closed after the headers"))
                if answer.status == 200 and answer.media_type == "application/dicom":
                    sample.proven.append(instance)
        except (NotAvailable, FormatError):
            continue


def _instance_at(way: WebWay, place: int) -> tuple[str, str] | None:
    """Orthanc's identifier and the SOP Instance UID of one image."""
    with way.ask(f"/instances?expand&since={place}&limit=1", accept="application/json") as answer:
        if answer.status != 200:
            return None
        for element in elements(answer.read):
            if isinstance(element, dict) and isinstance(named := element.get("MainDicomTags"), dict):
                identifier = str(element.get("ID", ""))
                if _IDENTIFIER.fullmatch(identifier):
                    return identifier, parse_uid(str(named.get("SOPInstanceUID", "")))
            return None
    return None
