"""The console's static files, held in memory: style sheet, scripts, logo, and what the build brings (htmx, the font).

They hold nothing that needs protection, and the sign-in page needs them: `/static/` is open.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.errors import NotFound

ROOM = Path(__file__).parent
#: Third-party files that the build fetches: the viewer, htmx, the font. Empty when it had no network.
BUNDLED = ROOM / "bundled"
STATIC = (ROOM / "console" / "static", ROOM / "signin" / "static", BUNDLED / "console")

#: By file name ending; only what we ship. `nosniff` makes browsers take these at their word.
MEDIA_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
_A_DAY = "public, max-age=86400"
_FOR_GOOD = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    media_type: str
    digest: str


class Assets:
    """By name. A name asked for with its digest (`?v=`) may be cached for good."""

    def __init__(self, folders: Iterable[Path] = STATIC) -> None:
        files = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
        self._assets = {path.name: _read(path) for path in files if path.suffix in MEDIA_TYPES}

    def __contains__(self, name: str) -> bool:
        return name in self._assets

    def url(self, name: str) -> str:
        return f"/static/{name}?v={self._assets[name].digest}"

    def routes(self) -> list[BaseRoute]:
        return [Route("/static/{name}", self._serve, methods=["GET"])]

    def _serve(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise NotFound("There is no such file.")
        etag = f'"{asset.digest}"'
        cache = _FOR_GOOD if request.query_params.get("v") == asset.digest else _A_DAY
        headers = {"Cache-Control": cache, "ETag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, MEDIA_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
