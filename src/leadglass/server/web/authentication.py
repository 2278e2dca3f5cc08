"""Who is asking: found out before anything else is looked at. No route is reached without, but for the few that are
named as public. A session's cookie is good only for requests that our own pages make."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from leadglass.archive.admission import Refusal
from leadglass.archive.archive import Archive
from leadglass.archive.authorise import may
from leadglass.archive.refusals import RefusedPeer
from leadglass.errors import NotAuthenticated, NotAuthorised
from leadglass.model import Operation, Principal
from leadglass.server.web.problems import wants_page
from leadglass.server.web.signin.cookies import SESSION

_PRINCIPAL = "leadglass.principal"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1
_SIGN_IN_FIRST = ("Sign in first.", "Send a bearer token, or sign in at /sign-in.")
#: DICOMweb and the viewer are for those who may see or store images: an administrator's session reaches neither.
_IMAGES = ("/dicom-web", "/viewer")
_ON_IMAGES = (Operation.QUERY, Operation.RETRIEVE, Operation.STORE)


class Authentication:
    """Pure ASGI. `public` paths are served to anybody; one that ends in a slash stands for all below it."""

    def __init__(self, app: ASGIApp, archive: Archive, public: Sequence[str]) -> None:
        self._app = app
        self._archive = archive
        self._exact = frozenset(path for path in public if not path.endswith("/"))
        self._below = tuple(path for path in public if path.endswith("/"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        path = scope["path"]
        principal = await self._asking(request, path)
        if principal is None and not self._is_public(path):
            if request.method == "GET" and wants_page(request):
                # Without the query, which may name a patient.
                await RedirectResponse(f"/sign-in?next={quote(path)}", 303)(scope, receive, send)
                return
            raise NotAuthenticated(*_SIGN_IN_FIRST)
        if principal is not None:
            _check_area(principal, path)
            scope[_PRINCIPAL] = principal
        await self._app(scope, receive, send)

    async def _asking(self, request: Request, path: str) -> Principal | None:
        if "authorization" in request.headers:
            return await self._bearer(request)
        is_public = self._is_public(path)
        # Who brings nothing at all, to what nobody gets without, is asked for a token (RFC 9110 15.5.2).
        if is_public or SESSION in request.cookies:
            require_own_page(request)
        return self._session(request, is_public)

    def _is_public(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._below)

    async def _bearer(self, request: Request) -> Principal:
        """Raises NotAuthenticated for what is no good."""
        given = request.headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ")
        try:
            if len(given) > 1 or scheme.lower() != "bearer":
                raise NotAuthenticated("Only one bearer token is understood.", "Send `Authorization: Bearer TOKEN`.")
            tokens, given_token = self._archive.tokens, token.strip()
            if tokens.is_own(given_token):
                return tokens.principal(given_token)
            return await run_in_threadpool(tokens.principal, given_token)
        except NotAuthenticated:
            address = request.client.host if request.client else ""
            self._archive.refusals.record(RefusedPeer(Refusal.BEARER, address, action="token-refused"))
            raise

    def _session(self, request: Request, is_public: bool) -> Principal | None:
        """None when nothing was shown. A session that is over is nothing where nobody needs one."""
        secret = request.cookies.get(SESSION)
        if not secret:
            return None
        try:
            return self._archive.sessions.principal(secret)
        except NotAuthenticated:
            if is_public or (request.method == "GET" and wants_page(request)):
                return None
            raise


def require_own_page(request: Request) -> None:
    """No other site's page may make a browser act for its user: cookies come along by themselves, these headers cannot
    be set by a page. Raises NotAuthorised for a request that changes something and does not come from our own pages."""
    if request.method in SAFE:
        return
    origin, fetched_from = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    is_ours = origin == f"https://{request.headers.get('host', '')}"
    if (origin is None and fetched_from is None) or (origin is not None and not is_ours):
        raise NotAuthorised("The request does not come from a page of this archive.", "Use a bearer token instead.")
    if fetched_from not in (None, "same-origin"):
        raise NotAuthorised("The request does not come from a page of this archive.", "Open the archive's own page.")


def principal_of(request: Request) -> Principal:
    """Raises NotAuthenticated on a public route when nobody has signed in."""
    principal = request.scope.get(_PRINCIPAL)
    if not isinstance(principal, Principal):
        raise NotAuthenticated(*_SIGN_IN_FIRST)
    return principal


def peer_of(request: Request) -> str:
    """Where a request comes from, as events record it."""
    return f"https:{request.client.host if request.client else ''}"


def _check_area(principal: Principal, path: str) -> None:
    """Raises NotAuthorised. The verbs behind decide again, by operation."""
    is_below = any(path == area or path.startswith(f"{area}/") for area in _IMAGES)
    if is_below and not any(may(principal, operation) for operation in _ON_IMAGES):
        raise NotAuthorised("This role sees no images.", "Sign in with another role, if you have one.")
