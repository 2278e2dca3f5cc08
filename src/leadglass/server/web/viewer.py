"""OHIF under `/viewer/`: what the build made (hatch_build.py), gzipped as it lies, for those who may see images."""

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.authorise import authorise
from leadglass.errors import NotAvailable, NotFound
from leadglass.model import Operation
from leadglass.server.web.assets import BUNDLED, MEDIA_TYPES
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.headers import CONTENT_SECURITY_POLICY
from leadglass.server.web.pages import Pages

#: OHIF names files after their content, except these style sheets and pictures.
_NAMED_BY_HASH = re.compile(r"(?:.+\.)?[0-9a-f]{16}\.\w+")
_FOR_GOOD = "private, max-age=31536000, immutable"
_ASK_AGAIN = "private, no-cache"

#: A worker's policy is that of its own script's response. The codecs' bindings make functions from text, and these
#: workers alone may.
CODEC_WORKER_POLICY = CONTENT_SECURITY_POLICY.replace("'wasm-unsafe-eval'", "'wasm-unsafe-eval' 'unsafe-eval'")

REMEDY = (
    "Run `make viewer` with network, or with LEADGLASS_NPM_TARBALLS naming a folder with the npm packages, and start "
    "`leadglass serve` again. DICOMweb, DICOM and this console work without it."
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the build made: `files` maps each name to its digest, and nothing else is served."""

    folder: Path
    version: str
    script: str
    style: str
    codec_worker: str
    files: dict[str, str]

    @classmethod
    def load(cls, folder: Path = BUNDLED / "viewer") -> "Bundle | None":
        """None where the build had no network."""
        manifest = folder / "manifest.json"
        return cls(folder, **json.loads(manifest.read_bytes())) if manifest.is_file() else None


class Viewer:
    def __init__(self, bundle: Bundle | None, pages: Pages) -> None:
        self._bundle = bundle
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [Route("/viewer", self._page), Route("/viewer/{path:path}", self._serve)]

    def _serve(self, request: Request) -> Response:
        name = request.path_params["path"]
        # OHIF's own routes, `/viewer/viewer?StudyInstanceUIDs=…`, are all the one page; they have no dot.
        return self._file(request, name) if "." in name else self._page(request)

    def _page(self, request: Request) -> Response:
        bundle = self._for_viewers(request)
        return self._pages.page(request, "viewer.html", script=bundle.script, style=bundle.style)

    def _file(self, request: Request, name: str) -> Response:
        bundle = self._for_viewers(request)
        digest = bundle.files.get(name)
        if digest is None:
            raise NotFound("The viewer has no such file.")
        headers = {
            "Cache-Control": _FOR_GOOD if _NAMED_BY_HASH.fullmatch(name) else _ASK_AGAIN,
            "Content-Security-Policy": CODEC_WORKER_POLICY if name == bundle.codec_worker else CONTENT_SECURITY_POLICY,
            "ETag": f'"{digest}"',
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        path, media_type = bundle.folder / name, MEDIA_TYPES[Path(name).suffix]
        if "gzip" in request.headers.get("accept-encoding", ""):
            return FileResponse(path, headers={**headers, "Content-Encoding": "gzip"}, media_type=media_type)
        return Response(gzip.decompress(path.read_bytes()), headers=headers, media_type=media_type)

    def _for_viewers(self, request: Request) -> Bundle:
        """Administrators and auditors see no images, so no viewer. Raises NotAuthorised, NotAvailable."""
        authorise(principal_of(request), Operation.RETRIEVE)
        if self._bundle is None:
            raise NotAvailable("The viewer was not built: the installation had no network.", REMEDY)
        return self._bundle
