"""Every route, every role: who may what, at the own site and at another. A route that is not in the table fails it."""

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
from tests.clients import ROOT, ct, store
from tests.served import Served
from tests.server.web.people import enrolled, page_of

STUDY = f"{ROOT}.77"
SERIES, INSTANCE = f"{STUDY}.1", f"{STUDY}.1.1"
S, R, N = f"/studies/{STUDY}", f"/series/{SERIES}", f"/instances/{INSTANCE}"
WEB = "/dicom-web"
#: Signed in in the browser, each in one role; the last two are a clinician of another site, and nobody.
WHO = ("clinician", "steward", "administrator", "auditor", "elsewhere", "nobody")


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


#: What shows images of one study: to those of its site who may see any.
IMAGES = (200, 200, 403, 403, 404, 401)
#: What searches: everybody finds what is its own, and nothing else (`test_another_site_is_not_there`).
SEARCH = (200, 200, 403, 403, 200, 401)
#: What administrators do; of something that is not there, and with a form that cannot be meant.
ADMINISTRATION = (403, 403, 200, 403, 403, 401)
NO_SUCH = (403, 403, 404, 403, 403, 401)
UNREADABLE = (403, 403, 400, 403, 403, 401)
#: What stewards decide about (test_stewards.py), and the same of something that is not there.
DECISIONS = (403, 200, 403, 403, 403, 401)
NONE_SUCH = (403, 404, 403, 403, 403, 401)

ROWS = (
    Row("GET", "/healthz", "/healthz", everybody(200)),
    Row("GET", "/metrics", "/metrics", (403, 403, 200, 200, 403, 401)),
    Row("GET", "/static/{name}", "/static/console.css", everybody(200)),
    Row("GET", "/sign-in", "/sign-in", everybody(200)),
    Row("POST", "/sign-in", "/sign-in", everybody(401)),
    Row("GET", "/sign-in/code", "/sign-in/code", everybody(401)),
    Row("POST", "/sign-in/code", "/sign-in/code", everybody(401)),
    Row("GET", "/sign-in/role", "/sign-in/role", everybody(401)),
    Row("POST", "/sign-in/role", "/sign-in/role", everybody(401)),
    Row("GET", "/sign-in/again", "/sign-in/again", (200, 200, 200, 200, 200, 401)),
    Row("POST", "/sign-in/again", "/sign-in/again", everybody(401)),
    Row("POST", "/sign-in/passkey/options", "/sign-in/passkey/options", everybody(200)),
    Row("POST", "/sign-in/passkey", "/sign-in/passkey", everybody(400)),
    Row("POST", "/sign-in/again/passkey", "/sign-in/again/passkey", (400, 400, 400, 400, 400, 401)),
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
    Row("GET", "/dicom-web/wado", f"{WEB}/wado", (400, 400, 403, 403, 400, 401)),
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
    Row("POST", "/dicom-web/studies", f"{WEB}/studies", (403, 415, 403, 403, 403, 401)),
    Row("POST", "/dicom-web/studies/{study}", f"{WEB}{S}", (403, 415, 403, 403, 403, 401)),
    Row("OPTIONS", "/dicom-web", f"{WEB}", SEARCH),
    Row("OPTIONS", "/dicom-web/{path:path}", f"{WEB}/7FE00010", (404, 404, 403, 403, 404, 401)),
    Row("GET", "/viewer", "/viewer", SEARCH),
    Row("GET", "/viewer/{path:path}", "/viewer/app-config.js", (404, 404, 403, 403, 404, 401)),
    Row("GET", "/", "/", (303, 303, 303, 303, 303, 401)),
    Row("GET", "/studies", "/studies", SEARCH),
    Row("POST", "/studies", "/studies", SEARCH),
    Row("GET", "/studies/{study}", f"{S}", IMAGES),
    Row("POST", "/studies/{study}/shares", f"{S}/shares", (400, 400, 403, 403, 404, 401)),
    Row("POST", "/studies/{study}/shares/{share:int}/end", f"{S}/shares/1/end", (404, 404, 403, 403, 404, 401)),
    Row("GET", "/studies/{study}/download", f"{S}/download", IMAGES),
    Row("GET", "/upload", "/upload", (403, 200, 403, 403, 403, 401)),
    Row("GET", "/quarantine", "/quarantine", DECISIONS),
    Row("GET", "/quarantine/{number:int}", "/quarantine/99", NONE_SUCH),
    Row("POST", "/quarantine/{number:int}/release", "/quarantine/99/release", NONE_SUCH),
    Row("POST", "/quarantine/{number:int}/destroy", "/quarantine/99/destroy", NONE_SUCH),
    Row("GET", "/reviews", "/reviews", DECISIONS),
    Row("GET", "/reviews/{number:int}", "/reviews/99", NONE_SUCH),
    Row("GET", "/reviews/{number:int}/frames/{frame:int}/{side}", "/reviews/99/frames/1/kept", NONE_SUCH),
    Row("POST", "/reviews/{number:int}/accept", "/reviews/99/accept", NONE_SUCH),
    Row("POST", "/reviews/{number:int}/reject", "/reviews/99/reject", NONE_SUCH),
    Row("GET", "/access", "/access", (403, 200, 403, 200, 403, 401)),
    Row("POST", "/access", "/access", (403, 200, 403, 200, 403, 401)),
    Row("GET", "/devices", "/devices", ADMINISTRATION),
    Row("POST", "/devices", "/devices", UNREADABLE),
    Row("GET", "/devices/{name}", "/devices/no-such", NO_SUCH),
    Row("POST", "/devices/{name}/disable", "/devices/no-such/disable", NO_SUCH),
    Row("POST", "/devices/{name}/enable", "/devices/no-such/enable", (403, 404, 404, 403, 403, 401)),
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
def clients(archive: Served) -> Iterator[dict[str, httpx.Client]]:
    store(archive, ct(study=STUDY, series=SERIES, instance=INSTANCE))
    with ExitStack() as stack:
        made = {who: stack.enter_context(page_of(archive)) for who in WHO}
        for who in WHO[:4]:
            enrolled(archive, f"m-{who}", who).sign_in(made[who])
        enrolled(archive, "m-elsewhere", "clinician", site="north").sign_in(made["elsewhere"])
        for client in made.values():
            client.headers["Accept"] = "*/*"
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.template}")
def test_who_may_what(clients: dict[str, httpx.Client], row: Row) -> None:
    got = tuple(_answer(clients[who], row) for who in WHO)
    assert got == row.statuses


def _answer(client: httpx.Client, row: Row) -> int:
    form = row.form or {"unknown": "field"}
    return client.request(row.method, row.path, data=form if row.method == "POST" else None).status_code


SEARCHES = [row for row in ROWS if row.statuses == SEARCH and row.method == "GET" and row.path.startswith(WEB)]


@pytest.mark.parametrize("row", SEARCHES, ids=lambda row: row.template)
def test_another_site_is_not_there(clients: dict[str, httpx.Client], row: Row) -> None:
    """Neither in lists nor in counts, and a study that is known by its UID is as one that nobody has."""
    asked = {"StudyInstanceUID": STUDY}
    assert len(clients["clinician"].get(row.path, params=asked).json()) == 1
    hidden = clients["elsewhere"].get(row.path, params=asked)
    missing = clients["elsewhere"].get(row.path.replace(STUDY, "1.2.3"), params={"StudyInstanceUID": "1.2.3"})
    assert hidden.json() == missing.json() == []
    assert hidden.headers.keys() == missing.headers.keys()


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
