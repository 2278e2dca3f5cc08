"""dcmtk's getscu, which has no TLS in Debian 12, through stunnel with a device's certificate."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.dicom.part10 import read_file_meta
from leadglass.dimse.status import SUCCESS
from tests.clients import ROOT, ct, store
from tests.dimse.peers import dcmtk as dcmtk_server
from tests.interop.dcmtk import packaged, rewritten
from tests.listening import free_port, until_it_listens
from tests.served import Served, peer_program

UIDS = f"{ROOT}.50"
CONFIGURATION = """foreground = yes
pid =
[dicom]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{archive.port}
cert = {archive.devices}/{device}.crt
key = {archive.devices}/{device}.key
CAfile = {archive.devices}/ca.crt
verifyChain = yes
checkHost = localhost
"""


@pytest.fixture(scope="module")
def tunnel(archive: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A port of plain DICOM that leads to the archive as the workstation."""
    port = free_port()
    folder = tmp_path_factory.mktemp("stunnel")
    configuration = folder / "stunnel.conf"
    configuration.write_text(CONFIGURATION.format(port=port, archive=archive, device="workstation"))
    with (folder / "stunnel.log").open("wb") as log:
        process = subprocess.Popen([peer_program("stunnel4"), str(configuration)], stdout=log, stderr=log)
        try:
            until_it_listens(process, folder / "stunnel.log", port)
            yield port
        finally:
            process.kill()
            process.wait()


def getscu(tunnel: int, folder: Path, *options: str) -> tuple[str, dict[str, bytes]]:
    """All output, and the data sets as they arrived, by SOP Instance UID."""
    folder.mkdir()
    command = [peer_program("getscu"), "-v", "+B", "-od", str(folder), "-aet", "WORKSTATION", "-aec", "LEADGLASS"]
    done = subprocess.run(
        [*command, *options, "localhost", str(tunnel)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    received = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            meta = read_file_meta(file)
            received[meta.sop_instance] = file.read()
    return done.stdout, received


@pytest.mark.parametrize("root", ["-S", "-P"])
def test_a_study(archive: Served, tunnel: int, tmp_path: Path, root: str) -> None:
    study = f"{UIDS}.{1 + (root == '-P')}"
    data_sets = {f"{study}.1.{number}": ct(number, study=study, patient_id=f"G{root}") for number in (1, 2, 3)}
    assert {response.status for response in store(archive, *data_sets.values())} == {SUCCESS}
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}", "-k", f"PatientID=G{root}"]
    output, received = getscu(tunnel, tmp_path / "all", root, *keys)
    assert received == data_sets
    assert "Success" in output
    image = ["-k", "QueryRetrieveLevel=IMAGE", *keys[2:], "-k", f"SeriesInstanceUID={study}.1"]
    _, received = getscu(tunnel, tmp_path / "one", root, *image, "-k", f"SOPInstanceUID={study}.1.2")
    assert received == {f"{study}.1.2": data_sets[f"{study}.1.2"]}
    if root == "-P":
        patient = ["-k", "QueryRetrieveLevel=PATIENT", "-k", f"PatientID=G{root}"]
        assert getscu(tunnel, tmp_path / "patient", root, *patient)[1] == data_sets


@pytest.mark.parametrize(
    ("option", "name"),
    # Not -xi: getscu 3.6.7 proposes Explicit VR Little Endian then.
    [("-xb", "MR_small_bigendian.dcm"), ("-xd", "image_dfl.dcm")],
)
def test_stored_syntaxes_that_getscu_can_ask_for(
    archive: Served, tunnel: int, tmp_path: Path, option: str, name: str
) -> None:
    """What storescu sent is what getscu gets, bit for bit."""
    study = f"{UIDS}.9.{ord(option[2])}"
    source = rewritten(packaged(name), tmp_path / "sent.dcm", study=study, PatientID=f"G{option}")
    reference = tmp_path / "reference"
    reference.mkdir()
    arguments = ("--bit-preserving", "--accept-all", "--output-directory", str(reference))
    with dcmtk_server("storescp", *arguments, directory=tmp_path, log=tmp_path / "storescp.log") as port:
        sent = [option, "--required", "localhost", str(port), str(source)]
        subprocess.run([peer_program("storescu"), *sent], check=True, timeout=60)
    subprocess.run(
        [peer_program("storescu"), *archive.tls_arguments("scanner"), "-aet", "SCANNER", "-aec", "LEADGLASS", option,
         "--required", "localhost", str(archive.port), str(source)],
        check=True, timeout=60,
    )  # fmt: skip
    (arrived,) = reference.iterdir()
    with arrived.open("rb") as file:
        read_file_meta(file)
        expected = file.read()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    output, received = getscu(tunnel, tmp_path / "got", "-S", option.replace("-", "+"), *keys)
    assert received == {f"{study}.1.1": expected}, output


def test_an_unacceptable_syntax_is_a_failed_sub_operation(archive: Served, tunnel: int, tmp_path: Path) -> None:
    study = f"{UIDS}.8"
    source = rewritten(packaged("MR_small_RLE.dcm"), tmp_path / "sent.dcm", study=study, PatientID="G-rle")
    assert "1 stored" in archive.run("import", str(source))
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    output, received = getscu(tunnel, tmp_path / "got", "-S", *keys)
    assert received == {}
    assert "Number of Failed Suboperations" in output or "UnableToPerformSuboperations" in output, output
