"""One browser, one archive with studies in it, and people who are signed in."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, ViewportSize, expect, sync_playwright

from leadglass.server.web.signin.cookies import SESSION
from tests.browser.chromium import chromium_path, launched
from tests.browser.hostile import send_forgery, send_hostile
from tests.browser.studies import phantom_files, store_studies
from tests.served import Served
from tests.server.web.people import link_secret, page_of, post, set_up

#: Milliseconds until a condition that does not come about fails the test.
PATIENCE = 30_000
WIDE: ViewportSize = {"width": 1280, "height": 800}

Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    chromium_path()
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def new_archive(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Made, and never served yet; its link is in `init.txt`."""
    archive = Served(tmp_path_factory.mktemp("new"))
    (archive.folder / "init.txt").write_text(archive.run("init"))
    return archive


@pytest.fixture(scope="session")
def browser(playwright: Playwright, furnished: Served, new_archive: Served) -> Iterator[Browser]:
    with launched(playwright, (furnished, new_archive)) as running:
        yield running


@pytest.fixture(scope="session")
def hospital(browser: Browser, furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An archive with the phantom and pydicom's examples, and a person for each role."""
    archive = furnished.copy(tmp_path_factory.mktemp("hospital"))
    store_studies(archive)
    with archive:
        yield archive


@pytest.fixture(scope="session")
def people(hospital: Served) -> dict[str, str]:
    """Role → the secret of a session, once signed in; `elsewhere` is a clinician of the site north."""
    names = {
        "clinician": ("ana.lopez", "Dr. Ana López", "clinician", "default"),
        "steward": ("sam.weber", "Sam Weber", "steward", "default"),
        "auditor": ("ada.moss", "Ada Moss", "auditor", "default"),
        "elsewhere": ("noah.north", "Dr. Noah North", "clinician", "north"),
    }
    with page_of(hospital) as administrator:
        set_up(
            administrator, "kim.berg", link_secret(hospital.run("user", "add", "kim.berg", "--role", "administrator"))
        )
        sessions = {"administrator": administrator.cookies[SESSION]}
        for who, (name, person, role, site) in names.items():
            made = post(administrator, "/users", {"name": name, "person": person, "role": role, "site": site})
            with page_of(hospital) as client:
                set_up(client, name, link_secret(made.text.replace("</code>", " ")))
                sessions[who] = client.cookies[SESSION]
    return sessions


@pytest.fixture(scope="session")
def decisions(hospital: Served) -> None:
    """What waits for a steward: objects 1 to 3 of the quarantine, and review 1."""
    send_hostile(hospital)
    send_forgery(hospital, next(iter(phantom_files().values())))


@pytest.fixture
def visit(browser: Browser, hospital: Served, people: dict[str, str]) -> Iterator[Visit]:
    """`visit(who, path)` opens a page in a browser of its own, in which that person has signed in."""
    contexts: list[BrowserContext] = []

    def open_page(who: str, path: str, **options: object) -> Page:
        context = new_context(browser, hospital, **options)
        contexts.append(context)
        # Sign-in by its form has tests of its own.
        keep_session(context, hospital, people[who])
        page = context.new_page()
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def new_context(browser: Browser, archive: Served, **options: object) -> BrowserContext:
    given: dict[str, object] = {"viewport": WIDE, "base_url": root(archive), "accept_downloads": True, **options}
    context = browser.new_context(**given)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE)
    return context


def root(archive: Served) -> str:
    return f"https://localhost:{archive.https_port}"


def keep_session(context: BrowserContext, archive: Served, secret: str) -> None:
    """As if the sign-in page had set the cookie."""
    cookie = {"name": SESSION, "value": secret, "url": root(archive), "secure": True, "httpOnly": True}
    context.add_cookies([cookie])  # type: ignore[list-item]
