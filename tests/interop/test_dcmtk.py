"""dcmtk's programs against the archive, over TLS with client certificates."""

import subprocess
from pathlib import Path

import pydicom
import pytest

from tests.served import Served, peer_program


def dcmtk(archive: Served, program: str, device: str, *words: str, called: str = "LEADGLASS") -> str:
    """Run one of dcmtk's SCUs as a device; returns all output, fails when the program does."""
    done = _run(archive, program, device, *words, called=called)
    assert done.returncode == 0, done.stdout
    return done.stdout


def _run(
    archive: Served, program: str, device: str, *words: str, called: str = "LEADGLASS", calling: str = ""
) -> subprocess.CompletedProcess[str]:
    options, files = [word for word in words if not word.startswith("/")], [word for word in words if word[0] == "/"]
    command = [
        peer_program(program),
        "-v",
        *archive.tls_arguments(device),
        "-aet",
        calling or device.upper(),
        "-aec",
        called,
        *options,
        "localhost",
        str(archive.port),
        *files,
    ]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)


def packaged(name: str) -> Path:
    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def test_echo(archive: Served) -> None:
    assert "Received Echo Response (Success)" in dcmtk(archive, "echoscu", "scanner")


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("SCANNER", "ORTHANC", "Called AE Title Not Recognized"),
        ("SOMEBODY", "LEADGLASS", "Calling AE Title Not Recognized"),
    ],
)
def test_wrong_titles_are_rejected_for_their_reason(archive: Served, calling: str, called: str, reason: str) -> None:
    done = _run(archive, "echoscu", "scanner", calling=calling, called=called)
    assert done.returncode != 0
    assert reason in done.stdout
    assert "AE title" in archive.run("device", "test", "scanner", status=1)


def test_plain_dicom_is_not_answered(archive: Served) -> None:
    done = subprocess.run(
        [peer_program("echoscu"), "-aet", "SCANNER", "-aec", "LEADGLASS", "localhost", str(archive.port)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "refused" in archive.run("device", "test", "scanner", status=1)


def test_tls_without_a_certificate_is_refused(archive: Served) -> None:
    done = subprocess.run(
        [
            peer_program("echoscu"), "-v", "--anonymous-tls", "+cf", str(archive.devices / "ca.crt"), "-aet", "SCANNER",
            "-aec", "LEADGLASS", "localhost", str(archive.port),
        ],
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "client certificate" in archive.run("device", "log", "scanner") + archive.run(
        "device", "test", "scanner", status=1
    )


def test_stored_images_are_found_at_every_level(archive: Served) -> None:
    dcmtk(archive, "storescu", "scanner", str(packaged("CT_small.dcm")), str(packaged("MR_small.dcm")))
    answer = dcmtk(
        archive, "findscu", "workstation", "-S",
        "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientName=compressed*", "-k", "PatientID", "-k", "StudyInstanceUID",
        "-k", "ModalitiesInStudy", "-k", "NumberOfStudyRelatedInstances",
    )  # fmt: skip
    assert "CompressedSamples^CT1" in answer
    assert "[CT]" in answer
    images = dcmtk(
        archive, "findscu", "workstation", "-P",
        "-k", "QueryRetrieveLevel=IMAGE", "-k", "PatientID=1CT1", "-k", "StudyInstanceUID", "-k", "SeriesInstanceUID",
        "-k", "SOPInstanceUID", "-k", "InstanceNumber",
    )  # fmt: skip
    dataset = pydicom.dcmread(packaged("CT_small.dcm"))
    assert str(dataset.SOPInstanceUID) in images


def test_a_scanner_may_not_query(archive: Served) -> None:
    done = _run(archive, "findscu", "scanner", "-S", "-k", "QueryRetrieveLevel=STUDY")
    assert done.returncode != 0
    assert "No Acceptable Presentation Contexts" in done.stdout
