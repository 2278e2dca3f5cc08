"""What the ways of signing in share: the step under way, and what follows once somebody has proved who it is."""

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from leadglass.archive.archive import Archive
from leadglass.archive.lockouts import network_of
from leadglass.archive.passkeys import Place
from leadglass.archive.signin import address_of
from leadglass.archive.users import User, role_of
from leadglass.errors import NotAuthenticated, UsageError
from leadglass.model import Role
from leadglass.server.web.authentication import peer_of
from leadglass.server.web.pages import Pages
from leadglass.server.web.signin.ceremonies import LIFE_SECONDS, Ceremonies, Ceremony
from leadglass.server.web.signin.cookies import SESSION, STEP, give, take_back

#: A WebAuthn answer is a few KiB.
MAX_JSON = 64 * 1024


class Steps:
    """`names` are the host names that passkeys may be bound to."""

    def __init__(self, archive: Archive, pages: Pages, names: Collection[str]) -> None:
        self.archive = archive
        self.pages = pages
        self._names = frozenset(names)
        self._ceremonies = Ceremonies(archive.clock)

    def begin(self, request: Request, response: Response, ceremony: Ceremony, *, from_elsewhere: bool = False) -> None:
        """`from_elsewhere`: the next step comes from another site's page, the OpenID provider's."""
        key = self._ceremonies.begin(ceremony, network_of(address_of(peer_of(request))))
        give(response, STEP, key, LIFE_SECONDS, "lax" if from_elsewhere else "strict")

    def see(self, request: Request) -> Ceremony:
        """Raises NotAuthenticated."""
        return self._ceremonies.see(request.cookies.get(STEP, ""))

    def take(self, request: Request) -> Ceremony:
        """Raises NotAuthenticated."""
        return self._ceremonies.take(request.cookies.get(STEP, ""))

    def keep(self, request: Request, **changes: Any) -> None:
        """Raises NotAuthenticated."""
        self._ceremonies.change(request.cookies.get(STEP, ""), lambda ceremony: replace(ceremony, **changes))

    def account(self, ceremony: Ceremony) -> User:
        """Who has proved itself in this ceremony, and was neither reset nor disabled since. Raises NotAuthenticated."""
        if ceremony.account is None or not self.archive.users.book.stands(ceremony.account):
            raise NotAuthenticated("Nobody has signed in yet.", "Begin once more.")
        return ceremony.account

    def place(self, request: Request) -> Place | None:
        """Where passkeys work: under a name that our certificate has, never under an address (WebAuthn 5.1.2)."""
        host = request.url.hostname or ""
        return Place(host, f"https://{request.headers['host']}") if host in self._names else None

    def proved(self, request: Request, account: User, method: str, next_: str) -> Response:
        """Somebody has proved who it is: a session, or first the question in which role. Waits for the event."""
        if len(account.roles) > 1:
            response = go(request, "/sign-in/role")
            self.begin(request, response, Ceremony(account=account, method=method, next=next_))
            return response
        return self.signed_in(request, account, role_of(account, ""), method, next_)

    def signed_in(self, request: Request, account: User, role: Role, method: str, next_: str) -> Response:
        response = go(request, local(next_))
        # Whoever sat here before is out: its cookie is about to be another one.
        self.archive.sessions.end(request.cookies.get(SESSION, ""), peer_of(request))
        give(response, SESSION, self.archive.sessions.open(account, role, method, peer_of(request)))
        take_back(response, STEP)
        return response


def go(request: Request, path: str) -> Response:
    """Where the browser goes next: a redirect for a form, a word for a script."""
    if request.headers.get("content-type", "").startswith("application/json"):
        return JSONResponse({"next": path})
    return RedirectResponse(path, 303)


def local(path: str) -> str:
    """`path` when it is one of ours, else the start: nobody is sent elsewhere by a link to our sign-in."""
    is_ours = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if is_ours else "/"


async def json_of(request: Request) -> dict[str, Any]:
    """Raises UsageError for what is no JSON object, or too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON:
            raise UsageError("The request is too long.", "An authenticator's answer is a few KiB.")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("The request is not JSON.", "Send an authenticator's answer as a JSON object.") from None
    if not isinstance(document, dict):
        raise UsageError("The request is not a JSON object.", "Send an authenticator's answer as one.")
    return document
