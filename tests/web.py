"""The web door as its clients see it: httpx over HTTPS, trusting the archive's own authority."""

import ssl

import httpx

from leadglass.crypto.keys import KeyFile
from tests.served import Served


def trusting(archive: Served) -> ssl.SSLContext:
    """What a client needs: the local authority, and no certificate of its own."""
    return ssl.create_default_context(cafile=str(archive.keys / KeyFile.CA_CERTIFICATE))


def add_user(archive: Served, name: str, *roles: str, site: str = "default") -> None:
    """Works whether the archive is served or not."""
    given = [word for role in roles for word in ("--role", role)]
    archive.run("user", "add", name, *given, "--site", site)


def token_of(archive: Served, user: str, *options: str, expires: str = "1h") -> str:
    return archive.run("token", "create", "--user", user, "--expires", expires, *options).splitlines()[-1]


def browser(archive: Served, token: str = "", address: str = "127.0.0.1") -> httpx.Client:
    """A client of a served archive; with a token it is that token's user. Use it as a context manager. Paths are
    relative to the root: `client.get("/dicom-web/studies")`. `address`: of loopback, where it comes from."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(
        base_url=f"https://localhost:{archive.https_port}",
        transport=httpx.HTTPTransport(verify=trusting(archive), trust_env=False, local_address=address),
        headers=headers,
        timeout=30,
        trust_env=False,
    )


def as_user(archive: Served, role: str, *, site: str = "default", user: str = "") -> httpx.Client:
    """A client with a token of a new user of one role at one site, called ROLE-SITE unless named."""
    name = user or f"{role}-{site}"
    if name not in archive.run("user", "list"):
        add_user(archive, name, role, site=site)
    return browser(archive, token_of(archive, name))
