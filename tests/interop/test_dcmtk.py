"""dcmtk's echoscu and storescu over TLS with client certificates."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydicom.uid import UID

from leadglass.dicom import tags
from leadglass.dicom.part10 import read_file_meta
from tests.clients import ROOT, find, get
from tests.dimse.peers import dcmtk as dcmtk_server
from tests.interop.dcmtk import dcmtk, packaged, rewritten, run
from tests.served import Served, peer_program

UIDS = f"{ROOT}.10"
#: storescu's option for a transfer syntax, and a packaged file in it.
PROPOSALS = {
    "-xe": "CT_small.dcm",
    "-xb": "MR_small_bigendian.dcm",
    "-xi": "MR_small_implicit.dcm",
    "-xs": "",  # none is packaged: made by dcmcjpeg
    "-xy": "SC_rgb_jpeg_dcmtk.dcm",
    "-xx": "JPGExtended.dcm",
    "-xv": "MR_small_jp2klossless.dcm",
    "-xw": "JPEG2000.dcm",
    "-xt": "MR_small_jpeg_ls_lossless.dcm",
    "-xr": "MR_small_RLE.dcm",
    "-xd": "image_dfl.dcm",
}


@pytest.mark.parametrize("profile", ["--profile-bcp195-nd", "--profile-bcp195", "--profile-bcp195-ex"])
def test_echo_with_each_security_profile(archive: Served, profile: str) -> None:
    # PS3.15 B.12, B.9 and B.11
    assert "Received Echo Response (Success)" in dcmtk(archive, "echoscu", "scanner", profile)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_devices_with_keys_of_their_own(archive: Served, tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())
    name = f"own-{kind}"
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    csr = tmp_path / "device.csr"
    csr.write_bytes(request.public_bytes(serialization.Encoding.PEM))
    where = ("--csr", str(csr), "--out", str(archive.devices))
    archive.run("device", "add", name, "--aet", name.upper(), "--role", "modality", *where)
    assert not (archive.devices / f"{name}.key").exists()
    (archive.devices / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    assert "Received Echo Response (Success)" in dcmtk(archive, "echoscu", name)


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("SCANNER", "ORTHANC", "Called AE Title Not Recognized"),
        ("SOMEBODY", "LEADGLASS", "Calling AE Title Not Recognized"),
    ],
)
def test_wrong_titles_are_rejected_for_their_reason(archive: Served, calling: str, called: str, reason: str) -> None:
    done = run(archive, "echoscu", "scanner", calling=calling, called=called)
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
    assert "client certificate" in archive.run("device", "test", "scanner", status=1)


def test_a_scanner_may_not_query(archive: Served) -> None:
    done = run(archive, "findscu", "scanner", "-S", "-k", "QueryRetrieveLevel=STUDY")
    assert done.returncode != 0
    assert "No Acceptable Presentation Contexts" in done.stdout


def test_user_identity_is_taken(archive: Served) -> None:
    stored = packaged("CT_small.dcm")
    identity = ("-usr", "dr.grey", "-pwd", "a password that no log may hold")
    dcmtk(archive, "storescu", "steward", *identity, files=[stored])
    assert "user_identity=2" in archive.run("device", "log", "steward")
    assert "no log may hold" not in archive.log.read_text() + archive.run("device", "log", "steward")


@pytest.fixture(scope="module")
def storescp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """dcmtk's own archive, which writes the bytes that arrive: the port and the folder."""
    peer_program("storescp")
    folder = tmp_path_factory.mktemp("storescp")
    arguments = ("--bit-preserving", "--accept-all", "--output-directory", str(folder))
    with dcmtk_server("storescp", *arguments, directory=folder, log=folder.parent / "storescp.log") as port:
        yield port, folder


@pytest.mark.parametrize(
    ("proposal", "combined"),
    # Of several syntaxes in one context we take the first and storescp its own favourite: for big endian they differ.
    [
        *((proposal, False) for proposal in PROPOSALS),
        *((proposal, True) for proposal in PROPOSALS if proposal != "-xb"),
    ],
)
def test_stored_bytes_are_those_on_the_wire(
    archive: Served, storescp: tuple[int, Path], tmp_path: Path, proposal: str, combined: bool
) -> None:
    """storescu encodes data sets anew, so what it sends to storescp in the same syntax is what it sends here."""
    study = f"{UIDS}.{list(PROPOSALS).index(proposal) + 1}.{1 + combined}"
    source = rewritten(_in_syntax(proposal, tmp_path), tmp_path / "sent.dcm", study=study, PatientID=f"P-{study}")
    port, folder = storescp
    options = [proposal, "--required", *(["--combine"] if combined else [])]
    subprocess.run([peer_program("storescu"), *options, "localhost", str(port), str(source)], check=True, timeout=60)
    (arrived,) = folder.glob(f"*{study}.1.1")
    with arrived.open("rb") as file:
        meta = read_file_meta(file)
        expected = file.read()
    if proposal not in ("-xe", "-xb", "-xi"):
        assert meta.transfer_syntax == pydicom.dcmread(source).file_meta.TransferSyntaxUID
    output = dcmtk(archive, "storescu", "scanner", *options, files=[source])
    assert "Received Store Response (Success)" in output
    response, _, received = get(
        archive, {tags.STUDY_INSTANCE_UID: study}, (meta.sop_class, meta.transfer_syntax), level="STUDY"
    )
    assert response.completed == 1
    assert received == {f"{study}.1.1": expected}


def _in_syntax(proposal: str, folder: Path) -> Path:
    if PROPOSALS[proposal]:
        return packaged(PROPOSALS[proposal])
    target = folder / "lossless.dcm"
    subprocess.run(
        [peer_program("dcmcjpeg"), "+e1", str(packaged("MR_small.dcm")), str(target)], check=True, timeout=60
    )
    return target


def test_many_files_over_one_association(archive: Served, tmp_path: Path) -> None:
    study = f"{UIDS}.90"
    files = []
    for number in range(12):
        path = rewritten(packaged("MR_small.dcm"), tmp_path / f"{number}.dcm", study=study, PatientID="P-many")
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = UID(f"{study}.1.{number + 1}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = number + 1
        dataset.save_as(path)
        files.append(path)
    output = dcmtk(archive, "storescu", "scanner", "--max-pdu", "4096", files=files)
    assert output.count("Received Store Response (Success)") == 12
    (answer,) = find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""})
    assert answer[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] == "12"


def test_an_abort_in_the_middle_leaves_the_archive_whole(archive: Served, tmp_path: Path) -> None:
    study = f"{UIDS}.91"
    source = rewritten(packaged("CT_small.dcm"), tmp_path / "sent.dcm", study=study, PatientID="P-abort")
    dcmtk(archive, "storescu", "scanner", "--abort", files=[source])
    assert len(find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study})) == 1


def test_wrong_padding_of_uids_is_tolerated(archive: Served, tmp_path: Path) -> None:
    """Real devices pad UIDs with a space (PS3.5 9.1 wants NUL)."""
    study = f"{UIDS}.92"
    source = rewritten(packaged("CT_small.dcm"), tmp_path / "sent.dcm", study=study, PatientID="P-space")
    padded = source.read_bytes().replace(f"{study}\0".encode(), f"{study} ".encode())
    assert len(f"{study}") % 2 == 1
    source.write_bytes(padded)
    assert f"{study} ".encode() in padded
    archive.run("import", str(source))
    assert len(find(archive, "STUDY", {tags.STUDY_INSTANCE_UID: study})) == 1
