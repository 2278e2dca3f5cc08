"""What is disarmed at the doors: what the sender is told, what is kept, and that its retries change nothing."""

from pathlib import Path

from leadglass.dicom import tags
from leadglass.dimse.status import ELEMENTS_DISCARDED, SUCCESS
from tests.clients import ROOT, ct, find, get, instance_of, store
from tests.hostile.armed import ARCHIVED, armed, without_payload
from tests.hostile.case import PRIVATE, element
from tests.hostile.samples import pe
from tests.interop.dcmtk import run, saved
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.web.dicomweb.test_store import STORED, file, send, values
from tests.web import as_user

STUDY = f"{ROOT}.70"
WARNING = "00081196"
#: C110H: cannot understand (PS3.4 B.2.3), held back.
QUARANTINED = 0xC110


def counted(archive: Served, study: str) -> list[str]:
    key = {tags.STUDY_INSTANCE_UID: study, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""}
    return [str(found[tags.NUMBER_OF_STUDY_RELATED_INSTANCES]) for found in find(archive, "STUDY", key)]


def kept(archive: Served, study: str) -> bytes:
    (data_set,) = get(archive, {tags.STUDY_INSTANCE_UID: study})[2].values()
    return data_set


def test_the_status_says_whether_elements_were_discarded(archive: Served) -> None:
    clean = [ct(1, study=f"{STUDY}.{number}") for number in (1, 2)]
    statuses = [response.status for response in store(archive, armed(clean[0]), clean[1] + bytes(64))]
    assert statuses == [ELEMENTS_DISCARDED, SUCCESS]
    at = clean[0].index(b"\xe0\x7f\x10\0")
    assert kept(archive, f"{STUDY}.1").endswith(clean[0][at:])
    assert kept(archive, f"{STUDY}.1").startswith(without_payload(clean[0])[: -len(clean[0][at:])])
    assert kept(archive, f"{STUDY}.2") == clean[1]


def test_by_policy_nothing_is_removed_but_held_back(copied: Copied, tmp_path: Path) -> None:
    """Until a steward releases it, and then it is whole."""
    whole = armed(ct(1, study=f"{STUDY}.9"))
    with copied(tmp_path, "[inspection]\nremove_private = false\n") as served:
        assert [response.status for response in store(served, whole)] == [QUARANTINED]
        assert counted(served, f"{STUDY}.9") == []
        served.run("quarantine", "release", "1")
        assert kept(served, f"{STUDY}.9") == whole


def test_retries_of_storescu_succeed_and_are_stored_once(archive: Served, tmp_path: Path) -> None:
    study = f"{STUDY}.3"
    path = saved(tmp_path / "armed.dcm", armed(ct(1, study=study)))
    for _ in range(3):
        done = run(archive, "storescu", "scanner", files=[path])
        assert done.returncode == 0, done.stdout
        assert "Warning" in done.stdout, done.stdout
    assert counted(archive, study) == ["1"]
    assert ARCHIVED[:4] not in kept(archive, study)
    shown = archive.run("quarantine", "list", "--state", "disarmed")
    assert "private-payload" in shown


def test_stow_answers_with_a_warning(archive: Served) -> None:
    study = f"{STUDY}.4"
    slices = [armed(ct(1, study=study)), ct(2, study=study) + bytes(8), ct(3, study=study)]
    with as_user(archive, "steward") as client:
        for _ in range(2):
            answer = send(client, *map(file, slices))
            assert answer.status_code == 202
            (first, *others) = answer.json()[STORED]["Value"]
            assert first[WARNING]["Value"] == [ELEMENTS_DISCARDED]
            assert not any(WARNING in each for each in others)
        assert values(answer, STORED, "00081155") == [instance_of(each) for each in slices]
        assert send(client, file(slices[1])).status_code == 200
    assert counted(archive, study) == ["3"]


def test_an_import_says_so(archive: Served, tmp_path: Path) -> None:
    study = f"{STUDY}.5"
    saved(tmp_path / "armed.dcm", armed(ct(1, study=study)))
    saved(tmp_path / "tail.dcm", ct(2, study=study) + bytes(8))
    assert archive.run("import", str(tmp_path)).startswith("2 disarmed;")
    assert archive.run("import", str(tmp_path)).startswith("2 already there;")
    assert "0 problems" in archive.run("fsck", "--deep")


def headed(preamble: bytes, data_set: bytes) -> bytes:
    return preamble.ljust(128, b"\0") + file(data_set)[128:]


def test_no_preamble_outlives_the_door(archive: Served, tmp_path: Path) -> None:
    study = f"{STUDY}.6"
    preamble = b"an old workstation's note"
    (tmp_path / "old.dcm").write_bytes(headed(preamble, ct(1, study=study)))
    assert archive.run("import", str(tmp_path)).startswith("1 stored;")
    with as_user(archive, "clinician") as client:
        answer = client.get(
            f"/dicom-web/studies/{study}", headers={"Accept": "multipart/related; type=application/dicom"}
        )
    assert answer.status_code == 200
    assert bytes(128) + b"DICM" in answer.content
    assert preamble not in answer.content


def test_a_program_in_the_preamble_is_held_back(archive: Served, tmp_path: Path) -> None:
    """Its header stands in the preamble, and what that leads to in the first elements."""
    data_set = _with_room(ct(1, study=f"{STUDY}.7"))
    at = len(file(data_set)) - len(data_set) + data_set.index(ROOM) + 2
    program = pe(at)
    both = headed(program[:128], data_set.replace(ROOM, b"  " + program[at:].ljust(len(ROOM) - 2, b" ")))
    (tmp_path / "program.dcm").write_bytes(both)
    assert "executable" in archive.run("import", str(tmp_path), status=1)
    with as_user(archive, "steward") as client:
        assert send(client, both).status_code == 409
    assert counted(archive, f"{STUDY}.7") == []
    assert store(archive, ct(1, study=f"{STUDY}.7"))[0].status == SUCCESS


ROOM = b"x" * 400


def _with_room(data_set: bytes) -> bytes:
    """A private element long enough for a program's second header."""
    at = data_set.index(b"\x10\0\x10\0PN")
    group = element(0x00090010, b"LO", b"LEADGLASS TEST") + element(PRIVATE, b"OB", ROOM)
    return data_set[:at] + group + data_set[at:]
