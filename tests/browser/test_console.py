"""The console in a real browser: what each role does there."""

import re
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pydicom
from playwright.sync_api import Page, expect
from pydicom.uid import UID

from tests.browser.conftest import Visit
from tests.browser.studies import COLOUR, SLICES, phantom_files, study_of


def lines(page: Page) -> list[str]:
    return page.locator(".studies tbody .over").all_inner_texts()


def test_search_narrows_as_one_types_and_no_address_names_a_patient(visit: Visit) -> None:
    page = visit("clinician", "/")
    expect(page).to_have_url(re.compile(r"/studies$"))
    expect(page.get_by_text("Phantom, Head")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("head phant")
    expect(page.locator(".studies tbody tr")).to_have_count(1)
    assert lines(page) == ["Phantom, Head"]
    assert page.url.endswith("/studies")
    page.locator("#text").fill("EXAMPLE-1")
    expect(page.get_by_text("Phantom, Head")).to_have_count(0)
    page.locator("#modality").select_option("CT")
    expect(page.get_by_text("Nothing fits that search")).to_be_visible()


def test_the_search_is_there_on_the_way_back(visit: Visit) -> None:
    page = visit("clinician", "/studies")
    page.locator("#text").fill("phantom")
    expect(page.locator(".studies tbody tr")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Phantom, Head")).to_be_visible()
    page.get_by_role("link", name="Studies").last.click()
    expect(page.locator("#text")).to_have_value("phantom")
    expect(page.locator(".studies tbody tr")).to_have_count(1)


def test_a_search_is_asked_once_where_its_form_is_sent_as_a_form(visit: Visit) -> None:
    page = visit("clinician", "/studies")
    page.route("**/htmx*", lambda route: route.abort())
    page.reload()
    # As typed: what the server makes of it, and shows, is not the same.
    page.locator("#text").fill("phantom ")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Phantom, Head", exact=True).click()
    expect(page.get_by_role("heading", name="Phantom, Head")).to_be_visible()
    page.get_by_role("link", name="Studies").last.click()
    expect(page.locator("#text")).to_have_value("phantom")
    expect(page.locator(".studies tbody tr")).to_have_count(1)


def test_the_search_works_without_scripts(visit: Visit) -> None:
    page = visit("clinician", "/studies", java_script_enabled=False)
    page.locator("#text").fill("phantom")
    page.get_by_role("button", name="Search").click()
    assert lines(page) == ["Phantom, Head"]


def test_roles_decide_what_shows(visit: Visit) -> None:
    tabs = {
        "clinician": ["Studies"],
        "steward": ["Studies", "Upload", "Quarantine", "Reconcile", "Access"],
        "administrator": ["Devices", "Users", "Tokens"],
        "auditor": ["Access"],
    }
    for who, expected in tabs.items():
        page = visit(who, "/")
        assert page.locator(".tabs a").all_inner_texts() == expected
    for who in ("administrator", "auditor"):
        page = visit(who, "/viewer/")
        expect(page.get_by_role("heading", name="This is not for you")).to_be_visible()


def test_upload_by_a_steward(visit: Visit, tmp_path: Path) -> None:
    copies = []
    for name, content in phantom_files().items():
        copy = pydicom.dcmread(BytesIO(content))
        copy.PatientName, copy.PatientID = "UPLOADED^PHANTOM", "UP-1"
        copy.StudyInstanceUID, copy.SeriesInstanceUID = "2.25.99001", "2.25.99001.1"
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.99001.1.{copy.InstanceNumber}")
        copy.save_as(tmp_path / name)
        copies.append(tmp_path / name)
    letter = tmp_path / "letter.txt"
    letter.write_text("This is not DICOM. " * 20)
    page = visit("steward", "/upload")
    page.locator("#files").set_input_files([*copies, letter])
    expect(page.locator("#progress-words")).to_have_text("Done")
    expect(page.locator("#stored")).to_have_text(str(SLICES))
    expect(page.locator("#skipped")).to_have_text("1")
    expect(page.locator("#refused")).to_have_text("0")
    page.get_by_role("link", name="See the studies").click()
    expect(
        page.get_by_text("Uploaded, Phantom", exact=False).or_(page.get_by_text("UPLOADED, PHANTOM"))
    ).to_be_visible()


def test_what_is_refused_is_said_in_words(visit: Visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(bytes(128) + b"DICM" + b"no meta information follows this")
    page = visit("steward", "/upload")
    page.locator("#files").set_input_files([broken])
    expect(page.locator("#refused")).to_have_text("1")
    expect(page.locator("#progress-words")).to_have_text("Done, but not all was taken")
    expect(page.locator("#problem-list li")).to_have_count(1)


def test_a_download_is_a_file_set_with_a_directory(visit: Visit) -> None:
    page = visit("clinician", "/studies")
    page.get_by_role("link", name="Phantom, Head", exact=True).click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    assert downloading.value.suggested_filename == "study.zip"
    with zipfile.ZipFile(downloading.value.path()) as archive:
        assert archive.testzip() is None
        directory = pydicom.dcmread(BytesIO(archive.read("DICOMDIR")))
        kinds = [record.DirectoryRecordType for record in directory.DirectoryRecordSequence]
        assert kinds == ["PATIENT", "STUDY", "SERIES", *["IMAGE"] * SLICES]
        for record in directory.DirectoryRecordSequence[3:]:
            found = pydicom.dcmread(BytesIO(archive.read("/".join(record.ReferencedFileID))))
            assert found.SOPInstanceUID == record.ReferencedSOPInstanceUIDInFile


def test_sharing_with_somebody_of_another_site(visit: Visit) -> None:
    study = f"/studies/{study_of(COLOUR)}"
    page = visit("elsewhere", study)
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    sharing = visit("clinician", study)
    sharing.get_by_label("Share with").fill("noah.north")
    sharing.get_by_label("Until the end of").fill((datetime.now(UTC) + timedelta(days=3)).date().isoformat())
    sharing.get_by_role("button", name="Share", exact=True).click()
    expect(sharing.locator(".side li")).to_contain_text("noah.north")
    page.goto(study)
    expect(page.get_by_role("link", name="Open in the viewer")).to_be_visible()
    page.goto("/studies")
    expect(page.locator(".studies tbody tr")).to_have_count(1)
    watching = visit("steward", study)
    expect(watching.locator("#disclosures ~ *, section:has(#disclosures) table")).to_contain_text("noah.north")
    watching.get_by_role("button", name="End the share with noah.north").click()
    expect(watching.get_by_text("Only this site sees the study.")).to_be_visible()
    page.goto(study)
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


def test_a_share_with_nobody_is_refused_in_words(visit: Visit) -> None:
    page = visit("clinician", f"/studies/{study_of(COLOUR)}")
    page.get_by_label("Share with").fill("nobody.here")
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("No user of that name may see images.")


def test_an_administrator_adds_users_and_makes_tokens(visit: Visit) -> None:
    page = visit("administrator", "/users")
    page.locator("summary", has_text="Add a user").click()
    page.get_by_label("User name").fill("new.person")
    page.get_by_label("Full name").fill("New Person")
    page.get_by_label("clinician").check()
    page.get_by_role("button", name="Add and make a link").click()
    expect(page.locator("#link")).to_contain_text(re.compile(r"^https://localhost:\d+/setup#\S{20,}$"))
    expect(page.locator(".things")).to_contain_text("New Person")
    page.goto("/tokens")
    page.get_by_label("Acts for the user").fill("new.person")
    page.get_by_role("button", name="Make the token").click()
    expect(page.locator("#token")).to_contain_text("leadglass_")
    page.get_by_role("button", name=re.compile("Revoke")).click()
    expect(page.locator(".things")).to_contain_text("revoked")


def test_devices_show_why_they_do_not_connect(visit: Visit) -> None:
    page = visit("administrator", "/devices")
    page.get_by_role("link", name="reviser", exact=True).click()
    expect(page.get_by_role("heading", name="reviser")).to_be_visible()
    page.get_by_role("button", name="Disable at once").click()
    expect(page.locator(".head")).to_contain_text("disabled")
    expect(page.get_by_role("button", name="Disable at once")).to_have_count(0)


def test_an_auditor_sees_who_has_looked_and_no_images(visit: Visit) -> None:
    visit("clinician", f"/studies/{study_of(COLOUR)}").get_by_role("link", name="Download").is_visible()
    page = visit("auditor", "/")
    expect(page.get_by_role("heading", name="Who has looked")).to_be_visible()
    page.get_by_label("Study Instance UID").fill("1.2.3")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("alert")).to_contain_text("No study of that UID was ever here.")
