"""`leadglass import` goes on past what it cannot take, and says at the end what became of everything."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from leadglass.cli.access import Progress, Reach, Verbs
from leadglass.cli.importing import _import_batch
from leadglass.dicom import uids
from leadglass.dicom.part10 import encode_file_meta
from tests.clients import CT, ROOT, ct
from tests.served import Served


@pytest.fixture
def archive(furnished: Served, tmp_path: Path) -> Served:
    """Not served: the command opens it."""
    return furnished.copy(tmp_path)


def written(folder: Path, number: int, comments: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{number}.dcm"
    path.write_bytes(
        encode_file_meta(CT, f"{ROOT}.1.1.{number}", uids.EXPLICIT_LE) + ct(number, PatientComments=comments)
    )
    return path


def test_a_file_that_cannot_be_read_is_refused_alone(archive: Served, tmp_path: Path) -> None:
    folder = written(tmp_path / "images", 1).parent
    # A regular file whose first byte is an I/O error, or that may not be opened without privileges.
    told = archive.run("import", "/proc/self/mem", str(folder), status=1)
    assert "1 stored, 1 refused" in told or "1 refused, 1 stored" in told
    assert "/proc/self/mem: It cannot be read: " in told


def test_a_full_disk_ends_it_with_its_summary(archive: Served, tmp_path: Path) -> None:
    folder = written(tmp_path / "images", 1).parent
    config = tmp_path / "full.toml"
    config.write_text(f"[archive]\nreserve_mib = {2**40}\n")
    told = archive.run("import", str(folder), "--config", str(config), status=4)
    assert "1 no room; 0 of " in told
    assert "below the reserve" in told


def test_a_damaged_version_on_record_refuses_the_file_that_claims_its_uid(archive: Served, tmp_path: Path) -> None:
    archive.run("import", str(written(tmp_path / "first", 1)))
    (pack,) = archive.data.glob("packs/*/*.pack")
    damaged = bytearray(pack.read_bytes())
    damaged[500] ^= 1
    pack.write_bytes(damaged)
    folder = written(tmp_path / "second", 1, comments="other header").parent
    written(folder, 2)
    told = archive.run("import", str(folder), status=1)
    assert "1 stored" in told
    assert "1 refused" in told


def test_what_vanishes_before_it_is_opened_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    present, missing = written(tmp_path / "images", 1), tmp_path / "missing.dcm"
    handed: list[int] = []

    def run(_verb: str, _params: dict[str, Any], files: Sequence[int], _progress: Progress) -> list[dict[str, Any]]:
        handed.extend(files)
        return [{"outcome": "stored", "reason": "", "octets": 1} for _ in files]

    class Fake:
        @contextmanager
        def connect(self) -> Iterator[Verbs]:
            yield Verbs(run)

    results = dict(_import_batch(cast(Reach, Fake()), [missing, present], {}))
    assert results[missing]["outcome"] == "refused"
    assert results[present]["outcome"] == "stored"
    for descriptor in handed:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
