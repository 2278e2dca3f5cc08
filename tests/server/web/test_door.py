"""The door itself: HTTPS only, closed by default, the same headers everywhere."""

from pathlib import Path

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


def test_every_answer_carries_the_headers(archive: Served) -> None:
    with as_user(archive, "clinician") as client:
        for path in ("/healthz", "/sign-in", "/studies", "/dicom-web/studies", "/no-such-thing", "/static/console.css"):
            headers = client.get(path).headers
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "'unsafe-inline'" not in headers["content-security-policy"]
            assert "server" not in headers
            # What came from devices is no page of ours.
            assert ("sandbox" in headers["content-security-policy"]) == path.startswith("/dicom-web")
            if not path.startswith("/static"):
                assert "no-store" in headers["cache-control"] or "private" in headers["cache-control"], path


def test_metrics_need_a_token_that_may_read_them(archive: Served) -> None:
    with as_user(archive, "clinician") as client:
        assert client.get("/metrics").status_code == 403
    with as_user(archive, "auditor") as client:
        client.get("/dicom-web/studies/1.2.3.4.5.6")
        shown = client.get("/metrics").text
        assert 'leadglass_http_requests_total{area="dicom-web",method="GET",status="403"}' in shown
        assert "1.2.3.4.5.6" not in shown


def test_other_origins_may_ask_only_where_they_are_configured(furnished: Served, tmp_path: Path) -> None:
    friend, stranger = "https://viewer.example", "https://evil.example"
    asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Authorization"}
    for folder, origins in (("closed", ""), ("open", f'"{friend}"')):
        (tmp_path / folder).mkdir()
        with furnished.copy(tmp_path / folder, settings=f"[web]\norigins = [{origins}]\n") as archive:
            with browser(archive) as client:
                found = {
                    origin: client.options("/dicom-web/studies", headers={"Origin": origin, **asks}).headers.get(
                        "access-control-allow-origin"
                    )
                    for origin in (friend, stranger)
                }
            assert found == {friend: friend if origins else None, stranger: None}
            with as_user(archive, "clinician") as program:
                answer = program.get("/dicom-web/studies", headers={"Origin": friend})
                assert answer.status_code == 200
                assert answer.headers.get("access-control-allow-origin") == (friend if origins else None)
                assert "access-control-allow-credentials" not in answer.headers
                assert ("Warning" in answer.headers.get("access-control-expose-headers", "")) == bool(origins)
                # Errors can be read too, or an application could say no more than that it failed.
                for path in ("/dicom-web/studies/1.2.3", "/dicom-web/studies?limit=x", "/users", "/no-such"):
                    wrong = program.get(path, headers={"Origin": friend})
                    assert wrong.status_code in (400, 403, 404)
                    assert wrong.headers.get("access-control-allow-origin") == (friend if origins else None)
                refused = program.get("/dicom-web/studies", headers={"Origin": friend, "Authorization": "Bearer x"})
                assert refused.status_code == 401
                assert refused.headers.get("access-control-allow-origin") == (friend if origins else None)


def test_a_link_leads_to_the_port_that_is_served(archive: Served) -> None:
    assert f"https://localhost:{archive.https_port}/setup#" in archive.run("user", "add", "linked", "--role", "auditor")
