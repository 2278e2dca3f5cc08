"""The same SOP Instance UID again (PS3.4 B.2.3 leaves it to the SCP): nothing that was kept is ever overwritten."""

import json
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filereader import read_dataset
from pydicom.filewriter import dcmwrite

from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom import tags, uids
from leadglass.dimse.message import CStoreRsp
from leadglass.dimse.status import IDENTITY_CONFLICT, SUCCESS
from leadglass.errors import UsageError
from leadglass.index.index import Index
from tests.archive.review import accept, instances_on_record, listed, only, reject
from tests.clients import CT, ROOT, connected, ct, find, get, store
from tests.served import Served

RLE = "1.2.840.10008.1.2.5"
OTHER_PIXELS = bytes(512)
_numbers = count(1)


@pytest.fixture
def study() -> Iterator[str]:
    """A Study Instance UID that no other test uses."""
    yield f"{ROOT}.20.{next(_numbers)}"


def put(archive: Served, data_set: bytes, device: str = "scanner", syntax: str = uids.EXPLICIT_LE) -> CStoreRsp:
    (response,) = store(archive, data_set, device=device, syntax=syntax)
    return response


def shown(archive: Served, study: str, syntax: str = uids.EXPLICIT_LE) -> dict[str, bytes]:
    return get(archive, {tags.STUDY_INSTANCE_UID: study}, (CT, syntax))[2]


def count_of(archive: Served, study: str) -> str:
    (answer,) = find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""})
    found = answer[tags.NUMBER_OF_STUDY_RELATED_INSTANCES]
    assert isinstance(found, str)
    return found


def named(archive: Served, study: str) -> list[object]:
    answers = find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study, tags.PATIENT_NAME: ""})
    return [answer[tags.PATIENT_NAME] for answer in answers]


def encoded(data_set: bytes, syntax: str) -> bytes:
    """An Explicit VR Little Endian data set in another syntax without compression of pixels."""
    dataset = read_dataset(BytesIO(data_set), False, True)
    file = BytesIO()
    if syntax == uids.EXPLICIT_BE:
        pixels = dataset.PixelData
        dataset.PixelData = b"".join(pixels[at + 1 : at + 2] + pixels[at : at + 1] for at in range(0, len(pixels), 2))
        dataset["PixelData"].VR = "OW"
    dcmwrite(file, dataset, implicit_vr=syntax == uids.IMPLICIT_LE, little_endian=syntax != uids.EXPLICIT_BE)
    if syntax != uids.DEFLATED:
        return file.getvalue()
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(file.getvalue()) + deflater.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def encapsulated(data_set: bytes, sample: int = 1) -> bytes:
    """With one RLE frame instead, of 16×16 equal samples: two segments, of the high bytes and of the low (PS3.5 G)."""
    runs = bytes((129, 0)) * 2, bytes((129, sample)) * 2
    header = struct.pack("<16L", 2, 64, 64 + len(runs[0]), *[0] * 13)
    frame = header + b"".join(runs)
    dataset: Dataset = read_dataset(BytesIO(data_set), False, True)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    file = BytesIO()
    dcmwrite(file, dataset, implicit_vr=False, little_endian=True)
    return file.getvalue()


def test_identical_bytes_are_stored_once(archive: Served, study: str) -> None:
    data_set = ct(study=study)
    before = instances_on_record(archive)
    assert [put(archive, data_set).status for _ in range(3)] == [SUCCESS] * 3
    assert shown(archive, study) == {f"{study}.1.1": data_set}
    assert instances_on_record(archive) == before + 1
    assert listed(archive, f"{study}.1.1") == []


def test_identical_bytes_over_one_association_at_once(archive: Served, study: str) -> None:
    data_set = ct(study=study)
    assert [response.status for response in store(archive, *[data_set] * 5)] == [SUCCESS] * 5
    assert count_of(archive, study) == "1"


@pytest.mark.parametrize("first", [uids.EXPLICIT_LE, uids.IMPLICIT_LE, uids.EXPLICIT_BE, uids.DEFLATED])
def test_the_same_content_in_other_syntaxes_is_stored_once(archive: Served, study: str, first: str) -> None:
    data_set = ct(study=study)
    before = instances_on_record(archive)
    syntaxes = [first, uids.EXPLICIT_LE, uids.IMPLICIT_LE, uids.EXPLICIT_BE, uids.DEFLATED]
    for syntax in syntaxes:
        assert _send(archive, encoded(data_set, syntax), f"{study}.1.1", syntax).status == SUCCESS
    assert instances_on_record(archive) == before + 1
    assert shown(archive, study, first) == {f"{study}.1.1": encoded(data_set, first)}
    assert listed(archive, f"{study}.1.1") == []


def _send(archive: Served, data_set: bytes, instance: str, syntax: str) -> CStoreRsp:
    with connected(archive, "scanner", (CT, syntax)) as scanner:
        return scanner.store(CT, instance, syntax, (data_set,))


def test_another_header_is_kept_beside_until_accepted(archive: Served, study: str) -> None:
    original, corrected = ct(study=study), ct(study=study, patient_name="Corrected^Name")
    before = instances_on_record(archive)
    assert put(archive, original).status == SUCCESS
    assert put(archive, corrected).status == SUCCESS
    review = only(archive, f"{study}.1.1")
    assert review.reason == "other-header"
    assert review.study == study
    assert shown(archive, study) == {f"{study}.1.1": original}
    assert named(archive, study) == ["Planted^Patient"]
    assert count_of(archive, study) == "1"

    # Sent once more, it is the version that waits already.
    assert put(archive, corrected).status == SUCCESS
    assert len(listed(archive, f"{study}.1.1")) == 1
    assert instances_on_record(archive) == before + 2

    accept(archive, review)
    assert shown(archive, study) == {f"{study}.1.1": corrected}
    assert named(archive, study) == ["Corrected^Name"]
    assert count_of(archive, study) == "1"
    assert listed(archive, f"{study}.1.1") == []
    assert only(archive, f"{study}.1.1", "accepted").number == review.number
    assert instances_on_record(archive) == before + 2
    with pytest.raises(UsageError, match="accepted already"):
        accept(archive, review)


def test_the_superseded_version_sent_again_changes_nothing(archive: Served, study: str) -> None:
    original, corrected = ct(study=study), ct(study=study, patient_name="Corrected^Name")
    put(archive, original)
    put(archive, corrected)
    accept(archive, only(archive, f"{study}.1.1"))
    before = instances_on_record(archive)
    assert put(archive, original).status == SUCCESS
    assert shown(archive, study) == {f"{study}.1.1": corrected}
    assert instances_on_record(archive) == before


def test_a_rejected_header_stays_hidden(archive: Served, study: str) -> None:
    original, other = ct(study=study), ct(study=study, patient_name="Wrong^Name")
    put(archive, original)
    put(archive, other)
    review = only(archive, f"{study}.1.1")
    before = instances_on_record(archive)
    reject(archive, review)
    assert shown(archive, study) == {f"{study}.1.1": original}
    assert put(archive, other).status == SUCCESS
    assert listed(archive, f"{study}.1.1") == []
    assert instances_on_record(archive) == before
    assert only(archive, f"{study}.1.1", "rejected").number == review.number


def test_a_device_that_may_revise_shows_its_correction_at_once(archive: Served, study: str) -> None:
    original, corrected = ct(study=study), ct(study=study, patient_name="Corrected^Name")
    put(archive, original)
    before = instances_on_record(archive)
    assert put(archive, corrected, device="reviser").status == SUCCESS
    assert shown(archive, study) == {f"{study}.1.1": corrected}
    assert named(archive, study) == ["Corrected^Name"]
    assert count_of(archive, study) == "1"
    assert listed(archive, f"{study}.1.1") == []
    assert instances_on_record(archive) == before + 1


def test_other_pixels_are_refused_and_kept(archive: Served, study: str) -> None:
    original, forged = ct(study=study), ct(study=study, pixels=OTHER_PIXELS)
    put(archive, original)
    before = instances_on_record(archive)
    for _ in range(3):
        response = put(archive, forged)
        assert response.status == IDENTITY_CONFLICT == 0xC311
        assert response.error_comment == "Other pixels are stored under this SOP Instance UID."
        # The refused object is stored once, however often its sender tries.
        assert instances_on_record(archive) == before + 1
    assert shown(archive, study) == {f"{study}.1.1": original}
    review = only(archive, f"{study}.1.1")
    assert review.reason == "other-pixels"
    assert put(archive, original).status == SUCCESS

    reject(archive, review)
    assert put(archive, forged).status == IDENTITY_CONFLICT
    assert shown(archive, study) == {f"{study}.1.1": original}


def test_other_pixels_that_a_steward_accepts(archive: Served, study: str) -> None:
    original, better = ct(study=study), ct(study=study, pixels=OTHER_PIXELS, patient_name="Better^Name")
    put(archive, original)
    assert put(archive, better).status == IDENTITY_CONFLICT
    accept(archive, only(archive, f"{study}.1.1"))
    assert shown(archive, study) == {f"{study}.1.1": better}
    assert named(archive, study) == ["Better^Name"]
    assert put(archive, better).status == SUCCESS


def test_other_pixels_from_a_device_that_may_revise_are_refused_too(archive: Served, study: str) -> None:
    put(archive, ct(study=study))
    assert put(archive, ct(study=study, pixels=OTHER_PIXELS), device="reviser").status == IDENTITY_CONFLICT


def test_other_pixels_and_another_syntax(archive: Served, study: str) -> None:
    put(archive, ct(study=study))
    forged = encoded(ct(study=study, pixels=OTHER_PIXELS), uids.IMPLICIT_LE)
    assert _send(archive, forged, f"{study}.1.1", uids.IMPLICIT_LE).status == IDENTITY_CONFLICT


def test_compressed_against_uncompressed_is_kept_beside(archive: Served, study: str) -> None:
    original = ct(study=study)
    put(archive, original)
    compressed = encapsulated(original)
    assert _send(archive, compressed, f"{study}.1.1", RLE).status == SUCCESS
    assert only(archive, f"{study}.1.1").reason == "other-encoding"
    assert shown(archive, study) == {f"{study}.1.1": original}
    accept(archive, only(archive, f"{study}.1.1"))
    assert shown(archive, study, RLE) == {f"{study}.1.1": compressed}


def test_other_compressed_pixels_in_the_same_syntax_are_refused(archive: Served, study: str) -> None:
    first, second = encapsulated(ct(study=study)), encapsulated(ct(study=study), 2)
    assert _send(archive, first, f"{study}.1.1", RLE).status == SUCCESS
    assert _send(archive, second, f"{study}.1.1", RLE).status == IDENTITY_CONFLICT


def test_the_announced_instance_must_be_the_one_in_the_data_set(archive: Served, study: str) -> None:
    data_set = ct(study=study)
    assert _send(archive, data_set, f"{study}.1.2", uids.EXPLICIT_LE).status >> 12 == 0xC
    assert find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study}) == []


def test_the_command_line_of_a_steward(archive: Served, study: str) -> None:
    put(archive, ct(study=study))
    put(archive, ct(study=study, patient_name="Corrected^Name"))
    number = str(only(archive, f"{study}.1.1").number)
    (line,) = [line for line in archive.run("review", "list").splitlines() if line.split()[0] == number]
    assert line.strip().split(maxsplit=3)[1:] == [f"{study}.1.1", study, "the same pixels under another header"]
    assert "Corrected^Name" in archive.run("review", "show", number)
    assert archive.run("review", "accept", number) == f"accepted {number}\n"
    assert "accepted already" in archive.run("review", "reject", number, status=2)
    assert "no review 4711" in archive.run("review", "accept", "4711", status=1)
    assert named(archive, study) == ["Corrected^Name"]


def test_other_pixels_are_a_security_event(furnished: Served, tmp_path: Path, study: str) -> None:
    with furnished.copy(tmp_path) as archive:
        put(archive, ct(study=study))
        put(archive, ct(study=study, pixels=OTHER_PIXELS))
    index = Index.open(archive.data / "index.db", KeyDirectory.open(archive.keys).root().derive("index"))
    events = [json.loads(row.content) for row in index.events(newest_first=False, limit=1000)]
    index.close()
    told = [event for event in events if event["p"] == "device:scanner" and "instance" in event.get("d", {})]
    assert [event["a"] for event in told] == ["store", "security-other-pixels", "store"]
    assert [event["d"].get("placement") for event in told] == ["stored", "refused: other pixels", None]
    assert {event["d"]["instance"] for event in told} == {f"{study}.1.1"}
    assert (told[1]["o"], told[1]["s"]) == ("refused", study)
    assert told[2]["d"]["status"] == "C311"
