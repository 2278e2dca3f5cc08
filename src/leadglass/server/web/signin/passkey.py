"""Signing in with a passkey: two requests by a small script, since only scripts reach authenticators."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.passkeys import Place
from leadglass.errors import NotAuthenticated, UsageError
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.signin.ceremonies import Ceremony
from leadglass.server.web.signin.cookies import SESSION, STEP, take_back
from leadglass.server.web.signin.steps import Steps, go, json_of, local


class PasskeyRoutes:
    PUBLIC = ("/sign-in/passkey", "/sign-in/passkey/options")

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._archive = steps.archive

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/sign-in/passkey/options", self._options, methods=["POST"]),
            Route("/sign-in/passkey", self._sign_in, methods=["POST"]),
            Route("/sign-in/again/passkey", self._again, methods=["POST"]),
        ]

    def _options(self, request: Request) -> Response:
        place = required_place(self._steps, request)
        options, challenge = self._archive.passkeys.authentication(place.host)
        response = options_answer(options)
        self._steps.begin(request, response, Ceremony(challenge=challenge))
        return response

    async def _sign_in(self, request: Request) -> Response:
        document = await json_of(request)
        return await run_in_threadpool(self._signed, request, document)

    def _signed(self, request: Request, document: dict[str, object]) -> Response:
        place = required_place(self._steps, request)
        challenge = self._steps.take(request).challenge
        account = self._archive.sign_in.with_passkey(document, challenge, place, peer_of(request))
        return self._steps.proved(request, account, "passkey", local(str(document.get("next", "/"))))

    async def _again(self, request: Request) -> Response:
        document = await json_of(request)
        return await run_in_threadpool(self._proved_again, request, document)

    def _proved_again(self, request: Request, document: dict[str, object]) -> Response:
        place = required_place(self._steps, request)
        challenge = self._steps.take(request).challenge
        account = self._archive.sign_in.with_passkey(document, challenge, place, peer_of(request))
        if account.id != principal_of(request).account:
            raise NotAuthenticated("That passkey is somebody else's.", "Use your own.")
        self._archive.sessions.prove(request.cookies.get(SESSION, ""), account.id, peer_of(request))
        response = go(request, local(str(document.get("next", "/"))))
        take_back(response, STEP)
        return response


def required_place(steps: Steps, request: Request) -> Place:
    """Raises UsageError where passkeys do not work."""
    place = steps.place(request)
    if place is None:
        raise UsageError(
            "Passkeys need a host name that the certificate has.", "Open the archive by its name, not by its address."
        )
    return place


def options_answer(options: str) -> Response:
    return Response(options, media_type="application/json")
