"""Whether the archive is well, for whatever watches it: one word, and nothing that a stranger could use."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive

PUBLIC = ("/healthz",)


def routes(archive: Archive) -> list[BaseRoute]:
    def healthz(_: Request) -> Response:
        """Reads from the index, so that an archive that cannot is not called well."""
        archive.index.last_event_time()
        return JSONResponse({"status": "ok"})

    return [Route("/healthz", healthz)]
