"""The door itself: HTTPS only, closed by default, the same headers everywhere."""

from tests.served import Served
from tests.web import as_user, browser


def test_nothing_is_served_without_a_principal(archive: Served) -> None:
    with browser(archive) as stranger:
        for path in ("/", "/dicom-web/studies", "/viewer/", "/studies", "/metrics", "/no-such-thing"):
            answer = stranger.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer"), path


def test_a_bad_token_is_refused_even_where_none_is_needed(archive: Served) -> None:
    with browser(archive, "leadglass_guess") as stranger:
        assert stranger.get("/healthz").status_code == 401


def test_health_tells_no_more_than_that_it_is_well(archive: Served) -> None:
    with browser(archive) as stranger:
        answer = stranger.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_token_is_let_in_and_a_revoked_one_is_not(archive: Served) -> None:
    with as_user(archive, "clinician", user="revoked") as client:
        assert client.get("/no-such-thing").status_code == 404
        name = archive.run("token", "list").split("revoked")[0].split()[-1]
        archive.run("token", "revoke", name)
        assert client.get("/no-such-thing").status_code == 401
