"""Errors as answers: what happened and what to do next, and of a defect nothing at all."""

from collections.abc import Mapping
from traceback import extract_tb

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadglass.archive.lockouts import LockedOut
from leadglass.errors import LeadglassError, NotAuthenticated
from leadglass.server.web.dicomweb.errors import RangeNotSatisfiable
from leadglass.server.web.pages import Pages

log = structlog.get_logger("web")
_TITLES = {
    401: "Sign in first",
    403: "This is not for you",
    404: "Not found",
    503: "Not available now",
}
_DEFECT = "Try again; if it fails again, tell your administrator when it did."
_WORDS = {
    404: ("There is nothing here.", "Check the address."),
    405: ("This cannot be done here.", "See the Allow header."),
}


class Problems:
    """Pure ASGI. What is raised before an answer began becomes one; after, the connection ends without its last bytes,
    which the client notices."""

    def __init__(self, app: ASGIApp, answers: "ProblemAnswers") -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - an error's text may hold data, and none of it leaves
            if not isinstance(error, LeadglassError):
                where = extract_tb(error.__traceback__)[-1]
                log.error(
                    "a request failed by a defect", kind=type(error).__name__, where=f"{where.name}:{where.lineno}"
                )
            elif error.http_status >= 500 or started:
                log.error("a request failed", kind=type(error).__name__, error=error.message)
            if not started:
                await self._answers.of(Request(scope), error)(scope, receive, send)


class ProblemAnswers:
    """JSON for programs, a page for people."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def of(self, request: Request, error: Exception) -> Response:
        if isinstance(error, LeadglassError):
            return self._answer(request, error.http_status, error.message, error.remedy, _headers_of(error))
        return self._answer(request, 500, "That failed.", _DEFECT, {})

    async def of_http_exception(self, request: Request, error: Exception) -> Response:
        """Starlette's own: no such route, or not this method."""
        assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
        message, remedy = _WORDS.get(error.status_code, (error.detail, ""))
        return self._answer(request, error.status_code, message, remedy, dict(error.headers or {}))

    def _answer(self, request: Request, status: int, message: str, remedy: str, headers: Mapping[str, str]) -> Response:
        if not wants_page(request):
            return JSONResponse({"error": message, "remedy": remedy}, status, headers)
        title = _TITLES.get(status, "That did not work")
        page = self._pages.page(request, "problem.html", status, title=title, message=message, remedy=remedy)
        page.headers.update(headers)
        return page


def wants_page(request: Request) -> bool:
    """Whether a person is looking: browsers ask for HTML by name when they go to a page."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/dicom-web")


def _headers_of(error: LeadglassError) -> dict[str, str]:
    """How to do better: a challenge with every 401 (RFC 9110 11.6.1), how much there is with every 416 (14.4), when to
    try again with every 429 (RFC 6585 4)."""
    if isinstance(error, RangeNotSatisfiable):
        return {"content-range": f"bytes */{error.length}"}
    if isinstance(error, LockedOut):
        return {"retry-after": str(error.seconds)}
    return {"www-authenticate": 'Bearer realm="leadglass"'} if isinstance(error, NotAuthenticated) else {}
