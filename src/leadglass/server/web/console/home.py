"""The start: where each role's work begins."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.server.web.authentication import principal_of
from leadglass.server.web.pages import navigation_of


def routes() -> list[BaseRoute]:
    return [Route("/", _start, methods=["GET"])]


def _start(request: Request) -> Response:
    return RedirectResponse(navigation_of(principal_of(request), "/")[0].href, 303)
