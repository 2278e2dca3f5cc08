"""Every route, every role, at the own site and at another, and every kind of token: who may what. A route that is not
in the table fails it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from leadglass.archive.archive import ArchiveConfig, create_archive, open_archive
from leadglass.archive.decoding import Decoding
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.server.web.application import build
from tests.archive.issuer import Issuer, issuing
from tests.clients import ROOT, ct, store
from tests.served import Served
from tests.server.web.people import enrolled, page_of
from tests.web import add_user, browser, token_of

STUDY = f"{ROOT}.77"
SERIES, INSTANCE = f"{STUDY}.1", f"{STUDY}.1.1"
S, R, N = f"/studies/{STUDY}", f"/series/{SERIES}", f"/instances/{INSTANCE}"
WEB = "/dicom-web"
ROLES = ("clinician", "steward", "administrator", "auditor")
NORTH = tuple(f"north {role}" for role in ROLES)
#: In the browser, each in one role; then those of another site; a clinician's own bearer token; SMART tokens of the
#: issuer, of the study's patient and of another one; and nobody.
WHO = (*ROLES, *NORTH, "token", "patient", "other patient", "nobody")


@dataclass(frozen=True)
class Row:
    """`statuses` are for WHO in order. A form is sent by POST: by default one whose field nobody knows."""

    method: str
    template: str
    path: str
    statuses: tuple[int, ...]
    form: dict[str, str] = field(default_factory=dict)

    @property
    def route(self) -> tuple[str, str]:
        return self.method, self.template


def everybody(status: int) -> tuple[int, ...]:
    return (status,) * len(WHO)


def by_role(
    clinician: int,
    steward: int,
    administrator: int,
    auditor: int,
    *,
    north: tuple[int, int] | None = None,
    patients: tuple[int, int] = (403, 403),
) -> tuple[int, ...]:
    """`north`: clinician and steward of another site, where it makes a difference. A token is its clinician."""
    own = (clinician, steward, administrator, auditor)
    elsewhere = (*(north or own[:2]), administrator, auditor)
    return (*own, *elsewhere, clinician, *patients, 401)


#: What shows images of one study: to those of its site who may see any.
IMAGES = by_role(200, 200, 403, 403, north=(404, 404), patients=(200, 404))
#: What searches: everybody finds what is its own, and nothing else (`test_what_is_not_ones_own_is_not_there`).
SEARCH = by_role(200, 200, 403, 403, patients=(200, 200))
#: The same of something that is not there, or cannot be meant.
NOT_THERE = by_role(404, 404, 403, 403, patients=(404, 404))
MEANT_BY_NOBODY = by_role(400, 400, 403, 403, patients=(400, 400))
#: What administrators do; of something that is not there, and with a form that cannot be meant.
ADMINISTRATION = by_role(403, 403, 200, 403)
NO_SUCH = by_role(403, 403, 404, 403)
UNREADABLE = by_role(403, 403, 400, 403)
#: What stewards decide about (test_stewards.py), and the same of something that is not there.
DECISIONS = by_role(403, 200, 403, 403)
NONE_SUCH = by_role(403, 404, 403, 403)
#: Who has looked: for stewards and auditors.
ACCESS = by_role(403, 200, 403, 200)
#: What anybody gets who has signed in.
SIGNED_IN = by_role(200, 200, 200, 200, patients=(200, 200))
STORES = by_role(403, 415, 403, 403)

ROWS = (
    Row("GET", "/healthz", "/healthz", everybody(200)),
    Row("GET", "/metrics", "/metrics", by_role(403, 403, 200, 200)),
    Row("GET", "/openapi.json", "/openapi.json", SIGNED_IN),
    Row("GET", "/static/{name}", "/static/console.css", everybody(200)),
    Row("GET", "/sign-in", "/sign-in", everybody(200)),
    Row("POST", "/sign-in", "/sign-in", everybody(401)),
    Row("GET", "/sign-in/code", "/sign-in/code", everybody(401)),
    Row("POST", "/sign-in/code", "/sign-in/code", everybody(401)),
    Row("GET", "/sign-in/role", "/sign-in/role", everybody(401)),
    Row("POST", "/sign-in/role", "/sign-in/role", everybody(401)),
    Row("GET", "/sign-in/again", "/sign-in/again", SIGNED_IN),
    Row("POST", "/sign-in/again", "/sign-in/again", everybody(401)),
    Row("POST", "/sign-in/passkey/options", "/sign-in/passkey/options", everybody(200)),
    Row("POST", "/sign-in/passkey", "/sign-in/passkey", everybody(400)),
    Row("POST", "/sign-in/again/passkey", "/sign-in/again/passkey", by_role(400, 400, 400, 400, patients=(400, 400))),
    Row("GET", "/setup", "/setup", everybody(200)),
    Row("POST", "/setup", "/setup", everybody(401)),
    Row("GET", "/setup/choose", "/setup/choose", everybody(401)),
    Row("POST", "/setup/password", "/setup/password", everybody(401)),
    Row("POST", "/setup/passkey/options", "/setup/passkey/options", everybody(401)),
    Row("POST", "/setup/passkey", "/setup/passkey", everybody(400)),
    Row("GET", "/dicom-web/studies/{study}", f"{WEB}{S}", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/series/{series}", f"{WEB}{S}{R}", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/series/{series}/instances/{instance}", f"{WEB}{S}{R}{N}", IMAGES),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}",
        f"{WEB}{S}{R}{N}/frames/1",
        IMAGES,
    ),
    Row("GET", "/dicom-web/wado", f"{WEB}/wado", MEANT_BY_NOBODY),
    Row("GET", "/dicom-web/studies/{study}/rendered", f"{WEB}{S}/rendered", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/thumbnail", f"{WEB}{S}/thumbnail", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/series/{series}/rendered", f"{WEB}{S}{R}/rendered", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/series/{series}/thumbnail", f"{WEB}{S}{R}/thumbnail", IMAGES),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/rendered",
        f"{WEB}{S}{R}{N}/rendered",
        IMAGES,
    ),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/thumbnail",
        f"{WEB}{S}{R}{N}/thumbnail",
        IMAGES,
    ),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/rendered",
        f"{WEB}{S}{R}{N}/frames/1/rendered",
        IMAGES,
    ),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}/thumbnail",
        f"{WEB}{S}{R}{N}/frames/1/thumbnail",
        IMAGES,
    ),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path:path}",
        f"{WEB}{S}{R}{N}/bulkdata/7FE00010",
        IMAGES,
    ),
    Row("GET", "/dicom-web/studies/{study}/metadata", f"{WEB}{S}/metadata", IMAGES),
    Row("GET", "/dicom-web/studies/{study}/series/{series}/metadata", f"{WEB}{S}{R}/metadata", IMAGES),
    Row(
        "GET",
        "/dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata",
        f"{WEB}{S}{R}{N}/metadata",
        IMAGES,
    ),
    Row("GET", "/dicom-web/studies", f"{WEB}/studies", SEARCH),
    Row("GET", "/dicom-web/studies/{study}/series", f"{WEB}{S}/series", SEARCH),
    Row("GET", "/dicom-web/series", f"{WEB}/series", SEARCH),
    Row("GET", "/dicom-web/studies/{study}/instances", f"{WEB}{S}/instances", SEARCH),
    Row("GET", "/dicom-web/studies/{study}/series/{series}/instances", f"{WEB}{S}{R}/instances", SEARCH),
    Row("GET", "/dicom-web/instances", f"{WEB}/instances", SEARCH),
    Row("POST", "/dicom-web/studies", f"{WEB}/studies", STORES),
    Row("POST", "/dicom-web/studies/{study}", f"{WEB}{S}", STORES),
    Row("OPTIONS", "/dicom-web", f"{WEB}", SEARCH),
    Row("OPTIONS", "/dicom-web/{path:path}", f"{WEB}/7FE00010", NOT_THERE),
    Row("GET", "/viewer", "/viewer", SEARCH),
    Row("GET", "/viewer/{path:path}", "/viewer/app-config.js", NOT_THERE),
    Row("GET", "/", "/", by_role(303, 303, 303, 303, patients=(303, 303))),
    Row("GET", "/studies", "/studies", SEARCH),
    Row("POST", "/studies", "/studies", SEARCH),
    Row("GET", "/studies/{study:uid}", f"{S}", by_role(200, 200, 403, 403, north=(404, 404), patients=(403, 404))),
    Row(
        "POST",
        "/studies/{study:uid}/shares",
        f"{S}/shares",
        by_role(400, 400, 403, 403, north=(404, 404), patients=(403, 404)),
    ),
    Row("POST", "/studies/{study:uid}/shares/{share:number}/end", f"{S}/shares/1/end", by_role(404, 404, 403, 403)),
    Row("GET", "/studies/{study:uid}/download", f"{S}/download", IMAGES),
    Row("GET", "/upload", "/upload", DECISIONS),
    Row("GET", "/quarantine", "/quarantine", DECISIONS),
    Row("GET", "/quarantine/{number:number}", "/quarantine/99", NONE_SUCH),
    Row("POST", "/quarantine/{number:number}/release", "/quarantine/99/release", NONE_SUCH),
    Row("POST", "/quarantine/{number:number}/destroy", "/quarantine/99/destroy", NONE_SUCH),
    Row("GET", "/reviews", "/reviews", DECISIONS),
    Row("GET", "/reviews/{number:number}", "/reviews/99", NONE_SUCH),
    Row("GET", "/reviews/{number:number}/frames/{frame:number}/{side}", "/reviews/99/frames/1/kept", NONE_SUCH),
    Row("POST", "/reviews/{number:number}/accept", "/reviews/99/accept", NONE_SUCH),
    Row("POST", "/reviews/{number:number}/reject", "/reviews/99/reject", NONE_SUCH),
    Row("GET", "/access", "/access", ACCESS),
    Row("POST", "/access", "/access", ACCESS),
    Row("GET", "/devices", "/devices", ADMINISTRATION),
    Row("POST", "/devices", "/devices", UNREADABLE),
    Row("GET", "/devices/{name}", "/devices/no-such", NO_SUCH),
    Row("POST", "/devices/{name}/disable", "/devices/no-such/disable", NO_SUCH),
    Row("POST", "/devices/{name}/enable", "/devices/no-such/enable", by_role(403, 404, 404, 403)),
    Row("GET", "/users", "/users", ADMINISTRATION),
    Row("POST", "/users", "/users", UNREADABLE),
    Row("POST", "/users/{name}/disable", "/users/no-such/disable", NO_SUCH),
    Row("POST", "/users/{name}/reset", "/users/no-such/reset", NO_SUCH),
    Row("GET", "/tokens", "/tokens", ADMINISTRATION),
    Row("POST", "/tokens", "/tokens", UNREADABLE),
    Row("POST", "/tokens/{name}/revoke", "/tokens/no-such/revoke", NO_SUCH),
)

#: Tried where it can be undone: it ends the session that asks (test_signin.py).
ELSEWHERE = {("POST", "/sign-out")}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with issuing(tmp_path_factory.mktemp("issuer")) as made:
        yield made


@pytest.fixture(scope="module")
def archive(furnished: Served, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that believes the issuer."""
    with furnished.copy(tmp_path_factory.mktemp("matrix"), settings=issuer.settings()) as served:
        yield served


@pytest.fixture(scope="module")
def clients(archive: Served, issuer: Issuer) -> Iterator[dict[str, httpx.Client]]:
    store(archive, ct(study=STUDY, series=SERIES, instance=INSTANCE, patient_id="P-1"))

    def smart(patient: str) -> str:
        return issuer.token_now(scope="patient/ImagingStudy.rs", patient_id=patient, sub=patient)

    add_user(archive, "m-token", "clinician")
    tokens = {"token": token_of(archive, "m-token"), "patient": smart("P-1"), "other patient": smart("P-2")}
    # Each from an address of its own: what one of them fails at is not to lock out the others.
    places = {who: f"127.0.0.{number}" for number, who in enumerate(WHO, 2)}
    with ExitStack() as stack:
        made = {who: page_of(archive, places[who]) for who in WHO if who not in tokens}
        made |= {who: browser(archive, token, places[who]) for who, token in tokens.items()}
        for client in made.values():
            stack.enter_context(client)
        for who, site in (*((role, "default") for role in ROLES), *((role, "north") for role in NORTH)):
            role = who.removeprefix("north ")
            enrolled(archive, f"m-{site}-{role}", role, site=site).sign_in(made[who])
        for client in made.values():
            client.headers["Accept"] = "*/*"
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.template}")
def test_who_may_what(clients: dict[str, httpx.Client], row: Row) -> None:
    assert {who: _answer(clients[who], row) for who in WHO} == dict(zip(WHO, row.statuses, strict=True))


def _answer(client: httpx.Client, row: Row) -> int:
    form = row.form or {"unknown": "field"}
    return client.request(row.method, row.path, data=form if row.method == "POST" else None).status_code


SEARCHES = [row for row in ROWS if row.statuses == SEARCH and row.method == "GET" and row.path.startswith(WEB)]


@pytest.mark.parametrize("row", SEARCHES, ids=lambda row: row.template)
def test_what_is_not_ones_own_is_not_there(clients: dict[str, httpx.Client], row: Row) -> None:
    """Neither in lists nor in counts, and a study that is known by its UID is as one that nobody has."""
    asked = {"StudyInstanceUID": STUDY}
    for who in ("clinician", "steward", "token", "patient"):
        assert len(clients[who].get(row.path, params=asked).json()) == 1, who
    for who in ("north clinician", "north steward", "other patient"):
        hidden = clients[who].get(row.path, params=asked)
        missing = clients[who].get(row.path.replace(STUDY, "1.2.3"), params={"StudyInstanceUID": "1.2.3"})
        assert hidden.json() == missing.json() == [], who
        assert hidden.headers.keys() == missing.headers.keys()


SHOWN = [row for row in ROWS if row.statuses == IMAGES and row.path.startswith(WEB)]


@pytest.mark.parametrize("row", SHOWN, ids=lambda row: row.template)
def test_a_uid_that_is_guessed_tells_nothing(clients: dict[str, httpx.Client], row: Row) -> None:
    """What another site or another patient has is answered, to the letter, as what nobody has."""
    for who in ("north clinician", "north steward", "other patient"):
        hidden, missing = (clients[who].get(path) for path in (row.path, row.path.replace(STUDY, "1.2.3")))
        assert hidden.content == missing.content
        assert {**hidden.headers, "date": ""} == {**missing.headers, "date": ""}


def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    create_archive(tmp_path / "data", tmp_path / "keys", ())
    archive = open_archive(tmp_path / "data", tmp_path / "keys", ArchiveConfig())
    try:
        routes = {
            (method, route.path)
            for route in build(archive, Decoding(DecoderPool(DecoderLimits()), archive.limits), {"localhost"}).routes
            if isinstance(route, Route)
            for method in (route.methods or {"ANY"}) - {"HEAD"}
        }
    finally:
        archive.close()
    assert routes == {row.route for row in ROWS} | ELSEWHERE
