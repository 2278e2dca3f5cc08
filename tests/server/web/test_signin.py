"""Signing in and out as a browser does it."""

from pathlib import Path

import httpx
import pytest

from leadglass.server.web.signin.cookies import SESSION
from tests.served import Served
from tests.server.web.people import PASSWORD, Person, enrolled, link_secret, page_of, post, set_up, shown_secret


def signed_in(client: httpx.Client) -> bool:
    return client.get("/sign-in/again").status_code == 200


def test_a_link_sets_up_an_account_once(archive: Served) -> None:
    secret = link_secret(archive.run("user", "add", "anna", "--role", "clinician"))
    with page_of(archive) as client:
        assert not signed_in(client)
        set_up(client, "anna", secret)
        assert signed_in(client)
    with page_of(archive) as thief:
        again = post(thief, "/setup", {"token": secret})
        assert again.status_code == 401
        assert "works once" in again.text


def test_password_and_code_sign_in_and_a_code_works_once(archive: Served) -> None:
    link = link_secret(archive.run("user", "add", "bert", "--role", "clinician"))
    with page_of(archive) as client:
        person = set_up(client, "bert", link)
        client.post("/sign-out")
        code = person.code()
        done = post(client, "/sign-in", {"name": "bert", "password": PASSWORD, "code": code, "next": "/studies/1.2.3"})
        assert (done.status_code, done.headers["location"]) == (303, "/studies/1.2.3")
        assert signed_in(client)
        assert client.post("/sign-out").headers["location"] == "/sign-in"
        assert not signed_in(client)
        assert post(client, "/sign-in", {"name": "bert", "password": PASSWORD, "code": code}).status_code == 401


@pytest.mark.parametrize(
    "wrong", [{"password": "another password!"}, {"code": "000000"}, {"code": ""}, {"name": "nobody"}, {"name": ""}]
)
def test_whatever_is_wrong_the_answer_is_the_same(archive: Served, wrong: dict[str, str]) -> None:
    name = f"carl-{'-'.join(wrong)}-{len(next(iter(wrong.values())))}"
    person = enrolled(archive, name, "clinician")
    with page_of(archive) as client:
        answer = person.sign_in(client, **wrong)
        assert answer.status_code == 401
        assert "Name, password or code is wrong." in answer.text
        assert not signed_in(client)


def test_signing_in_ends_the_session_that_the_browser_had(archive: Served) -> None:
    """Whoever sat there before is out, and nobody's secret from before a sign-in is good after it."""
    first, second = (enrolled(archive, name, "clinician") for name in ("lara", "lars"))
    with page_of(archive) as client, page_of(archive) as before:
        first.sign_in(client)
        before.cookies = httpx.Cookies(client.cookies)
        assert signed_in(before)
        second.sign_in(client)
        assert signed_in(client)
        assert not signed_in(before)


def test_nobody_is_sent_elsewhere(archive: Served) -> None:
    with page_of(archive) as client:
        for elsewhere in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"):
            assert 'name="next" value="/"' in client.get("/sign-in", params={"next": elsewhere}).text
        assert enrolled(archive, "dora", "clinician").sign_in(client, next="//evil.example").headers["location"] == "/"


def test_a_session_has_one_role(archive: Served) -> None:
    person = enrolled(archive, "emil", "steward", "auditor")
    with page_of(archive) as client:
        first = person.sign_in(client)
        assert first.headers["location"] == "/sign-in/role"
        assert not signed_in(client)
        page = client.get("/sign-in/role").text
        assert 'value="steward"' in page
        assert 'value="auditor"' in page
        assert post(client, "/sign-in/role", {"role": "administrator"}).status_code == 400
        assert post(client, "/sign-in/role", {"role": "auditor"}).status_code == 303
        assert client.get("/dicom-web/studies").status_code == 403
        assert post(client, "/sign-in/role", {"role": "steward"}).status_code == 401


def test_a_password_from_the_command_line_needs_a_code_at_first_sign_in(archive: Served) -> None:
    archive.run("user", "add", "fred", "--role", "clinician", "--password-stdin", stdin=f"{PASSWORD}\n")
    with page_of(archive) as client:
        person = Person("fred")
        assert person.sign_in(client).headers["location"] == "/sign-in/code"
        assert not signed_in(client)
        person.secret = shown_secret(client.get("/sign-in/code").text)
        assert post(client, "/sign-in/code", {"code": "000000"}).status_code == 401
        assert post(client, "/sign-in/code", {"code": person.code()}).status_code == 303
        assert signed_in(client)
        client.post("/sign-out")
        assert person.sign_in(client, code="").status_code == 401
        assert person.sign_in(client).status_code == 303


def test_reset_ends_sessions_tokens_and_credentials(archive: Served) -> None:
    link = link_secret(archive.run("user", "add", "gina", "--role", "clinician"))
    token = archive.run("token", "create", "--user", "gina", "--expires", "1h").splitlines()[-1]
    with page_of(archive) as client:
        person = set_up(client, "gina", link)
        assert signed_in(client)
        secret = link_secret(archive.run("user", "reset", "gina"))
        assert not signed_in(client)
        assert client.get("/studies", headers={"Authorization": f"Bearer {token}"}).status_code == 401
        assert person.sign_in(client).status_code == 401
        set_up(client, "gina", secret)
        assert signed_in(client)


def test_a_disabled_user_is_out_at_once(archive: Served) -> None:
    link = link_secret(archive.run("user", "add", "hugo", "--role", "clinician"))
    with page_of(archive) as client:
        person = set_up(client, "hugo", link)
        assert signed_in(client)
        archive.run("user", "disable", "hugo")
        assert not signed_in(client)
        assert person.sign_in(client).status_code == 401


def test_weak_passwords_are_refused_and_the_link_lives_on(archive: Served) -> None:
    secret = link_secret(archive.run("user", "add", "ida.long-name", "--role", "clinician"))
    with page_of(archive) as client:
        post(client, "/setup", {"token": secret})
        person = Person("ida.long-name", secret=shown_secret(client.get("/setup/choose").text))
        code = person.code()
        for password in ("short", "ida.long-name!", "aaaaaaaaaaaaaaaa", "x" * 300):
            form = {"password": password, "repeated": password, "code": code}
            assert post(client, "/setup/password", form).status_code == 400
        form = {"password": PASSWORD, "repeated": PASSWORD, "code": code}
        assert post(client, "/setup/password", form).status_code == 303


def test_sessions_outlive_the_process(furnished: Served, tmp_path: Path) -> None:
    with furnished.copy(tmp_path) as archive:
        person = enrolled(archive, "jana", "clinician")
        with page_of(archive) as client:
            person.sign_in(client)
            cookies = client.cookies
        archive.stop()
        archive.start()
        with page_of(archive) as client:
            client.cookies = cookies
            assert signed_in(client)


def test_cookies_are_for_nobody_else(archive: Served) -> None:
    person = enrolled(archive, "kurt", "clinician")
    with page_of(archive) as client:
        given = [header for header in person.sign_in(client).headers.get_list("set-cookie") if "step" not in header]
    for header in given:
        name, _, attributes = header.partition(";")
        assert name.startswith("__Host-leadglass=")
        parts = {part.strip().lower() for part in attributes.split(";")}
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= parts
        assert not any(part.startswith("domain") for part in parts)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": ""},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "", "Sec-Fetch-Site": ""},
    ],
)
def test_other_pages_cannot_act_for_a_user(archive: Served, headers: dict[str, str]) -> None:
    with page_of(archive) as client:
        for name, value in headers.items():
            if value:
                client.headers[name] = value
            else:
                del client.headers[name]
        for path in ("/sign-in", "/setup", "/sign-in/passkey/options"):
            assert client.post(path, data={"name": "x"}).status_code == 403, path
        # A browser sends the cookie along, whoever's page it is: nobody looks what it is worth.
        client.headers["Cookie"] = f"{SESSION}=anything"
        for path in ("/sign-out", "/users", "/studies/1.2.3/shares", "/dicom-web/studies"):
            answer = client.post(path, data={"name": "x"})
            assert (answer.status_code, "page of this archive" in answer.text) == (403, True), path


def test_guessing_is_slowed_down(furnished: Served, tmp_path: Path) -> None:
    with furnished.copy(tmp_path) as archive, page_of(archive) as client:
        archive.run("user", "add", "lena", "--role", "clinician", "--password-stdin", stdin=f"{PASSWORD}\n")
        person = Person("lena")
        found = [person.sign_in(client, password="wrong wrong wrong") for _ in range(7)]
        assert [answer.status_code for answer in found] == [401] * 6 + [429]
        assert 0 < int(found[-1].headers["retry-after"]) <= 30
        assert person.sign_in(client).status_code == 429


def test_a_stranger_at_the_passkey_door_is_told_when_to_come_again(furnished: Served, tmp_path: Path) -> None:
    with furnished.copy(tmp_path) as archive, page_of(archive) as client:
        for _ in range(32):
            client.post("/sign-in/passkey/options")
            answer = client.post("/sign-in/passkey", json={})
        assert (answer.status_code, 0 < int(answer.headers["retry-after"]) <= 30) == (429, True)
