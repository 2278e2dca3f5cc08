"""One study: what it holds, where it opens, whom it is shared with, and who has looked at it."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import may
from leadglass.archive.disclosures import Disclosure, disclosures
from leadglass.archive.query import STUDY_ROOT, QueryRequest, query
from leadglass.archive.sharing import MAX_DAYS, revoke_share, share, shares
from leadglass.dicom import tags
from leadglass.errors import NotFound, ProofTooOld, UsageError
from leadglass.model import Attributes, Level, Operation, Principal
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.console.proving import prove_again, typed_before
from leadglass.server.web.console.search import ANSWERED
from leadglass.server.web.console.studies import StudyLine
from leadglass.server.web.pages import Pages

_SERIES: Attributes = {
    tags.QUERY_RETRIEVE_LEVEL: Level.SERIES.value,
    tags.SERIES_INSTANCE_UID: "",
    tags.SERIES_NUMBER: "",
    tags.MODALITY: "",
    tags.SERIES_DESCRIPTION: "",
    tags.BODY_PART_EXAMINED: "",
    tags.NUMBER_OF_SERIES_RELATED_INSTANCES: "",
}
#: Series shown; what a study has beyond is in the viewer.
_MOST_SERIES = 200
#: Modalities whose objects have no picture to make small.
_WITHOUT_PICTURE = frozenset({"SR", "DOC", "PR", "KO", "REG", "RTSTRUCT", "RTPLAN", "RTRECORD", "ECG", "HD", "FID"})
_USUAL_DAYS = 14


@dataclass(frozen=True, slots=True)
class SeriesLine:
    uid: str
    number: str
    modality: str
    description: str
    body_part: str
    images: str

    @classmethod
    def of(cls, answer: Attributes) -> "SeriesLine":
        def text(tag: int) -> str:
            return str(answer.get(tag) or "")

        return cls(
            uid=text(tags.SERIES_INSTANCE_UID),
            number=text(tags.SERIES_NUMBER),
            modality=text(tags.MODALITY),
            description=text(tags.SERIES_DESCRIPTION),
            body_part=text(tags.BODY_PART_EXAMINED).capitalize(),
            images=text(tags.NUMBER_OF_SERIES_RELATED_INSTANCES),
        )

    @property
    def has_picture(self) -> bool:
        return self.modality not in _WITHOUT_PICTURE


class StudyPage:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/studies/{study:uid}", self._show, methods=["GET"]),
            Route("/studies/{study:uid}/shares", self._share, methods=["POST"]),
            Route("/studies/{study:uid}/shares/{share:number}/end", self._end_share, methods=["POST"]),
        ]

    def _show(self, request: Request) -> Response:
        return self._page(request)

    async def _share(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._shared, request, form)

    def _shared(self, request: Request, form: Form) -> Response:
        principal, study = principal_of(request), request.path_params["study"]
        try:
            share(self._archive, principal, study, form.get("user", ""), _end_of(form.get("until", "")))
        except ProofTooOld:
            return prove_again(f"/studies/{study}", form)
        except (NotFound, UsageError) as error:
            return self._page(request, problem=str(error), asked=form, status=error.http_status)
        return _back_to(study)

    def _end_share(self, request: Request) -> Response:
        study = request.path_params["study"]
        revoke_share(self._archive, principal_of(request), study, request.path_params["share"])
        return _back_to(study)

    def _page(self, request: Request, problem: str = "", asked: Form | None = None, status: int = 200) -> Response:
        principal, uid = principal_of(request), request.path_params["study"]
        found = self._ask(principal, {**ANSWERED, tags.STUDY_INSTANCE_UID: uid}, request, 1)
        if not found:
            raise NotFound("There is no such study, or it is not for you.", "Search for it in the list of studies.")
        series = self._ask(principal, {**_SERIES, tags.STUDY_INSTANCE_UID: uid}, request, _MOST_SERIES)
        today = datetime.now(UTC).date()
        return self._pages.page(
            request,
            "study.html",
            status,
            study=StudyLine.of(found[0]),
            series=sorted(map(SeriesLine.of, series), key=_by_number),
            shares=shares(self._archive, principal, uid),
            may_share=may(principal, Operation.SHARE),
            disclosures=self._disclosures(principal, uid),
            moment=present.moment,
            day=present.day,
            problem=problem,
            asked=asked or typed_before(request, {"until": (today + timedelta(days=_USUAL_DAYS)).isoformat()}),
            first_day=today,
            last_day=today + timedelta(days=MAX_DAYS - 1),
        )

    def _ask(self, principal: Principal, identifier: Attributes, request: Request, limit: int) -> list[Attributes]:
        asked = QueryRequest(STUDY_ROOT, identifier, peer=peer_of(request))
        return list(islice(query(self._archive, principal, asked), limit))

    def _disclosures(self, principal: Principal, uid: str) -> tuple[Disclosure, ...] | None:
        """None for those whom it is not for."""
        return disclosures(self._archive, principal, uid) if may(principal, Operation.REVIEW) else None


def _by_number(line: SeriesLine) -> tuple[int, str]:
    return (int(line.number), line.uid) if line.number.lstrip("-").isdigit() else (1 << 40, line.uid)


def _end_of(text: str) -> int:
    """The last moment of a day, µs since 1970 UTC. Raises UsageError."""
    try:
        until = date.fromisoformat(text)
    except ValueError:
        raise UsageError("Until when?", "Give the last day, for example 2030-01-31.") from None
    return int(datetime(until.year, until.month, until.day, 23, 59, 59, tzinfo=UTC).timestamp()) * 1_000_000


def _back_to(study: str) -> Response:
    return RedirectResponse(f"/studies/{study}", 303)
