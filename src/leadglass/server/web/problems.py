"""Errors as answers: what happened and what to do next, and of a defect nothing at all."""

from html import escape

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from leadglass.errors import LeadglassError, NotAuthenticated

log = structlog.get_logger("web")
_WORDS = {
    404: ("There is nothing here.", "Check the address."),
    405: ("This cannot be done here.", "See the Allow header."),
}


class Problems:
    """Pure ASGI. What is raised before an answer began becomes one; after, the connection ends without its last bytes,
    which the client notices."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

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
                log.error("a request failed by a defect", kind=type(error).__name__)
            elif error.http_status >= 500 or started:
                log.error("a request failed", kind=type(error).__name__, error=error.message)
            if not started:
                await _answer(Request(scope), error)(scope, receive, send)


def _answer(request: Request, error: Exception) -> Response:
    if isinstance(error, LeadglassError):
        return problem(request, error.http_status, error.message, error.remedy, _challenge(error))
    return problem(request, 500, "That failed.", "Try again; if it fails again, tell your administrator when it did.")


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own: no such route, or not this method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these
    message, remedy = _WORDS.get(error.status_code, (error.detail, ""))
    return problem(request, error.status_code, message, remedy, dict(error.headers or {}))


def problem(
    request: Request, status: int, message: str, remedy: str, headers: dict[str, str] | None = None
) -> Response:
    """JSON for programs, a page for people."""
    if wants_page(request):
        shown = f"<h1>{escape(message)}</h1><p>{escape(remedy)}</p>"
        page = f'<!doctype html><html lang="en"><head><title>{status}</title></head><body>{shown}</body></html>'
        return HTMLResponse(page, status, headers)
    return JSONResponse({"error": message, "remedy": remedy}, status, headers)


def wants_page(request: Request) -> bool:
    """Whether a person is looking: browsers ask for HTML by name when they go to a page."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/dicom-web")


def _challenge(error: LeadglassError) -> dict[str, str]:
    """RFC 9110 11.6.1: every 401 says how to do better."""
    return {"www-authenticate": 'Bearer realm="leadglass"'} if isinstance(error, NotAuthenticated) else {}
