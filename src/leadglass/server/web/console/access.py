"""Who has looked at a study, for auditors, who see no images, and stewards."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import may
from leadglass.archive.disclosures import disclosures
from leadglass.errors import NotAuthorised, NotFound
from leadglass.model import Operation
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import form_of
from leadglass.server.web.console.waiting import waiting
from leadglass.server.web.pages import Pages


class AccessPage:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/access", self._ask, methods=["GET"]),
            Route("/access", self._find, methods=["POST"]),
        ]

    def _ask(self, request: Request) -> Response:
        return self._page(request, "")

    async def _find(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._page, request, form.get("study", ""))

    def _page(self, request: Request, study: str) -> Response:
        principal = principal_of(request)
        if not (may(principal, Operation.AUDIT) or may(principal, Operation.REVIEW)):
            raise NotAuthorised("Who has looked at a study is for auditors and stewards.")
        found, problem = None, ""
        if study:
            try:
                found = disclosures(self._archive, principal, study)
            except NotFound as error:
                problem = str(error)
        return self._pages.page(
            request,
            "access.html",
            404 if problem else 200,
            waiting=waiting(self._archive, principal),
            study=study,
            disclosures=found,
            moment=present.moment,
            problem=problem,
        )
