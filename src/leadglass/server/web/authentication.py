"""Who is asking: found out before anything else is looked at. No route is reached without, but for the few that are
named as public."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from leadglass.archive.archive import Archive
from leadglass.errors import NotAuthenticated
from leadglass.model import Principal

_PRINCIPAL = "leadglass.principal"


class Authentication:
    """Pure ASGI. `public` paths are served to anybody; one that ends in a slash stands for all below it."""

    def __init__(self, app: ASGIApp, archive: Archive, public: Sequence[str]) -> None:
        self._app = app
        self._archive = archive
        self._exact = frozenset(path for path in public if not path.endswith("/"))
        self._below = tuple(path for path in public if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = self._principal(Headers(scope=scope))
        if principal is not None:
            scope[_PRINCIPAL] = principal
        elif not self._is_public(scope["path"]):
            raise NotAuthenticated("Sign in first.", "Send a bearer token, or sign in at /sign-in.")
        await self._app(scope, receive, send)

    def _is_public(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._below)

    def _principal(self, headers: Headers) -> Principal | None:
        """None when nothing was shown. Raises NotAuthenticated for what is no good."""
        given = headers.getlist("authorization")
        if not given:
            return None
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise NotAuthenticated("Only one bearer token is understood.", "Send `Authorization: Bearer TOKEN`.")
        return self._archive.tokens.principal(token.strip())


def principal_of(request: Request) -> Principal:
    """Raises NotAuthenticated on a public route when nobody has signed in."""
    principal = request.scope.get(_PRINCIPAL)
    if not isinstance(principal, Principal):
        raise NotAuthenticated("Sign in first.", "Send a bearer token, or sign in at /sign-in.")
    return principal


def peer_of(request: Request) -> str:
    """Where a request comes from, as events record it."""
    return f"https:{request.client.host if request.client else ''}"
