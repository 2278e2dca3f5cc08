"""Makes `docs/screenshots/` anew, of generated data only: `make screenshots`. Not collected by name."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from pydicom.uid import UID

from leadglass.cli.phantom import phantom_series
from leadglass.server.web.signin.cookies import SESSION
from tests.browser.conftest import Visit, keep_session, new_context
from tests.browser.hostile import send_forgery, send_hostile
from tests.browser.picture import canvas, shown
from tests.browser.test_viewer import until
from tests.served import Served
from tests.server.web.people import link_secret, page_of, post, set_up

PICTURES = Path(__file__).parents[2] / "docs" / "screenshots"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SLICES = 40
#: Nobody: name, ID, sex, born, date, time, description, accession number, referred by.
PEOPLE = (
    ("Muster^Erika", "LG-10482", "F", "19640812", "20260119", "081210", "CT head, no contrast", "A-77120", "Roe^Jane"),
    ("Doe^John", "LG-10477", "M", "19511103", "20260118", "164500", "CT head, follow-up", "A-77098", "Roe^Jane"),
    ("Specimen^Hanako", "LG-10465", "F", "19880127", "20260118", "113000", "CT sinuses", "A-77081", "Bloggs^Jo"),
    ("Bloggs^Fred", "LG-10459", "M", "19720630", "20260117", "093520", "CT head, trauma", "A-77066", "Doe^Richard"),
    ("Exemple^Jeanne", "LG-10431", "F", "19930214", "20260116", "150245", "CT temporal bone", "A-77031", "Bloggs^Jo"),
    ("Mustermann^Max", "LG-10402", "M", "19480509", "20260114", "102010", "CT head, stroke", "A-76988", "Roe^Jane"),
    ("Fulano^Maria", "LG-10388", "F", "20010922", "20260113", "173055", "CT orbits", "A-76954", "Doe^Richard"),
)  # fmt: skip


@pytest.fixture(scope="module")
def gallery(browser: Browser, furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    archive = furnished.copy(tmp_path_factory.mktemp("gallery"))
    folders = [_folder(archive, "phantom", dict(phantom_series(SLICES)))]
    for number, person in enumerate(reversed(PEOPLE)):
        slices = enumerate(content for _, content in phantom_series(6))
        files = {str(index): _of(content, person, number, index) for index, content in slices}
        folders.append(_folder(archive, f"study-{number}", files))
    archive.run("import", *folders)
    with archive:
        send_hostile(archive)
        send_forgery(archive, dict(phantom_series(SLICES))["CT0020.dcm"])
        yield archive


def _folder(archive: Served, name: str, files: Mapping[str, bytes]) -> str:
    folder = archive.folder / name
    folder.mkdir()
    for each, content in files.items():
        (folder / each).write_bytes(content)
    return str(folder)


def _of(content: bytes, person: tuple[str, ...], number: int, slice_number: int) -> bytes:
    """The phantom under another name."""
    data = pydicom.dcmread(BytesIO(content))
    data.PatientName, data.PatientID, data.PatientSex, data.PatientBirthDate = person[:4]
    data.StudyDate, data.StudyTime, data.StudyDescription, data.AccessionNumber, data.ReferringPhysicianName = person[
        4:
    ]
    data.StudyInstanceUID, data.SeriesInstanceUID = UID(f"2.25.88{number}"), UID(f"2.25.88{number}.1")
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.88{number}.1.{slice_number + 1}")
    written = BytesIO()
    data.save_as(written)
    return written.getvalue()


@pytest.fixture(scope="module")
def sessions(gallery: Served) -> dict[str, str]:
    names = {
        "clinician": ("ana.lopez", "Dr. Ana López", "clinician"),
        "steward": ("sam.weber", "Sam Weber", "steward"),
        "colleague": ("noah.north", "Dr. Noah North", "clinician"),
    }
    with page_of(gallery) as administrator:
        printed = gallery.run("user", "add", "kim.berg", "--role", "administrator")
        set_up(administrator, "kim.berg", link_secret(printed))
        made = {"administrator": administrator.cookies[SESSION]}
        for who, (name, person, role) in names.items():
            site = "north" if who == "colleague" else "default"
            page = post(administrator, "/users", {"name": name, "person": person, "role": role, "site": site})
            with page_of(gallery) as client:
                set_up(client, name, link_secret(page.text.replace("</code>", " ")))
                made[who] = client.cookies[SESSION]
        post(administrator, "/tokens", {"user": "ana.lopez", "purpose": "read", "until": _in_days(30)})
        post(administrator, "/tokens", {"user": "sam.weber", "purpose": "store", "until": _in_days(90)})
    return made


@pytest.fixture
def look(browser: Browser, gallery: Served, sessions: dict[str, str]) -> Iterator[Visit]:
    contexts = []

    def open_page(who: str, path: str, **options: object) -> Page:
        context = new_context(browser, gallery, **options)
        contexts.append(context)
        if who:
            keep_session(context, gallery, sessions[who])
        page = context.new_page()
        page.goto(path)
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_console(look: Visit) -> None:
    share(look("clinician", "/studies/2.25.880"))
    for scheme in ("light", "dark"):
        for size in (WIDE, NARROW):
            options = {"viewport": size, "color_scheme": scheme}
            ending = f"{size['width']}-{scheme}"
            keep(look("clinician", "/studies", **options), f"studies-{ending}")
            keep(look("steward", "/studies/2.25.880", **options), f"study-{ending}")
            keep(look("", "/sign-in", **options), f"sign-in-{ending}")
            if size == WIDE:
                keep(look("steward", "/upload", **options), f"upload-{ending}")
                keep(look("administrator", "/users", **options), f"users-{ending}")
                keep(look("administrator", "/tokens", **options), f"tokens-{ending}")
                keep(look("administrator", "/devices", **options), f"devices-{ending}")


def test_stewards_pages(look: Visit) -> None:
    for scheme in ("light", "dark"):
        for size in (WIDE, NARROW):
            options = {"viewport": size, "color_scheme": scheme}
            ending = f"{size['width']}-{scheme}"
            keep(look("steward", "/studies", **options), f"waiting-{ending}")
            keep(look("steward", "/quarantine", **options), f"quarantine-{ending}", whole=True)
            keep(look("steward", "/quarantine/1", **options), f"quarantined-{ending}", whole=True)
            keep(look("steward", "/reviews", **options), f"reviews-{ending}", whole=True)
            keep(look("steward", "/reviews/1", **options), f"review-{ending}", whole=True)


def test_viewer(look: Visit) -> None:
    study = str(pydicom.dcmread(BytesIO(next(iter(phantom_series(1)))[1])).StudyInstanceUID)
    page = look("clinician", f"/viewer/viewer?StudyInstanceUIDs={study}", viewport=WIDE)
    canvas(page).wait_for()
    until(page, lambda: bool(shown(page).std() > 0.1))
    canvas(page).hover()
    for _ in range(SLICES // 2):
        page.mouse.wheel(0, 100)
    page.wait_for_load_state("networkidle")
    keep(page, "viewer-stack")
    page.locator('[data-cy="Layout"]').click()
    page.locator('[data-cy="MPR"]').click()
    expect(page.locator("canvas.cornerstone-canvas")).to_have_count(3)
    until(page, lambda: all(shown(page, plane).std() > 0.1 for plane in range(3)))
    page.wait_for_load_state("networkidle")
    keep(page, "viewer-mpr")


def share(page: Page) -> None:
    page.get_by_label("Share with").fill("noah.north")
    page.get_by_label("Until the end of").fill(_in_days(10))
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".side li")).to_contain_text("noah.north")


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    """As PNG of 256 colours at most, which is a quarter of the size and looks the same; `whole`: below the fold too."""
    PICTURES.mkdir(exist_ok=True)
    picture = Image.open(BytesIO(page.screenshot(full_page=whole))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(PICTURES / f"{name}.png", optimize=True)


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
