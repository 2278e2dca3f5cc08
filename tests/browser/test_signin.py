"""Sign-in as people do it: the first run, password and code, passkeys, sign-out, time-out."""

import re
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from leadglass.server.web.signin.cookies import SESSION
from tests.browser.conftest import keep_session, new_context
from tests.served import Served
from tests.server.web.people import PASSWORD, Person, enrolled, page_of

IDLE_SECONDS = 6


@pytest.fixture(scope="module")
def fresh(new_archive: Served) -> Iterator[Served]:
    """At its first `serve`."""
    with new_archive:
        yield new_archive


@pytest.fixture
def context(browser: Browser, fresh: Served) -> Iterator[BrowserContext]:
    context = new_context(browser, fresh)
    yield context
    context.close()


@pytest.fixture(scope="module")
def administrator(fresh: Served) -> Person:
    return Person("admin")


def open_link(page: Page, printed: str, port: int) -> None:
    """`init` names the port that `serve` would take by itself."""
    found = re.search(r"/setup#\S+", printed)
    assert found, printed
    page.goto(f"https://localhost:{port}{found[0]}")
    expect(page.get_by_label("Token of your link")).to_have_value(found[0].removeprefix("/setup#"))
    assert "#" not in page.url
    page.get_by_role("button", name="Begin").click()


def test_first_run_by_the_link_that_init_printed(
    context: BrowserContext, fresh: Served, administrator: Person, tmp_path: Path
) -> None:
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    open_link(page, (fresh.folder / "init.txt").read_text(), fresh.https_port)
    page.get_by_text("It cannot be scanned?").click()
    administrator.secret = page.locator("details .mono").inner_text().replace(" ", "")
    assert pyotp.TOTP(administrator.secret).secret
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same once more").fill(PASSWORD)
    page.get_by_label("Code from your authenticator app").fill(administrator.code())
    page.get_by_role("button", name="Use these").click()
    expect(page.get_by_role("heading", name="Devices", exact=True)).to_be_visible()
    expect(page.get_by_text("No devices yet")).to_be_visible()


def test_password_and_code_then_sign_out(context: BrowserContext, administrator: Person) -> None:
    page = context.new_page()
    page.goto("/users")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Code from your authenticator app").fill(administrator.code())
    page.get_by_role("button", name="Sign in with a password").click()
    expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_passkey_is_made_and_used(context: BrowserContext, fresh: Served) -> None:
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    open_link(page, fresh.run("user", "add", "pia.key", "--role", "clinician"), fresh.https_port)
    page.get_by_role("button", name="Make a passkey").click()
    expect(page.get_by_role("heading", name="Studies", exact=True)).to_be_visible()
    expect(page.get_by_text("No studies yet")).to_be_visible()
    page.locator(".account summary").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Studies", exact=True)).to_be_visible()


def test_an_idle_page_goes_away_with_its_session(browser: Browser, furnished: Served, tmp_path: Path) -> None:
    settings = f"[sign_in]\nidle_minutes = {IDLE_SECONDS / 60}\n"
    with furnished.copy(tmp_path, settings=settings) as archive:
        person = enrolled(archive, "ina.idle", "administrator")
        context = new_context(browser, archive)
        with page_of(archive) as client:
            person.sign_in(client)
            keep_session(context, archive, client.cookies[SESSION])
        page = context.new_page()
        page.goto("/devices")
        page.evaluate("sessionStorage.setItem('search search', 'a name')")
        page.wait_for_url(re.compile(r"/sign-in\?next=%2Fdevices$"))
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        page.evaluate("sessionStorage.setItem('search search', 'of another tab, which saw no script')")
        page.goto("/users")
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0
        context.close()
