"""What a steward decides in the console: quarantine, and a forgery beside the image that it claims to be."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.usefixtures("decisions")


def test_quarantine_is_decided_by_the_keyboard_alone(visit: Visit) -> None:
    page = visit("steward", "/studies")
    waiting = page.get_by_role("region", name="What needs attention")
    expect(waiting).to_contain_text("3 objects in quarantine")
    waiting.get_by_role("link", name="Look at the quarantine").press("Enter")
    page.get_by_label("Sender").select_option("issuing")
    page.get_by_role("button", name="Narrow").press("Enter")
    expect(page.locator(".things tbody tr")).to_have_count(1)
    page.locator(".things .over").press("Enter")
    expect(page.get_by_role("heading", name="Object 3")).to_be_visible()
    expect(page.locator(".findings")).to_contain_text("shorter than rows and columns say")
    page.get_by_label("Type destroy to confirm").fill("no")
    page.get_by_role("button", name="Destroy").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was destroyed")
    page.get_by_label("Type destroy to confirm").fill("destroy")
    page.keyboard.press("Enter")
    expect(page.locator(".head")).to_contain_text("destroyed")
    expect(page.get_by_role("button", name="Release")).to_have_count(0)


def test_an_object_is_released(visit: Visit) -> None:
    page = visit("steward", "/quarantine/2")
    page.get_by_role("button", name="Release").click()
    expect(page.locator(".head")).to_contain_text("released")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_forgery_beside_what_is_shown(visit: Visit, width: int) -> None:
    page = visit("steward", "/reviews", viewport={"width": width, "height": 800})
    page.locator(".things .over").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Other pixels under a known SOP Instance UID")
    expect(page.locator("main")).to_contain_text("613 of 262,144 pixels differ")
    for side in ("Shown now", "Arrived", "Difference"):
        picture = page.get_by_role("img", name=side)
        expect(picture).to_be_visible()
        expect(picture).to_have_js_property("complete", value=True)
        expect(picture).to_have_js_property("naturalWidth", 512)
    expect(page.get_by_role("row", name="SeriesDescription")).to_contain_text("Head, reprocessed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_forgery_is_rejected(visit: Visit) -> None:
    page = visit("steward", "/reviews/1")
    page.get_by_role("button", name="Reject it").click()
    expect(page.locator(".head")).to_contain_text("rejected")
    expect(page.get_by_role("button", name="Reject it")).to_have_count(0)
