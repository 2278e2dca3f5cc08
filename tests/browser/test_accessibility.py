"""WCAG 2.2, levels A and AA, by axe-core on every page of the console: wide in light, narrow in dark.

axe-core comes from npm at the pinned digest, as the viewer does; where npm cannot be reached the tests say so.
"""

import tarfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize

from tests.browser.conftest import WIDE, Visit, new_context
from tests.served import Served
from tests.server.web.people import link_secret

HOOK = Path(__file__).parents[2] / "hatch_build.py"
VERSION = "4.14.1"
INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
NARROW: ViewportSize = {"width": 390, "height": 844}
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_STUDY = "/studies/2.25.137169216103732742810371993262440849007"
PAGES = {
    "clinician": ("/studies", _STUDY, "/nothing-here"),
    "steward": ("/studies", _STUDY, "/upload", "/quarantine", "/quarantine/1", "/reviews", "/reviews/1", "/access"),
    "administrator": ("/devices", "/devices/scanner", "/users", "/tokens", "/sign-in/again"),
}
RUN = """async levels => (await axe.run(document, {runOnly: levels, resultTypes: ["violations"]})).violations
    .flatMap(each => each.nodes.map(node => `${each.id}: ${node.target.join(" ")}: ${node.failureSummary}`))"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checker's program."""
    spec = spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    hook = module_from_spec(spec)
    spec.loader.exec_module(hook)
    try:
        tarball = hook.obtain(hook.Package("axe-core", VERSION, INTEGRITY), tmp_path_factory.mktemp("axe"))
    except hook.Unreachable:
        pytest.skip("npm could not get axe-core")
    with tarfile.open(tarball) as archive:
        program = archive.extractfile("package/axe.min.js")
        assert program is not None
        return program.read().decode()


def violations(page: Page, axe: str) -> list[str]:
    """What is wrong, in words."""
    page.evaluate(axe)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = [f"{page.url}, light: {each}" for each in page.evaluate(RUN, LEVELS)]
    page.set_viewport_size(NARROW)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += [f"{page.url}, dark: {each}" for each in page.evaluate(RUN, LEVELS)]
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{page.url}: wider than a narrow screen (WCAG 1.4.10)")
    return found


@pytest.mark.usefixtures("decisions")
@pytest.mark.parametrize("who", PAGES)
def test_pages_of_those_who_have_signed_in(visit: Visit, axe: str, who: str) -> None:
    page, *others = PAGES[who]
    opened = visit(who, page)
    found = violations(opened, axe)
    for path in others:
        opened.goto(path)
        found += violations(opened, axe)
    assert not found, "\n".join(found)


def test_pages_before_sign_in(browser: Browser, hospital: Served, axe: str) -> None:
    context = new_context(browser, hospital)
    page = context.new_page()
    page.goto("/sign-in")
    found = violations(page, axe)
    secret = link_secret(hospital.run("user", "add", "ada.axe", "--role", "clinician"))
    page.goto(f"/setup#{secret}")
    found += violations(page, axe)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("heading", name="Welcome").wait_for()
    found += violations(page, axe)
    context.close()
    assert not found, "\n".join(found)
