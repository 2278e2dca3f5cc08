"""Signing in with the configured OpenID provider: there and back, and out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.openid import Provider
from leadglass.archive.users import role_of
from leadglass.errors import LeadglassError, NotAvailable
from leadglass.server.web.authentication import peer_of
from leadglass.server.web.signin.ceremonies import Ceremony
from leadglass.server.web.signin.cookies import SESSION, STEP, give, take_back
from leadglass.server.web.signin.steps import Steps, local

_BACK = "/sign-in/provider/back"
#: Where one is once the session here has ended.
OUT = "/sign-in/provider/out"


class ProviderRoutes:
    PUBLIC = ("/sign-in/provider", _BACK, OUT)

    def __init__(self, steps: Steps, provider: Provider | None) -> None:
        self._steps = steps
        self._archive = steps.archive
        self._provider = provider

    def routes(self) -> list[BaseRoute]:
        if self._provider is None:
            return []
        return [
            Route(self.PUBLIC[0], self._go, methods=["GET"]),
            Route(_BACK, self._back, methods=["GET"]),
            Route(OUT, self._out, methods=["GET"]),
        ]

    def _go(self, request: Request) -> Response:
        assert self._provider is not None  # noqa: S101 - there is no such route without one
        anew = "again" in request.query_params
        address, kept = self._provider.authorization(f"https://{request.headers['host']}{_BACK}", anew=anew)
        response = RedirectResponse(address, 303)
        next_ = local(request.query_params.get("next", "/"))
        # The way back is a link from the provider's page: a cookie that is Strict would not come along.
        self._steps.begin(request, response, Ceremony(exchange=kept, next=next_), from_elsewhere=True)
        return response

    def _back(self, request: Request) -> Response:
        """Not a redirect but a page that goes on by itself: what follows a link of another site's page would be asked
        for without the session's cookie, which is Strict."""
        assert self._provider is not None  # noqa: S101
        ceremony = self._steps.take(request)
        try:
            account, proved = self._provider.finish(ceremony.exchange, request.query_params)
        except LeadglassError as error:
            self._archive.sign_in.refuse("", "openid", peer_of(request), error)
            raise
        secret = self._archive.sessions.open(account, role_of(account, ""), "openid", peer_of(request), proved)
        response = self._steps.pages.page(request, "signed-in.html", next=ceremony.next)
        give(response, SESSION, secret)
        take_back(response, STEP)
        return response

    def _out(self, request: Request) -> Response:
        assert self._provider is not None  # noqa: S101
        try:
            address = self._provider.end_session(f"https://{request.headers['host']}/sign-in")
        except NotAvailable:
            address = ""
        return self._steps.pages.page(request, "signed-out.html", provider=self._provider.name, address=address)
