"""Nothing that a patient, a user or a key is called is left anywhere in the clear.

One archive lives a whole life with unmistakable values planted in all that reaches it; then everything that it printed,
logged or wrote is searched for them, in the encodings in which they could have got there.
"""

import base64
import json
import os
import resource
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom import tags, uids
from leadglass.dimse.items import UserIdentity
from leadglass.dimse.message import CFindRq, CStoreRq
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from tests.clients import CT, ROOT, connected, ct, find, get, instance_of, store
from tests.served import Served
from tests.server.conftest import Copied
from tests.server.web.dicomweb.test_store import file, send
from tests.server.wire import associated, ended, pdu, value
from tests.web import as_user, browser

#: What is wrong with the data sets here is meant, and pydicom is only their maker.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
STUDY = f"{ROOT}.60"
FIND = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)
STORE = (CT, uids.EXPLICIT_LE)
PLANTED = {
    "PatientName": "Zyqplanted^Quillonia",
    "PatientID": "PIDzq8177342",
    "OtherPatientIDs": "078-05-1120",
    "PatientAddress": "17 Plantedzq Lane",
    "PatientComments": "commentzq on the patient",
    "PatientBirthDate": "19030704",
    "ReferringPhysicianName": "Referzq^Doctor",
    "AccessionNumber": "ACCzq9917",
    "StudyDescription": "descriptionzq of it",
}
PASSCODE, ASKED, WRONG = "passcodezq-5511", "Askedzq^For*", "Malformedzq"


@dataclass(slots=True)
class Life:
    """What an archive left: by where it was found, bytes."""

    left: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)

    def add(self, where: str, what: bytes | str) -> None:
        self.left[f"{len(self.left)} {where}"] = what.encode() if isinstance(what, str) else what

    def add_files(self, when: str, *folders: Path) -> None:
        for folder in folders:
            for path in folder.rglob("*"):
                if path.is_file():
                    self.add(f"{when}: {path.name}", path.read_bytes())


def planted(number: int, **changed: str) -> bytes:
    given = {**PLANTED, **changed}
    return ct(
        number,
        study=given.pop("study", STUDY),
        patient_name=given.pop("PatientName"),
        patient_id=given.pop("PatientID"),
        pixels=f"pixelszq {number} ".ljust(512).encode(),
        **given,
    )


def malformed() -> list[tuple[str, bytes]]:
    """Announced SOP Instance UID and a data set with planted text where it does not belong."""
    whole = planted(9)
    uid = instance_of(whole)
    name = PLANTED["PatientName"].encode()
    return [
        (uid, whole[:-100]),
        (uid, whole[: whole.index(name) + 4]),
        (uid, whole.replace(b"CS", WRONG[:2].encode(), 1)),
        (uid, whole.replace(STUDY.encode(), WRONG.encode().ljust(len(STUDY), b"z"))),
        (uid, whole.replace(b"19030704", b"Birthzq!")),
        (uid, ct(9, study=STUDY, SpecificCharacterSet=WRONG, patient_name=PLANTED["PatientName"])),
        (
            uid,
            ct(9, study=STUDY, SpecificCharacterSet="ISO 2022 IR 87").replace(b"Planted^Patient", name[:13] + b"\x1b$"),
        ),
        (f"{ROOT}.{'9' * 12}", whole),
        (uid, name * 200),
        (uid, whole.replace(b"US\x02\x00", b"US\xff\xff", 1)),
        (uid, b"(" + name + b")" + whole),
    ]


def live(archive: Served, life: Life) -> None:
    """Everything that can be asked of an archive, well or badly."""
    for number in (1, 2):
        assert store(archive, planted(number))[0].status == SUCCESS
    store(archive, planted(1, PatientComments="another commentzq"))
    store(archive, planted(1).replace(b"pixelszq 1", b"pixelszq X"))
    store(archive, planted(3, PatientID="PIDzq0000001"))
    for uid, data in malformed():
        with connected(archive, "scanner", STORE) as scanner:
            answer = scanner.store(CT, uid, uids.EXPLICIT_LE, (data,))
        life.add("error comment", answer.error_comment)
    keys = {tags.PATIENT_NAME: ASKED, tags.PATIENT_ID: "", tags.STUDY_INSTANCE_UID: ""}
    find(archive, "STUDY", keys)
    assert get(archive, {tags.STUDY_INSTANCE_UID: STUDY})[0].completed
    user = UserIdentity(2, True, b"Userzq", PASSCODE.encode())
    with connected(archive, "workstation", FIND, user=user) as workstation:
        for level, date in ((WRONG, ""), ("STUDY", WRONG), ("STUDY", "2024-99-99zq")):
            asked = {tags.QUERY_RETRIEVE_LEVEL: level, tags.STUDY_DATE: date, **keys}
            list(workstation.find(uids.STUDY_ROOT_FIND, asked))
    with associated(archive, "workstation", FIND) as (peer, association):
        peer.sendall(
            association.command(1, CFindRq(1, uids.STUDY_ROOT_FIND), True) + pdu(4, value(1, 2, b"Askedzq" * 9))
        )
        peer.sendall(b"Askedzq" * 9)
        ended(peer)


def browse(archive: Served, life: Life) -> None:
    """The web door: searches whose addresses hold names, answers that are errors, uploads, guesses, metrics."""
    with as_user(archive, "clinician") as client:
        life.secrets["bearer token"] = client.headers["Authorization"].removeprefix("Bearer ").encode()
        assert client.get("/dicom-web/studies", params={"PatientName": PLANTED["PatientName"]}).status_code == 200
        for address in (
            f"studies?StudyDate={WRONG}&",
            f"studies?{WRONG}=1&",
            f"studies/{WRONG}/metadata?",
            f"{WRONG}?",
        ):
            answer = client.get(f"/dicom-web/{address}PatientID={PLANTED['PatientID']}")
            assert answer.status_code in (400, 404), address
            life.add("problem", answer.text)
    with as_user(archive, "steward") as client:
        assert send(client, file(planted(11))).status_code == 200
        life.add("answer to STOW", send(client, *(file(data, instance=uid) for uid, data in malformed())).text)
    with browser(archive, "tokenzq-guess") as guesser:
        life.add("refusal", guesser.get("/dicom-web/studies").text)
    with browser(archive) as guesser:
        guesser.post("/sign-in", data={"name": "Userzq", "password": PASSCODE, "code": "123456"})
    with as_user(archive, "auditor") as client:
        life.add("metrics", client.get("/metrics").text)


def be_killed(archive: Served, life: Life) -> None:
    """kill -9 in the middle of a store; what lies there then, and after the repair."""
    data = planted(5)
    with associated(archive, "scanner", STORE) as (peer, association):
        peer.sendall(association.command(1, CStoreRq(1, CT, instance_of(data)), True) + pdu(4, value(1, 0, data[:300])))
        life.add_files("served", archive.data)
        archive.kill()
    life.add_files("killed", archive.data)


def administer(archive: Served, life: Life) -> None:
    """The command line: its output, and that of its refusals, but for `review show`, which is there to show."""
    folder = archive.folder / "to-import"
    folder.mkdir()
    (folder / "whole.dcm").write_bytes(bytes(128) + b"DICM" + planted(7))
    for number, (_, data) in enumerate(malformed()):
        (folder / f"{number}.dcm").write_bytes(data)
    life.add("import", archive.run("import", str(folder), status=1))
    life.add("fsck", archive.run("fsck", "--deep"))
    life.add("device log", archive.run("device", "log", "scanner") + archive.run("device", "list"))
    listed = archive.run("review", "list")
    life.add("review list", listed)
    numbers = [line.split()[0] for line in listed.splitlines()[1:]]
    assert len(numbers) >= 2
    life.add("review", archive.run("review", "accept", numbers[0]) + archive.run("review", "reject", numbers[1]))
    life.add("review again", archive.run("review", "accept", numbers[0], status=2))
    life.add("unknown", archive.run("review", "show", "4711", status=1) + archive.run("device", "log", "no", status=1))


def write_secrets(archive: Served) -> dict[str, bytes]:
    root = KeyDirectory.open(archive.keys).root()
    names = ("index", "log-mac", "study-key-wrap", "log-salt", "log-salt-wrap")
    secrets = {f"key {name}": root.derive(name) for name in names} | {"root key": root.secret}
    for path in (*archive.keys.glob("*.key"), *archive.devices.glob("*.key")):
        if path.name != "root.key":
            secrets[path.name] = base64.b64decode("".join(path.read_text().splitlines()[1:-1]))[40:72]
    return secrets


@pytest.fixture(scope="module")
def life(copied: Copied, tmp_path_factory: pytest.TempPathFactory) -> Life:
    folder = tmp_path_factory.mktemp("leaks")
    watched = folder / "tmp"
    watched.mkdir()
    archive = copied(folder, environment={"TMPDIR": str(watched), "SQLITE_TMPDIR": str(watched)})
    life = Life(secrets=write_secrets(archive))
    with archive:
        live(archive, life)
        browse(archive, life)
        assert archive.process is not None
        life.add("command line", Path(f"/proc/{archive.process.pid}/cmdline").read_bytes())
        be_killed(archive, life)
    with archive:
        administer(archive, life)
    administer_stopped(archive, life)
    life.add_files("stopped", archive.data, watched)
    life.add("log", archive.log.read_bytes())
    return life


def administer_stopped(archive: Served, life: Life) -> None:
    life.add("fsck stopped", archive.run("fsck", "--deep"))
    life.add("device stopped", archive.run("device", "log", "workstation") + archive.run("device", "test", "scanner"))


def spellings(text: str) -> set[bytes]:
    """A value as it could stand in a file: as it is, folded as an index folds it, escaped, in other encodings."""
    variants = {text, text.lower(), text.upper(), text.replace("^", " "), *text.split("^")}
    plain = {each.encode(encoding) for each in variants for encoding in ("utf-8", "utf-16-le")}
    long = {each for each in variants if len(each) > 8}  # shorter ones would turn up in sealed bytes by chance
    return plain | {base64.b64encode(each.encode())[:-4] for each in long} | {json.dumps(text).encode()[1:-1]}


def where_found(life: Life, needles: set[bytes]) -> list[str]:
    lowered = {needle.lower() for needle in needles}
    return [where for where, what in life.left.items() if any(needle in what.lower() for needle in lowered)]


@pytest.mark.parametrize(
    "text", [*PLANTED.values(), "PIDzq0000001", PASSCODE, "pixelszq", "Askedzq", WRONG, "Birthzq", "Userzq", "tokenzq"]
)
def test_nothing_planted_is_found(life: Life, text: str) -> None:
    assert where_found(life, spellings(text)) == []


def test_no_key_is_found(life: Life) -> None:
    for name, secret in life.secrets.items():
        shown = {base64.b64encode(secret)[:-4], secret.hex().encode(), secret, repr(secret).encode()[2:-1]}
        found = [where for where, what in life.left.items() if any(needle in what for needle in shown)]
        assert found == [], name


def test_no_traceback_and_no_defect(life: Life) -> None:
    assert where_found(life, {b"Traceback", b"ended by a defect", b"UserWarning"}) == []


def test_what_was_searched(life: Life) -> None:
    """The search itself would find something: the places are there, and full."""
    names = {where.split()[-1] for where in life.left}
    assert {"index.db", "index.db-wal", "index.db-shm", "00000001.pack", "log"} <= names
    assert where_found(life, {b"association refused", b"store refused"})
    assert not [where for where in life.left if "stopped: tmp" in where]


def test_no_core_is_dumped(copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the shell allows one: the limit is gone and the process not dumpable before a key is read."""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    monkeypatch.chdir(tmp_path)
    archive = copied(tmp_path, environment={}).start()
    assert archive.process is not None
    pid = archive.process.pid
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    assert next(line for line in limits if line.startswith("Max core file size")).split()[4:6] == ["0", "0"]
    os.kill(pid, signal.SIGABRT)
    ending = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ending is not None
    assert (ending.si_code, ending.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    assert archive.process.wait(60) == -signal.SIGABRT
    assert [path.name for path in tmp_path.rglob("*core*")] == []


def test_errors_name_no_key(copied: Copied, tmp_path: Path) -> None:
    """What a damaged key file held is not quoted in the refusal."""
    archive = copied(tmp_path)
    root = archive.keys / "root.key"
    secret = root.read_text().splitlines()[2].removeprefix("secret: ")
    for content in (f"leadglass root key 1\nepoch: x\nsecret: {secret}\n", secret, f"secret: {secret}\n" * 3):
        root.write_text(content)
        assert secret[:20] not in archive.run("serve", status=3)
    with pytest.raises(LeadglassError) as error:
        KeyDirectory.open(archive.keys).root()
    assert secret[:20] not in f"{error.value!r} {error.value}"
