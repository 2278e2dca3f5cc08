"""OHIF under /viewer/ shows what is in the archive: looked at on the screen, pixel by pixel."""

from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pydicom
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.conftest import keep_session, new_context, root
from tests.browser.picture import Grey, canvas, colours, expected, likeness, paper, shown
from tests.browser.studies import COLOUR, COMPRESSED, EXAMPLES, MULTI_FRAME, REPORT, SLICES, phantom_files, study_of
from tests.served import Served

#: Millisecond between two looks at a canvas.
LOOK = 100
LOOKS = 600
#: The window that the phantom names, in Hounsfield units.
LOW, HIGH = -10.0, 90.0

Open = Callable[[str], Page]


@pytest.fixture(scope="module")
def open_study(browser: Browser, hospital: Served, people: dict[str, str]) -> Iterator[Open]:
    """Opens a study in the viewer, in one browser for all: its cache holds the program. Fails at the end when the
    viewer asked anything of anybody else, or wrote to the archive."""
    context = new_context(browser, hospital)
    keep_session(context, hospital, people["clinician"])
    strange: list[str] = []

    def watch(request: Request) -> None:
        # Chromium's own PDF reader has other schemes.
        if request.url.startswith("http") and (not request.url.startswith(root(hospital)) or request.method != "GET"):
            strange.append(f"{request.method} {request.url}")

    context.on("request", watch)
    page = context.new_page()

    def open_it(study: str) -> Page:
        page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}")
        return page

    yield open_it
    context.close()
    assert not strange


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Looks until it holds."""
    for _ in range(LOOKS):
        if holds():
            return
        page.wait_for_timeout(LOOK)
    pytest.fail("the viewer did not show it in time")


def phantom() -> tuple[str, list[Grey]]:
    """Its study, and how each slice looks under its own window."""
    slices = [pydicom.dcmread(BytesIO(content)) for content in phantom_files().values()]
    hounsfield = [each.pixel_array * float(each.RescaleSlope) + float(each.RescaleIntercept) for each in slices]
    return slices[0].StudyInstanceUID, [expected(each, LOW, HIGH) for each in hounsfield]


def best(picture: Grey, candidates: list[Grey]) -> tuple[float, int]:
    """Which of them it is most like, and how much."""
    return max((likeness(picture, candidate), number) for number, candidate in enumerate(candidates))


def test_a_stack_shows_the_phantom_slice_by_slice(open_study: Open) -> None:
    study, slices = phantom()
    page = open_study(study)
    canvas(page).wait_for()
    until(page, lambda: best(shown(page), slices)[0] > 0.9)
    _, first = best(shown(page), slices)
    canvas(page).hover()
    for _ in range(SLICES // 2):
        page.mouse.wheel(0, 100)
    until(page, lambda: best(shown(page), slices)[0] > 0.9 and abs(best(shown(page), slices)[1] - first) > 2)


def test_three_planes_of_the_volume(open_study: Open) -> None:
    study, slices = phantom()
    page = open_study(study)
    canvas(page).wait_for()
    until(page, lambda: best(shown(page), slices)[0] > 0.9)
    page.locator('[data-cy="Layout"]').click()
    page.locator('[data-cy="MPR"]').click()
    expect(page.locator("canvas.cornerstone-canvas")).to_have_count(3)
    until(page, lambda: all(shown(page, plane).std() > 0.1 for plane in range(3)))
    assert best(shown(page, 0), slices)[0] > 0.8
    for plane in (1, 2):
        assert likeness(shown(page, 0), shown(page, plane)) < 0.95


@pytest.mark.parametrize("syntax", COMPRESSED)
def test_compressed_images_look_as_those_that_never_were(open_study: Open, syntax: str) -> None:
    original = pydicom.dcmread(EXAMPLES / "MR_small.dcm").pixel_array.astype(np.float64)
    page = open_study(study_of(COMPRESSED[syntax]))
    canvas(page).wait_for()
    until(page, lambda: likeness(shown(page), expected(original, 0, float(original.max()))) > 0.85)


def test_colour(open_study: Open) -> None:
    page = open_study(study_of(COLOUR))
    canvas(page).wait_for()
    until(page, lambda: colours(page) > 0.005 and shown(page).std() > 0.05)


def test_many_frames_in_one_object(open_study: Open) -> None:
    page = open_study(study_of(MULTI_FRAME))
    canvas(page).wait_for()
    until(page, lambda: shown(page).std() > 0.05)
    expect(page.locator('[data-cy="viewport-overlay-bottom-right"]').first).to_contain_text("/30")
    first = shown(page)
    canvas(page).hover()
    page.mouse.wheel(0, 600)
    until(page, lambda: 0.2 < likeness(first, shown(page)) < 0.9999)


def test_a_letter_in_pdf(open_study: Open) -> None:
    page = open_study(study_of("pdf"))
    letter = page.locator('object[type="application/pdf"]')
    letter.wait_for()
    until(page, lambda: paper(letter) > 0.05)


def test_a_report(open_study: Open) -> None:
    page = open_study(study_of(REPORT))
    expect(page.get_by_text("Recording Observer").first).to_be_visible()
