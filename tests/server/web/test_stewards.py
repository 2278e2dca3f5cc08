"""What waits for a steward, as a browser sees it: quarantine, forgeries beside what is shown, suspended senders."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from PIL import Image

from leadglass.archive.archive import ArchiveConfig, now_us, open_archive
from leadglass.archive.freshness import FRESH_SECONDS
from leadglass.archive.provision import server_chains
from leadglass.crypto.keys import KeyDirectory
from leadglass.errors import IdentityConflict, NotAvailable, Quarantined
from leadglass.server.web.configuration import WebConfig
from leadglass.server.web.door import WebDoor
from tests.archive.opened import put
from tests.clients import ROOT, ct, store
from tests.hostile.samples import EICAR_FILE
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.web.people import Person, enrolled, link_secret, page_of, post, set_up

STUDY = f"{ROOT}.78"
PIXELS = bytes(range(256)) * 2
FORGED = PIXELS[:70] + b"\xff\x0f" + PIXELS[72:]
WHO = {
    "steward": ("steward", "default"),
    "northern": ("steward", "north"),
    "administrator": ("administrator", "default"),
    "auditor": ("auditor", "default"),
    "clinician": ("clinician", "default"),
}
_numbers = count(1)


@dataclass(frozen=True)
class Staff:
    archive: Served
    clients: dict[str, httpx.Client]
    people: dict[str, Person]

    def __getitem__(self, who: str) -> httpx.Client:
        return self.clients[who]


@pytest.fixture(scope="module")
def staff(archive: Served) -> Iterator[Staff]:
    with ExitStack() as stack:
        clients = {who: stack.enter_context(page_of(archive)) for who in WHO}
        people = {who: enrolled(archive, f"s-{who}", role, site=site) for who, (role, site) in WHO.items()}
        for who, person in people.items():
            person.sign_in(clients[who])
        yield Staff(archive, clients, people)


def held(archive: Served, client: httpx.Client, device: str = "scanner") -> int:
    """The number of an object that a device has just sent and that was held back."""
    number = next(_numbers)
    hostile = ct(number, study=f"{STUDY}.{number}", ImageComments=EICAR_FILE.decode())
    (answer,) = store(archive, hostile, device=device)
    assert answer.status == 0xC110
    return max(int(each) for each in re.findall(r'href="/quarantine/(\d+)"', client.get("/quarantine").text))


def forged(archive: Served, client: httpx.Client) -> int:
    """The number of the review of an image that came again with other pixels and another name."""
    study = f"{STUDY}.9{next(_numbers)}"
    other = ct(study=study, pixels=FORGED, patient_name="Forged^Name")
    assert [each.status for each in store(archive, ct(study=study, pixels=PIXELS), other)] == [0, 0xC311]
    return max(int(each) for each in re.findall(r'href="/reviews/(\d+)"', client.get("/reviews").text))


def test_why_an_object_is_held_back_without_a_word_of_the_patient(staff: Staff) -> None:
    steward = staff["steward"]
    number = held(staff.archive, steward)
    listed, shown = steward.get("/quarantine").text, steward.get(f"/quarantine/{number}").text
    for page in (listed, shown):
        assert "test-virus" in page
        assert "scanner" in page
        assert "Planted" not in page
        assert "EICAR-STANDARD" not in page
    assert "The EICAR test file: harmless, and proof that scanning works." in shown
    assert "(0020,4000)" in shown
    assert "byte " in shown
    assert f'href="/quarantine/{number}"' in steward.get("/quarantine?sender=scanner&reason=test-virus").text
    assert "Nothing fits that" in steward.get("/quarantine?sender=nobody").text
    assert "Nothing here yet" in steward.get("/quarantine?state=disarmed").text
    assert steward.get("/quarantine?state=%3Cscript%3E&page=999&reason='--").status_code == 200
    assert steward.get("/reviews?state=x&page=-1").status_code == 200
    assert steward.get(f"/reviews?page={'9' * 5000}").status_code == 400


def test_another_site_sees_nothing_of_it(staff: Staff) -> None:
    number, review = held(staff.archive, staff["steward"]), forged(staff.archive, staff["steward"])
    northern = staff["northern"]
    assert "Nothing is held back" in northern.get("/quarantine").text
    assert "Nothing to reconcile" in northern.get("/reviews").text
    assert "in quarantine" not in northern.get("/studies").text
    for path in (f"/quarantine/{number}", f"/reviews/{review}", f"/reviews/{review}/frames/1/arrived"):
        assert northern.get(path).status_code == 404
    for path in (f"/quarantine/{number}/release", f"/quarantine/{number}/destroy", f"/reviews/{review}/accept"):
        assert post(northern, path, {"typed": "destroy"}).status_code == 404


def test_released_it_is_in_its_study(staff: Staff) -> None:
    steward = staff["steward"]
    number = held(staff.archive, steward)
    found = re.search(r'<dt>Study</dt><dd class="mono">([\d.]+)<', steward.get(f"/quarantine/{number}").text)
    assert found
    study = found[1]
    assert staff["clinician"].get(f"/studies/{study}").status_code == 404
    assert post(steward, f"/quarantine/{number}/release", {}).headers["location"] == f"/quarantine/{number}"
    assert "released" in steward.get(f"/quarantine/{number}").text
    assert staff["clinician"].get(f"/studies/{study}").status_code == 200
    again = post(steward, f"/quarantine/{number}/release", {})
    assert (again.status_code, "is released already" in again.text) == (400, True)


def test_destroying_is_typed_out(staff: Staff) -> None:
    steward = staff["steward"]
    number = held(staff.archive, steward)
    for typed in ("", "yes", "destroyed"):
        answer = post(steward, f"/quarantine/{number}/destroy", {"typed": typed})
        assert (answer.status_code, "Nothing was destroyed" in answer.text) == (400, True)
    assert post(steward, f"/quarantine/{number}/destroy", {"typed": " Destroy "}).status_code == 303
    assert "destroyed" in steward.get(f"/quarantine/{number}").text
    assert f'href="/quarantine/{number}"' not in steward.get("/quarantine").text


def test_a_forgery_is_shown_beside_what_it_claims_to_be(staff: Staff) -> None:
    steward = staff["steward"]
    number = forged(staff.archive, steward)
    page = steward.get(f"/reviews/{number}").text
    assert "1 of 256 pixels differ" in page
    assert "within columns 3 to 3 and rows 2 to 2" in page
    for expected in ("PatientName", "(0010,0010)", "Forged^Name", "Planted^Patient", "Pixel", "512 bytes"):
        assert expected in page, expected
    pictures = set()
    for side in ("kept", "arrived", "difference"):
        answer = steward.get(f"/reviews/{number}/frames/1/{side}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.headers["cache-control"] == "no-store"
        with Image.open(BytesIO(answer.content)) as picture:
            assert picture.size == (16, 16)
        pictures.add(answer.content)
    assert len(pictures) == 3
    for path in ("frames/2/kept", "frames/0/difference", "frames/1/other"):
        assert steward.get(f"/reviews/{number}/{path}").status_code == 404
    for who in ("clinician", "administrator", "auditor"):
        assert staff[who].get(f"/reviews/{number}/frames/1/kept").status_code == 403
    assert post(steward, f"/reviews/{number}/reject", {}).status_code == 303
    again = post(steward, f"/reviews/{number}/accept", {})
    assert (again.status_code, "is rejected already" in again.text) == (400, True)


def test_other_sites_pages_do_not_decide(staff: Staff) -> None:
    number = held(staff.archive, staff["steward"])
    elsewhere = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path in (f"/quarantine/{number}/release", f"/quarantine/{number}/destroy", "/reviews/1/accept"):
        answer = staff["steward"].post(path, data={"typed": "destroy"}, headers=elsewhere)
        assert answer.status_code == 403
    assert "released" not in staff["steward"].get(f"/quarantine/{number}").text


def test_what_waits_is_told_where_work_begins(staff: Staff) -> None:
    held(staff.archive, staff["steward"])
    for who, path in (("steward", "/studies"), ("administrator", "/devices"), ("auditor", "/access")):
        page = staff[who].get(path).text
        assert re.search(r"\d+ objects? in quarantine", page), who
        assert ('href="/quarantine"' in page) == (who == "steward")
    assert "in quarantine" not in staff["clinician"].get("/studies").text


def test_a_suspended_sender_is_told_of_and_let_in_again(archive: Served, staff: Staff) -> None:
    steward = staff["steward"]
    hostile = [
        ct(number, study=f"{STUDY}.77", ImageComments=EICAR_FILE.decode(), SliceThickness=str(number))
        for number in range(1, 21)
    ]
    store(archive, *hostile[:-1], device="reviser")
    assert "is suspended" not in steward.get("/studies").text
    with suppress(NotAvailable):  # its association is cut, perhaps before it has the answer
        store(archive, hostile[-1], device="reviser")
    for who, path in (("steward", "/studies"), ("administrator", "/devices")):
        assert "<b>reviser is suspended</b>" in staff[who].get(path).text
    assert "is suspended" not in staff["northern"].get("/studies").text
    assert "suspended" in staff["administrator"].get("/devices/reviser").text
    assert post(staff["clinician"], "/devices/reviser/enable", {}).status_code == 403
    assert post(steward, "/devices/reviser/enable", {}).headers["location"] == "/"
    assert "is suspended" not in steward.get("/studies").text
    assert store(archive, ct(study=f"{STUDY}.77"), device="reviser")[0].status == 0


def test_showing_what_was_hidden_asks_for_a_fresh_proof(copied: Copied, tmp_path: Path) -> None:
    """Whoever comes upon a session that was left open decides nothing that lets anybody see images."""
    served, late = copied(tmp_path), 0
    secret = link_secret(served.run("user", "add", "sam", "--role", "steward"))
    archive = open_archive(served.data, served.keys, ArchiveConfig(clock=lambda: now_us() + late))
    door = WebDoor(archive, WebConfig(), server_chains(KeyDirectory.open(served.keys)), "127.0.0.1", 0)
    served.https_port = door.address[1]
    door.start()
    try:
        put(archive, ct(study=STUDY, pixels=PIXELS))
        for refused in (ct(study=STUDY, pixels=FORGED), ct(2, study=STUDY, ImageComments=EICAR_FILE.decode())):
            with suppress(IdentityConflict, Quarantined):
                put(archive, refused)
        with page_of(served) as client:
            set_up(client, "sam", secret)
            late = (FRESH_SECONDS + 1) * 1_000_000
            for path in ("/quarantine/1", "/reviews/1"):
                act = "release" if path.startswith("/q") else "accept"
                asked = post(client, f"{path}/{act}", {}).headers["location"]
                assert asked == f"/sign-in/again?{urlencode({'next': path})}"
                assert f'action="{path}/{act}"' in client.get(path).text
            assert post(client, "/reviews/1/reject", {}).status_code == 303
            late = 0
            assert post(client, "/quarantine/1/release", {}).headers["location"] == "/quarantine/1"
    finally:
        door.close()
        archive.close()
