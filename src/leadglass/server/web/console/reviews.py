"""Reconciliation: what is kept but not shown until a steward accepts it, beside what is shown in its place."""

from dataclasses import dataclass
from itertools import islice

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from leadglass.archive.archive import Archive
from leadglass.archive.comparison import (
    MOST_LISTED,
    Found,
    FrameDifference,
    PixelsCompared,
    Side,
    compared_picture,
    comparing,
)
from leadglass.archive.decoding import Decoding
from leadglass.archive.review import REASONS, ListedReview, ReviewRow, accept, reject, review, reviews
from leadglass.errors import (
    LeadglassError,
    NotFound,
    ProofTooOld,
    UsageError,
)
from leadglass.server.web.authentication import peer_of, principal_of
from leadglass.server.web.console import present
from leadglass.server.web.console.paging import listed
from leadglass.server.web.console.proving import prove_again
from leadglass.server.web.pages import Pages

STATES = {"open": "To be decided", "accepted": "Accepted", "rejected": "Rejected"}
#: Of one state, oldest first.
MOST = 1000
#: Fields of a review → what they are called.
_CLAIMS = {
    "patient_name": "Patient",
    "patient_id": "Patient ID",
    "issuer": "Issuer of the ID",
    "birth_date": "Born",
    "sex": "Sex",
    "study_date": "Study date",
    "accession_number": "Accession",
    "study_description": "Description",
    "site": "Site",
}


@dataclass(frozen=True, slots=True)
class ReviewLine:
    number: int
    instance: str
    study: str
    reason: str
    what: str
    since: str

    @classmethod
    def of(cls, row: ListedReview) -> "ReviewLine":
        return cls(
            number=row.id,
            instance=row.sop_instance_uid,
            study=row.study_uid,
            reason=row.reason,
            what=REASONS[row.reason],
            since=present.moment(row.created),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What the object says of its patient and study, beside what the owner of its Study Instance UID does."""

    name: str
    arrived: str
    owner: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What the page shows of a comparison; of the frames that differ one is `shown`."""

    found: Found
    shown: FrameDifference | None = None
    shows_images: bool = False


class ReviewPages:
    def __init__(self, archive: Archive, pages: Pages, decoding: Decoding) -> None:
        self._archive = archive
        self._pages = pages
        self._decoding = decoding

    def routes(self) -> list[BaseRoute]:
        one = "/reviews/{number:number}"
        return [
            Route("/reviews", self._list, methods=["GET"]),
            Route(one, self._show, methods=["GET"]),
            Route(f"{one}/frames/{{frame:number}}/{{side}}", self._picture, methods=["GET"]),
            Route(f"{one}/accept", self._accept, methods=["POST"]),
            Route(f"{one}/reject", self._reject, methods=["POST"]),
        ]

    def _list(self, request: Request) -> Response:
        asked = request.query_params.get("state", "")
        state = asked if asked in STATES else "open"
        rows = islice(reviews(self._archive, principal_of(request), state), MOST)
        lines = [ReviewLine.of(row) for row in rows]
        return self._pages.page(
            request,
            "reviews.html",
            found=listed(request, lines),
            states=STATES,
            state=state,
            many=len(lines) == MOST,
        )

    def _show(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, problem: LeadglassError | None = None) -> Response:
        principal, number = principal_of(request), request.path_params["number"]
        row = review(self._archive, principal, number)
        return self._pages.page(
            request,
            "review.html",
            problem.http_status if problem else 200,
            row=row,
            what=REASONS[row.reason],
            claims=_claims(row),
            moment=present.moment,
            compared=self._compared(request),
            most=MOST_LISTED,
            problem=problem,
        )

    def _compared(self, request: Request) -> Compared:
        principal, number = principal_of(request), request.path_params["number"]
        try:
            with comparing(self._archive, principal, number, peer_of(request)) as comparison:
                found = comparison.found(self._decoding)
                shown = _chosen(found.pixels, request.query_params.get("frame", ""))
                return Compared(found, shown, comparison.shows_images)
        except NotFound as error:
            return Compared(Found(elements_problem=error.message, pixels_problem=error.message))

    def _picture(self, request: Request) -> Response:
        given, principal = request.path_params, principal_of(request)
        side = next((each for each in Side if each.value == given["side"]), None)
        if side is None:
            raise NotFound("There is no such picture.", "Open the review again.")
        picture = compared_picture(
            self._archive, principal, self._decoding, given["number"], side, given["frame"], peer_of(request)
        )
        return Response(picture, media_type="image/png")

    def _accept(self, request: Request) -> Response:
        number = request.path_params["number"]
        try:
            accept(self._archive, principal_of(request), number)
        except ProofTooOld:
            return prove_again(f"/reviews/{number}")
        except UsageError as error:
            return self._page(request, error)
        return RedirectResponse(f"/reviews/{number}", 303)

    def _reject(self, request: Request) -> Response:
        number = request.path_params["number"]
        try:
            reject(self._archive, principal_of(request), number)
        except UsageError as error:
            return self._page(request, error)
        return RedirectResponse(f"/reviews/{number}", 303)


def _chosen(pixels: PixelsCompared | None, number: str) -> FrameDifference | None:
    """The frame that is asked for, if it differs, else the first one that does."""
    differing = pixels.differing if pixels is not None else ()
    return next((each for each in differing if str(each.number) == number), next(iter(differing), None))


def _claims(row: ReviewRow) -> tuple[Claim, ...]:
    return tuple(
        Claim(label, _shown(name, getattr(row, name)), _shown(name, getattr(row, f"owner_{name}")))
        for name, label in _CLAIMS.items()
    )


def _shown(name: str, value: str) -> str:
    if name == "patient_name":
        return present.person_name(value)
    if name.endswith("_date"):
        return present.plain_date(value)
    return present.sex(value) if name == "sex" else value
