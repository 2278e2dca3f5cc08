"""Uploading: the page only. Its script sends files to the archive's own STOW-RS (PS3.18 10.5)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.authorise import authorise
from leadglass.model import Operation
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.pages import Pages


class UploadPage:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [Route("/upload", self._show, methods=["GET"])]

    def _show(self, request: Request) -> Response:
        authorise(principal_of(request), Operation.STORE)
        return self._pages.page(request, "upload.html")
