"""The list of studies: newest first, narrowed as one types."""

from dataclasses import dataclass
from datetime import date
from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.query import STUDY_ROOT, QueryRequest, query
from leadglass.dicom import tags
from leadglass.model import Attributes, Matching, Principal
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import form_of
from leadglass.server.web.console.search import MODALITIES, PERIODS, Search
from leadglass.server.web.console.waiting import waiting
from leadglass.server.web.pages import Pages

PAGE = 50


@dataclass(frozen=True, slots=True)
class StudyLine:
    """A study in words."""

    uid: str
    patient: str
    patient_id: str
    born: str
    sex: str
    age: str
    date: str
    time: str
    description: str
    accession: str
    referring: str
    modalities: tuple[str, ...]
    series: str
    images: str

    @classmethod
    def of(cls, answer: Attributes) -> "StudyLine":
        def text(tag: int) -> str:
            value = answer.get(tag, "")
            return value if isinstance(value, str) else ""

        born, on = present.plain_date(text(tags.PATIENT_BIRTH_DATE)), present.plain_date(text(tags.STUDY_DATE))
        return cls(
            uid=text(tags.STUDY_INSTANCE_UID),
            patient=present.person_name(text(tags.PATIENT_NAME)),
            patient_id=text(tags.PATIENT_ID),
            born=born,
            sex=present.sex(text(tags.PATIENT_SEX)),
            age=present.age(born, on),
            date=on,
            time=present.plain_time(text(tags.STUDY_TIME)),
            description=text(tags.STUDY_DESCRIPTION),
            accession=text(tags.ACCESSION_NUMBER),
            referring=present.person_name(text(tags.REFERRING_PHYSICIAN_NAME)),
            modalities=present.values(text(tags.MODALITIES_IN_STUDY)),
            series=text(tags.NUMBER_OF_STUDY_RELATED_SERIES),
            images=text(tags.NUMBER_OF_STUDY_RELATED_INSTANCES),
        )


class StudiesPage:
    """What is searched for travels in the body of a POST: an address would name patients in a browser's history."""

    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/studies", self._newest, methods=["GET"]),
            Route("/studies", self._search, methods=["POST"]),
        ]

    def _newest(self, request: Request) -> Response:
        return self._answer(request, Search())

    async def _search(self, request: Request) -> Response:
        search = Search.of(await form_of(request))
        return await run_in_threadpool(self._answer, request, search)

    def _answer(self, request: Request, search: Search) -> Response:
        principal = principal_of(request)
        wanted = search.page * PAGE + 1
        lines = self._found(principal, search, wanted, peer_of(request))
        # htmx asks for what changes, a browser without it for the page.
        changes = request.headers.get("hx-request")
        return self._pages.page(
            request,
            "studies-found.html" if changes else "studies.html",
            waiting=None if changes else waiting(self._archive, principal),
            search=search,
            answered=request.method == "POST",
            periods=PERIODS,
            modalities=MODALITIES,
            lines=_by_date(lines[wanted - PAGE - 1 : wanted - 1]),
            first=wanted - PAGE,
            more=len(lines) == wanted,
        )

    def _found(self, principal: Principal, search: Search, limit: int, peer: str) -> list[StudyLine]:
        found: dict[str, StudyLine] = {}
        for identifier in search.identifiers(date.today()):
            request = QueryRequest(STUDY_ROOT, identifier, Matching(fuzzy_names=True), peer)
            answers = query(self._archive, principal, request)
            found |= {line.uid: line for line in map(StudyLine.of, islice(answers, limit))}
        lines = list(found.values())
        return (_by_date(lines) if search.narrowed else lines)[:limit]


def _by_date(lines: list[StudyLine]) -> list[StudyLine]:
    """The newest first. Of all studies those of a page are the last that came in, whatever their dates."""
    return sorted(lines, key=lambda line: (line.date, line.time), reverse=True)
