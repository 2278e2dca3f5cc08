"""Quarantine: what inspection holds back, why, and until when a steward is to have decided about it."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.freshness import require_fresh
from leadglass.archive.quarantine import described, destroy, quarantine_row, quarantined, release
from leadglass.errors import FormatError, IdentityConflict, LeadglassError, ProofTooOld, Quarantined, UsageError
from leadglass.server.web.authentication import principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.forms import form_of
from leadglass.server.web.console.paging import Listed, listed
from leadglass.server.web.console.proving import prove_again
from leadglass.server.web.pages import Pages

STATES = {"held": "Held back", "disarmed": "Disarmed", "released": "Released", "destroyed": "Destroyed"}
#: What is typed to destroy something.
CONFIRMATION = "destroy"
#: Of one state, oldest first, that are looked through for what a filter asks for.
MOST = 1000
_DAY_US = 86_400 * 1_000_000
_SOON_DAYS = 7


@dataclass(frozen=True, slots=True)
class HeldLine:
    """An object in words; `meaning` is that of its first reason. `standing` is undecided, due or overdue while nobody
    has decided, else its state."""

    number: int
    sender: str
    instance: str
    reasons: tuple[str, ...]
    meaning: str
    arrived: str
    times: int
    due: str
    standing: str

    @classmethod
    def of(cls, row: dict[str, Any], now: int) -> "HeldLine":
        days = (row["due"] - now) // _DAY_US
        waiting = "overdue" if days < 0 else "due" if days < _SOON_DAYS else "undecided"
        return cls(
            number=row["id"],
            sender=row["principal"].partition(":")[2],
            instance=row["sop_instance"],
            reasons=tuple(dict.fromkeys(finding["code"] for finding in row["findings"])),
            meaning=next((finding["meaning"] for finding in row["findings"]), ""),
            arrived=present.moment(row["created"]),
            times=row["attempts"],
            due=present.day(row["due"]),
            standing=waiting if row["state"] == "held" else row["state"],
        )


class QuarantinePages:
    def __init__(self, archive: Archive, pages: Pages) -> None:
        self._archive = archive
        self._pages = pages

    def routes(self) -> list[BaseRoute]:
        one = "/quarantine/{number:number}"
        return [
            Route("/quarantine", self._list, methods=["GET"]),
            Route(one, self._show, methods=["GET"]),
            Route(f"{one}/release", self._release, methods=["POST"]),
            Route(f"{one}/destroy", self._destroy, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("state", "sender", "reason")}
        state = asked["state"] if asked["state"] in STATES else "held"
        rows = islice(quarantined(self._archive, principal_of(request), state), MOST)
        now = self._archive.clock()
        lines = [HeldLine.of(described(row), now) for row in rows]
        return self._pages.page(
            request,
            "quarantine.html",
            found=self._matching(request, lines, asked),
            states=STATES,
            state=state,
            asked=asked,
            senders=sorted({line.sender for line in lines}),
            reasons=sorted({reason for line in lines for reason in line.reasons}),
            overdue=sum(line.standing == "overdue" for line in lines),
            many=len(lines) == MOST,
        )

    def _matching(self, request: Request, lines: list[HeldLine], asked: dict[str, str]) -> Listed[HeldLine]:
        fitting = [
            line
            for line in lines
            if asked["sender"] in ("", line.sender) and (not asked["reason"] or asked["reason"] in line.reasons)
        ]
        return listed(request, fitting)

    def _show(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, problem: LeadglassError | None = None) -> Response:
        row = described(quarantine_row(self._archive, principal_of(request), request.path_params["number"]))
        return self._pages.page(
            request,
            "quarantined.html",
            problem.http_status if problem else 200,
            row=row,
            line=HeldLine.of(row, self._archive.clock()),
            size=present.size(row["plain_length"]),
            confirmation=CONFIRMATION,
            moment=present.moment,
            problem=problem,
        )

    def _release(self, request: Request) -> Response:
        """It is inspected once more by the rules of today, and shown to those who may see its study."""
        principal, number = principal_of(request), request.path_params["number"]
        quarantine_row(self._archive, principal, number)
        try:
            require_fresh(principal, self._archive.clock())
            release(self._archive, principal, number)
        except ProofTooOld:
            return prove_again(f"/quarantine/{number}")
        except (UsageError, FormatError, Quarantined, IdentityConflict) as error:
            return self._page(request, error)
        return RedirectResponse(f"/quarantine/{number}", 303)

    async def _destroy(self, request: Request) -> Response:
        form = await form_of(request)
        return await run_in_threadpool(self._destroyed, request, form.get("typed", ""))

    def _destroyed(self, request: Request, typed: str) -> Response:
        principal, number = principal_of(request), request.path_params["number"]
        quarantine_row(self._archive, principal, number)
        try:
            if typed.strip().casefold() != CONFIRMATION:
                raise UsageError(f"Nothing was destroyed. Type the word {CONFIRMATION} to do it.")
            destroy(self._archive, principal, number)
        except UsageError as error:
            return self._page(request, error)
        return RedirectResponse(f"/quarantine/{number}", 303)
