"""Bearer tokens for programs that speak DICOMweb: made, shown once, revoked."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.tokens import MAX_LIFE_US, TokenRequest, token_described
from leadglass.archive.users import USER_ROLES
from leadglass.errors import NotFound, ProofTooOld, UsageError
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import Form, form_of
from leadglass.server.web.console.proving import prove_again, typed_before
from leadglass.server.web.pages import Pages

_DAY_US = 86_400 * 1_000_000
_USUAL_DAYS = 30
#: What a program is for → operations that it may do; nothing means all of the role.
PURPOSES = {
    "read": ("Find and read", ("query", "retrieve")),
    "store": ("Store only", ("store",)),
    "all": ("All that the role may", ()),
}


class TokensPage:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/tokens", self._list, methods=["GET"]),
            Route("/tokens", self._create, methods=["POST"]),
            Route("/tokens/{name}/revoke", self._revoke, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, problem: str = "", asked: Form | None = None, made: str = "") -> Response:
        book, now = self._archive.users.book.by_id, self._archive.clock()
        today = datetime.now(UTC).date()
        rows = self._archive.tokens.listed(principal_of(request))
        return self._pages.page(
            request,
            "tokens.html",
            400 if problem else 200,
            tokens=[token_described(row, book[row.account_id]) for row in reversed(rows)],
            purposes=PURPOSES,
            purpose=_in_words,
            roles=[role.value for role in USER_ROLES],
            now=now,
            day=present.day,
            problem=problem,
            asked=asked or typed_before(request, {"until": (today + timedelta(days=_USUAL_DAYS)).isoformat()}),
            first_day=today,
            last_day=today + timedelta(days=MAX_LIFE_US // _DAY_US - 1),
            made=made,
        )

    async def _create(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._created, request, form)

    def _created(self, request: Request, form: Form) -> Response:
        try:
            made = self._archive.tokens.create(principal_of(request), self._wanted(form))
        except ProofTooOld:
            return prove_again("/tokens", form)
        except (UsageError, NotFound) as error:
            return self._page(request, problem=str(error), asked=form)
        return self._page(request, made=made)

    def _wanted(self, form: Form) -> TokenRequest:
        try:
            until = date.fromisoformat(form.get("until", ""))
        except ValueError:
            raise UsageError("Until when?", "Give the last day, for example 2030-01-31.") from None
        end = datetime(until.year, until.month, until.day, 23, 59, 59, tzinfo=UTC)
        _, operations = PURPOSES.get(form.get("purpose", ""), PURPOSES["read"])
        return TokenRequest(
            user=form.get("user", ""),
            life_us=int(end.timestamp() * 1_000_000) - self._archive.clock(),
            role=form.get("role", ""),
            operations=operations or None,
        )

    def _revoke(self, request: Request) -> Response:
        self._archive.tokens.revoke(principal_of(request), request.path_params["name"])
        return RedirectResponse("/tokens", 303)


def _in_words(operations: Sequence[str]) -> str:
    """What a token is for; one that was made at the command line may have a scope of its own."""
    fitting = (label for label, given in PURPOSES.values() if set(given) == set(operations))
    return next(fitting, ", ".join(operations))
