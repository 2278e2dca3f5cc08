"""Console, static files and viewer without a browser: who gets what, under which headers."""

import gzip
from collections.abc import Iterator

import httpx
import pytest

from leadglass.server.web.viewer import Bundle
from tests.served import Served
from tests.web import as_user, browser

PAGE = {"Accept": "text/html"}
VIEWERS = frozenset({"clinician", "steward"})
#: Path → the roles that get it.
FOR = {
    "/studies": VIEWERS,
    "/upload": {"steward"},
    "/access": {"steward", "auditor"},
    "/devices": {"administrator"},
    "/devices/scanner": {"administrator"},
    "/users": {"administrator"},
    "/tokens": {"administrator"},
    "/viewer/": VIEWERS,
    "/viewer/viewer": VIEWERS,
}
ROLES = ("clinician", "steward", "administrator", "auditor")


@pytest.fixture(scope="module")
def clients(archive: Served) -> Iterator[dict[str, httpx.Client]]:
    made = {role: as_user(archive, role) for role in ROLES}
    yield made
    for client in made.values():
        client.close()


@pytest.mark.parametrize("path", FOR)
@pytest.mark.parametrize("role", ROLES)
def test_roles_decide(clients: dict[str, httpx.Client], path: str, role: str) -> None:
    answer = clients[role].get(path, headers=PAGE)
    assert answer.status_code == (200 if role in FOR[path] else 403), answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_who_is_refused_reads_why_in_words(clients: dict[str, httpx.Client]) -> None:
    page = clients["clinician"].get("/devices", headers=PAGE).text
    assert "The role clinician may not manage devices and users." in page
    assert "Sign in with another role, or ask an administrator." in page


@pytest.mark.parametrize("path", FOR)
def test_nobody_gets_nothing(archive: Served, path: str) -> None:
    with browser(archive) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers=PAGE).headers["location"].startswith("/sign-in")


def test_studies_that_are_not_there_look_like_those_that_are_not_for_one(clients: dict[str, httpx.Client]) -> None:
    # A query would take a wildcard, and a list.
    for path in ("/studies/1.2.3", "/studies/1.2.3/download", "/studies/*", "/studies/1.2.3%5C1.2.4", "/studies/1.?"):
        assert clients["clinician"].get(path, headers=PAGE).status_code == 404
        assert clients["administrator"].get(path, headers=PAGE).status_code in (403, 404)


@pytest.mark.parametrize("path", ["/quarantine/{}", "/reviews/{}", "/reviews/1/frames/{}/kept"])
def test_a_number_longer_than_any_is_not_there(clients: dict[str, httpx.Client], path: str) -> None:
    for number in (10**18 - 1, 10**19, 10**4000):
        assert clients["steward"].get(path.format(number)).status_code == 404


@pytest.mark.parametrize(
    "typed",
    [
        {"text": "a\\b*?^=%"},
        {"text": "'; DROP TABLE study --"},
        {"page": "-1"},
        {"page": "9" * 40},
        {"modality": "nine"},
        {"period": "between", "first": "2026-99-99"},
        {"description": "<script>alert(1)</script>"},
    ],
)
def test_whatever_is_typed_is_a_search(clients: dict[str, httpx.Client], typed: dict[str, str]) -> None:
    answer = clients["clinician"].post("/studies", data=typed, headers=PAGE)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text


def test_who_has_not_signed_in_yet_is_told_apart(archive: Served, clients: dict[str, httpx.Client]) -> None:
    archive.run("user", "add", "invited", "--role", "clinician")
    line = (
        clients["administrator"].get("/users", headers=PAGE).text.split('action="/users/invited')[0].split("<tr>")[-1]
    )
    assert "not signed in yet" in line


def test_forms_are_bounded(clients: dict[str, httpx.Client]) -> None:
    post = clients["clinician"].post
    assert post("/studies", data={"text": "x" * 100_000}).status_code == 400
    assert post("/studies", data={str(number): "x" for number in range(100)}).status_code == 400
    assert post("/studies", json={"text": "x"}).status_code == 400


def test_static_files_are_open_and_kept(archive: Served) -> None:
    with browser(archive) as client:
        style = client.get("/static/console.css")
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        again = client.get("/static/console.css", headers={"If-None-Match": style.headers["etag"]})
        assert again.status_code == 304
        kept = client.get(f"/static/console.css?v={style.headers['etag'].strip(chr(34))}")
        assert "immutable" in kept.headers["cache-control"]
        for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/static/nothing.css"):
            assert client.get(path).status_code in (401, 404), path


def test_the_viewer_is_served_as_it_was_built(clients: dict[str, httpx.Client]) -> None:
    bundle = Bundle.load()
    if bundle is None:
        pytest.skip("the build had no network")
    with_gzip = clients["clinician"].get(f"/viewer/{bundle.script}", headers={"Accept-Encoding": "gzip"})
    plain = clients["clinician"].get(f"/viewer/{bundle.script}", headers={"Accept-Encoding": "identity"})
    assert with_gzip.headers["content-encoding"] == "gzip"
    assert with_gzip.content == plain.content == gzip.decompress((bundle.folder / bundle.script).read_bytes())
    assert "immutable" in plain.headers["cache-control"]
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    for path in ("/viewer/manifest.json", "/viewer/../made-by", "/viewer/%2e%2e/made-by", "/viewer/no.js"):
        assert clients["clinician"].get(path).status_code == 404, path


def test_only_the_codec_worker_may_make_functions_from_text(clients: dict[str, httpx.Client]) -> None:
    bundle = Bundle.load()
    if bundle is None:
        pytest.skip("the build had no network")
    for name in bundle.files:
        policy = clients["clinician"].head(f"/viewer/{name}").headers["content-security-policy"]
        assert ("'unsafe-eval'" in policy) == (name == bundle.codec_worker)
        assert "'unsafe-inline'" not in policy
