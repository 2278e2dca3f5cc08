"""A study to take away: a ZIP with a DICOMDIR, opened object by object while it goes out."""

from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from leadglass.archive.archive import Archive
from leadglass.archive.export import export_study
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.dicomweb.sending import Sending

#: Downloads under way at once that get on; others wait for their turn, piece by piece.
THREADS = 4


class Download:
    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._executor = ThreadPoolExecutor(THREADS, "download")

    def routes(self) -> list[BaseRoute]:
        return [Route("/studies/{study:uid}/download", self._send, methods=["GET"])]

    def _send(self, request: Request) -> ASGIApp:
        study = request.path_params["study"]
        export = export_study(self._archive, principal_of(request), study, peer_of(request))
        # Neither a patient's name nor the study's UID: downloads lie about, and their names are seen.
        headers = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="study.zip"'}
        return Sending(self._executor, export.chunks, headers, close=export.close)
