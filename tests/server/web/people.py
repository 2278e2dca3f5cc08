"""Somebody who signs in: what their browser sends, and the app on their phone."""

import re
import time
from dataclasses import dataclass, field

import httpx
import pyotp

from tests.served import Served
from tests.web import browser

PASSWORD = "a herd of purple llamas"


@dataclass
class Person:
    """Each step of codes is used once (RFC 6238 5.2). That after the present one is good as well, so that somebody may
    sign in twice in a row; who needs more would have to wait, and no test does."""

    name: str
    password: str = PASSWORD
    secret: str = ""
    last_step: int = field(default=0)

    def code(self) -> str:
        present = int(time.time() // 30)
        self.last_step = max(present, self.last_step + 1)
        assert self.last_step <= present + 1, f"{self.name} signs in too often for its codes"
        return pyotp.TOTP(self.secret).generate_otp(self.last_step)

    def sign_in(self, client: httpx.Client, **fields: str) -> httpx.Response:
        form = {"name": self.name, "password": self.password} | fields
        if "code" not in form:
            form["code"] = self.code() if self.secret else ""
        return post(client, "/sign-in", form)


def page_of(archive: Served, address: str = "127.0.0.1") -> httpx.Client:
    """A browser at one of our own pages: it says where its requests come from."""
    client = browser(archive, address=address)
    origin = f"https://localhost:{archive.https_port}"
    client.headers.update({"Accept": "text/html", "Sec-Fetch-Site": "same-origin", "Origin": origin})
    return client


def post(client: httpx.Client, path: str, form: dict[str, str]) -> httpx.Response:
    return client.post(path, data=form)


def link_secret(printed: str) -> str:
    """The secret of the link that a command has printed."""
    found = re.search(r"https://\S+/setup#(\S+)", printed)
    assert found, printed
    return found[1]


def shown_secret(page: str) -> str:
    """The TOTP secret in letters, as a page shows it below the QR code."""
    found = re.search(r'<p class="mono">([A-Z2-7 ]+)</p>', page)
    assert found, page
    return found[1].replace(" ", "")


def enrolled(archive: Served, name: str, *roles: str, site: str = "default") -> Person:
    """A new user who has used the link: password and code."""
    given = [word for role in roles for word in ("--role", role)]
    printed = archive.run("user", "add", name, *given, "--site", site)
    with page_of(archive) as client:
        person = set_up(client, name, link_secret(printed))
        client.post("/sign-out")
    return person


def set_up(client: httpx.Client, name: str, secret: str) -> Person:
    """Leaves the client signed in, or at the choice of a role."""
    opened = post(client, "/setup", {"token": secret})
    assert opened.status_code == 303, opened.text
    choice = client.get(opened.headers["location"])
    assert choice.status_code == 200, choice.text
    person = Person(name, secret=shown_secret(choice.text))
    done = post(client, "/setup/password", {"password": PASSWORD, "repeated": PASSWORD, "code": person.code()})
    assert done.status_code == 303, done.text
    return person
