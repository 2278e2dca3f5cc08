"""Users: who there is, with which role, and the links by which they set up what they sign in with."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.authorise import authorise
from leadglass.archive.users import USER_ROLES, NewUser, user_described
from leadglass.errors import ProofTooOld, UsageError
from leadglass.model import DEFAULT_SITE, Operation
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.console.proving import prove_again, typed_before
from leadglass.server.web.pages import Pages


class UsersPage:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/users", self._list, methods=["GET"]),
            Route("/users", self._add, methods=["POST"]),
            Route("/users/{name}/disable", self._disable, methods=["POST"]),
            Route("/users/{name}/reset", self._reset, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        return self._page(request)

    def _page(
        self, request: Request, problem: str = "", asked: Form | None = None, made: tuple[str, str] = ("", "")
    ) -> Response:
        """`made` is a user and the link that was just made for it."""
        authorise(principal_of(request), Operation.ADMINISTER)
        passkeys = self._archive.passkeys.counts()
        return self._pages.page(
            request,
            "users.html",
            400 if problem else 200,
            users=[
                user_described(each, passkeys.get(each.id, 0)) for each in self._archive.users.book.by_name.values()
            ],
            roles=[role.value for role in USER_ROLES],
            day=present.day,
            problem=problem,
            asked=asked or typed_before(request, {"site": DEFAULT_SITE}),
            made=made,
        )

    async def _add(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._added, request, form)

    def _added(self, request: Request, form: Form) -> Response:
        name = form.get("name", "")
        user = NewUser(name, form.all("role"), form.get("site") or DEFAULT_SITE, form.get("person", ""))
        try:
            secret = self._archive.enrolments.add(principal_of(request), user)
        except ProofTooOld:
            return prove_again("/users", form)
        except UsageError as error:
            return self._page(request, problem=str(error), asked=form)
        return self._page(request, made=(name, _link(request, secret)))

    def _reset(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            secret = self._archive.enrolments.reset(principal_of(request), name)
        except ProofTooOld:
            return prove_again("/users")
        return self._page(request, made=(name, _link(request, secret)))

    def _disable(self, request: Request) -> Response:
        self._archive.users.disable(principal_of(request), request.path_params["name"])
        return RedirectResponse("/users", 303)


def _link(request: Request, secret: str) -> str:
    """The fragment never leaves the browser, so that the secret is in no log."""
    return f"{request.url.scheme}://{request.url.netloc}/setup#{secret}"
