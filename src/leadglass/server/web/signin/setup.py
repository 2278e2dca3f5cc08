"""The page behind an enrolment link. Its secret is in the fragment, which browsers do not send: a script, or the user,
puts it into a form."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.users import User
from leadglass.crypto.totp import new_secret
from leadglass.errors import LeadglassError, NotAuthenticated, UsageError, VerificationFailed
from leadglass.server.web.authentication import peer_of
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.signin.ceremonies import Ceremony
from leadglass.server.web.signin.passkey import options_answer, required_place
from leadglass.server.web.signin.qr import shown_code
from leadglass.server.web.signin.steps import Steps, go, json_of


class SetupPages:
    PUBLIC = ("/setup", "/setup/choose", "/setup/password", "/setup/passkey", "/setup/passkey/options")

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._archive = steps.archive

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/setup", self._show, methods=["GET"]),
            Route("/setup", self._open, methods=["POST"]),
            Route("/setup/choose", self._show_choice, methods=["GET"]),
            Route("/setup/password", self._password, methods=["POST"]),
            Route("/setup/passkey/options", self._passkey_options, methods=["POST"]),
            Route("/setup/passkey", self._passkey, methods=["POST"]),
        ]

    def _show(self, request: Request) -> Response:
        return self._steps.pages.page(request, "setup.html", error=None)

    async def _open(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._opened, request, form.get("token", ""))

    def _opened(self, request: Request, secret: str) -> Response:
        try:
            self._archive.enrolments.account(secret, peer_of(request))
        except NotAuthenticated as error:
            return self._steps.pages.page(request, "setup.html", error.http_status, error=error)
        response = go(request, "/setup/choose")
        self._steps.begin(request, response, Ceremony(link=secret, totp=new_secret()))
        return response

    def _show_choice(self, request: Request) -> Response:
        return self._choice_page(request)

    def _choice_page(self, request: Request, error: LeadglassError | None = None) -> Response:
        ceremony = self._steps.see(request)
        account = self._account(request, ceremony)
        return self._steps.pages.page(
            request,
            "setup-choose.html",
            200 if error is None else 400,
            name=account.name,
            person=account.person,
            error=error,
            passkeys=self._steps.place(request) is not None,
            code=shown_code(ceremony.totp, account.name, request.url.hostname or ""),
        )

    async def _password(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._with_password, request, form)

    def _with_password(self, request: Request, form: Form) -> Response:
        ceremony = self._steps.see(request)
        try:
            if form.get("password", "") != form.get("repeated", ""):
                raise UsageError("The two passwords are not the same.", "Type both once more.")
            account = self._archive.enrolments.finish_with_password(
                ceremony.link, form.get("password", ""), ceremony.totp, form.get("code", ""), peer_of(request)
            )
        except (UsageError, VerificationFailed) as error:
            return self._choice_page(request, error)
        self._steps.take(request)
        return self._steps.proved(request, account, "password", "/")

    def _passkey_options(self, request: Request) -> Response:
        place = required_place(self._steps, request)
        account = self._account(request, self._steps.see(request))
        options, challenge = self._archive.passkeys.registration(account, place.host)
        self._steps.keep(request, challenge=challenge)
        return options_answer(options)

    async def _passkey(self, request: Request) -> Response:
        document = await json_of(request)
        return await run_in_threadpool(self._with_passkey, request, document)

    def _with_passkey(self, request: Request, document: dict[str, object]) -> Response:
        place = required_place(self._steps, request)
        ceremony = self._steps.take(request)
        try:
            made = self._archive.passkeys.register(document, ceremony.challenge, place)
            account = self._archive.enrolments.finish_with_passkey(ceremony.link, made, peer_of(request))
        except VerificationFailed as error:
            return JSONResponse({"error": error.message, "remedy": error.remedy}, 400)
        return self._steps.proved(request, account, "passkey", "/")

    def _account(self, request: Request, ceremony: Ceremony) -> User:
        return self._archive.enrolments.account(ceremony.link, peer_of(request))
