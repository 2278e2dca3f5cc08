"""Signing in with a password and a one-time code, choosing a role, proving it once more, signing out."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.lockouts import LockedOut
from leadglass.archive.users import role_of
from leadglass.crypto.totp import new_secret
from leadglass.errors import LeadglassError, NotAuthenticated
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.signin.ceremonies import Ceremony
from leadglass.server.web.signin.cookies import SESSION, take_back
from leadglass.server.web.signin.provider import OUT
from leadglass.server.web.signin.qr import shown_code
from leadglass.server.web.signin.steps import Steps, go, local


class PasswordPages:
    PUBLIC = ("/sign-in", "/sign-in/code", "/sign-in/role")

    def __init__(self, steps: Steps, provider: str) -> None:
        self._steps = steps
        self._archive = steps.archive
        self._provider = provider

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/sign-in", self._show, methods=["GET"]),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-in/code", self._show_code, methods=["GET"]),
            Route("/sign-in/code", self._enrol_code, methods=["POST"]),
            Route("/sign-in/role", self._show_roles, methods=["GET"]),
            Route("/sign-in/role", self._choose_role, methods=["POST"]),
            Route("/sign-in/again", self._show_again, methods=["GET"]),
            Route("/sign-in/again", self._prove_again, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
        ]

    def _show(self, request: Request) -> Response:
        return self._page(request, local(request.query_params.get("next", "/")))

    def _page(self, request: Request, next_: str, error: LeadglassError | None = None) -> Response:
        response = self._steps.pages.page(
            request,
            "sign-in.html",
            error.http_status if error is not None else 200,
            next=next_,
            error=error,
            passkeys=self._steps.place(request) is not None,
            provider=self._provider,
        )
        if isinstance(error, LockedOut):
            response.headers["retry-after"] = str(error.seconds)  # RFC 6585 4
        return response

    async def _sign_in(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._with_password, request, form)

    def _with_password(self, request: Request, form: Form) -> Response:
        next_ = local(form.get("next", "/"))
        try:
            account = self._archive.sign_in.with_password(
                form.get("name", ""), form.get("password", ""), form.get("code", ""), peer_of(request)
            )
        except NotAuthenticated as error:
            return self._page(request, next_, error)
        if account.totp:
            return self._steps.proved(request, account, "password", next_)
        response = go(request, "/sign-in/code")
        ceremony = Ceremony(account=account, method="password", next=next_, totp=new_secret())
        self._steps.begin(request, response, ceremony)
        return response

    def _show_code(self, request: Request) -> Response:
        return self._code_page(request)

    def _code_page(self, request: Request, error: LeadglassError | None = None) -> Response:
        ceremony = self._steps.see(request)
        account = self._steps.account(ceremony)
        return self._steps.pages.page(
            request,
            "enrol-code.html",
            error.http_status if error is not None else 200,
            error=error,
            code=shown_code(ceremony.totp, account.name, request.url.hostname or ""),
        )

    async def _enrol_code(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._with_new_code, request, form)

    def _with_new_code(self, request: Request, form: Form) -> Response:
        ceremony = self._steps.see(request)
        account = self._steps.account(ceremony)
        if not ceremony.totp:
            raise NotAuthenticated("There is no code to enrol.", "Sign in.")
        try:
            account = self._archive.sign_in.enrol_code(account, ceremony.totp, form.get("code", ""), peer_of(request))
        except NotAuthenticated as error:
            return self._code_page(request, error)
        self._steps.take(request)
        return self._steps.proved(request, account, "password", ceremony.next)

    def _show_roles(self, request: Request) -> Response:
        account = self._steps.account(self._steps.see(request))
        return self._steps.pages.page(request, "choose-role.html", name=account.name, roles=account.roles)

    async def _choose_role(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._in_role, request, form)

    def _in_role(self, request: Request, form: Form) -> Response:
        ceremony = self._steps.see(request)
        account = self._steps.account(ceremony)
        if ceremony.totp:
            raise NotAuthenticated("The one-time code is not enrolled yet.", "Sign in once more.")
        role = role_of(account, form.get("role", ""))
        self._steps.take(request)
        return self._steps.signed_in(request, account, role, ceremony.method, ceremony.next)

    def _show_again(self, request: Request) -> Response:
        return self._again_page(request, local(request.query_params.get("next", "/")))

    def _again_page(self, request: Request, next_: str, error: LeadglassError | None = None) -> Response:
        return self._steps.pages.page(
            request,
            "prove-again.html",
            error.http_status if error is not None else 200,
            name=principal_of(request).name,
            next=next_,
            error=error,
            passkeys=self._steps.place(request) is not None,
            provider=self._provider,
        )

    async def _prove_again(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._prove, request, form)

    def _prove(self, request: Request, form: Form) -> Response:
        """The session's own user, and nobody else, whatever the form says."""
        name, next_ = principal_of(request).name, local(form.get("next", "/"))
        try:
            account = self._archive.sign_in.with_password(
                name, form.get("password", ""), form.get("code", ""), peer_of(request)
            )
            if not account.totp:
                raise NotAuthenticated("The one-time code is not enrolled yet.", "Sign out, and sign in once more.")
            self._archive.sessions.prove(request.cookies.get(SESSION, ""), account.id, peer_of(request))
        except NotAuthenticated as error:
            return self._again_page(request, next_, error)
        return RedirectResponse(next_, 303)

    def _sign_out(self, request: Request) -> Response:
        method = self._archive.sessions.end(request.cookies.get(SESSION, ""), peer_of(request))
        # A page with a link, not a redirect to the provider: browsers hold redirects of a form to form-action.
        response = RedirectResponse(OUT if method == "openid" and self._provider else "/sign-in", 303)
        take_back(response, SESSION)
        # RFC 9110 has no word for it: what the viewer keeps in the browser goes with the session.
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response
