"""dcmtk's programs as enrolled devices."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, instance_of
from tests.served import Served, peer_program

TIMEOUT = 120


def run(
    archive: Served,
    program: str,
    device: str,
    *options: str,
    files: Sequence[Path] = (),
    called: str = "LEADGLASS",
    calling: str = "",
) -> subprocess.CompletedProcess[str]:
    """One of dcmtk's SCUs over TLS with a device's certificate; its output is in `stdout`."""
    titles = ["-aet", calling or device.upper(), "-aec", called]
    where = ["localhost", str(archive.port), *map(str, files)]
    command = [peer_program(program), "-v", *archive.tls_arguments(device), *titles, *options, *where]
    return subprocess.run(
        command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT
    )


def dcmtk(archive: Served, program: str, device: str, *options: str, files: Sequence[Path] = ()) -> str:
    """All output of a program that must succeed."""
    done = run(archive, program, device, *options, files=files)
    assert done.returncode == 0, done.stdout
    return done.stdout


def findscu(
    archive: Served, folder: Path, *keys: str, root: str = "-S", query: Path | None = None, device: str = "workstation"
) -> list[FileDataset]:
    """The answers, as findscu writes them to files in a new `folder`; the final status must be success."""
    folder.mkdir()
    options = [word for key in keys for word in ("-k", key)]
    files = () if query is None else (query,)
    output = dcmtk(archive, "findscu", device, root, "-X", "-od", str(folder), *options, files=files)
    assert "Received Final Find Response (Success)" in output, output
    return [pydicom.dcmread(path, force=True) for path in sorted(folder.glob("rsp*.dcm"))]


def query_file(path: Path, keys: Dataset) -> Path:
    """A query for findscu as a file, for keys that no command line can say."""
    keys.save_as(path, implicit_vr=False, little_endian=True)
    return path


def rewritten(source: Path, target: Path, *, study: str, **elements: str) -> Path:
    """A file under UIDs of its own: many of the packaged ones share theirs."""
    dataset = pydicom.dcmread(source)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID = study, f"{study}.1", f"{study}.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(target)
    return target


def packaged(name: str) -> Path:
    """A file in pydicom's wheel."""
    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def saved(path: Path, data_set: bytes) -> Path:
    """An encoded Explicit VR Little Endian data set as a Part 10 file."""
    path.write_bytes(encode_file_meta(CT, instance_of(data_set), str(ExplicitVRLittleEndian)) + data_set)
    return path
