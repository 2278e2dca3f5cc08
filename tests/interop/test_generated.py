"""What we generate ourselves conforms: dciodvfy of dicom3tools finds nothing wrong with it."""

import subprocess
from pathlib import Path

import pydicom
import pytest

from leadglass.cli.phantom import phantom_series
from leadglass.dicom import tags, uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, get, part10
from tests.served import Served, peer_program


def complaints(path: Path) -> list[str]:
    """All that it says, warnings too, but the name of the object's class."""
    done = subprocess.run(
        [peer_program("dciodvfy"), str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return [line for line in done.stdout.splitlines() if line != "CTImage"]


@pytest.fixture
def phantom(tmp_path: Path) -> list[Path]:
    paths = []
    for name, content in phantom_series(slices=3, rows=64, columns=64, seed=7):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    return paths


def test_phantom(phantom: list[Path]) -> None:
    assert {path.name: complaints(path) for path in phantom} == {path.name: [] for path in phantom}


def test_phantom_through_the_archive(archive: Served, phantom: list[Path], tmp_path: Path) -> None:
    assert archive.run("import", *map(str, phantom)).startswith("3 stored")
    originals = {instance: data_set for _, instance, _, data_set in map(part10, phantom)}
    study = str(pydicom.dcmread(phantom[0]).StudyInstanceUID)
    _, _, received = get(archive, {tags.STUDY_INSTANCE_UID: study}, (CT, uids.EXPLICIT_LE))
    assert received == originals
    for instance, data_set in received.items():
        written = tmp_path / f"{instance}.dcm"
        written.write_bytes(encode_file_meta(CT, instance, uids.EXPLICIT_LE) + data_set)
        assert complaints(written) == []
