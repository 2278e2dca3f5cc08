"""`leadglass device`: nobody is enrolled whose key cannot be handed over; no key is lost by one that fails."""

from datetime import timedelta
from pathlib import Path

import pytest

from leadglass.crypto.certificates import create_authority, issue_device, new_device, public_key
from tests.served import Served

ADD = ("--aet", "CT9", "--role", "modality")


@pytest.fixture
def archive(furnished: Served, tmp_path: Path) -> Served:
    """Not served: the commands open it."""
    return furnished.copy(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_nothing_is_enrolled_when_its_files_cannot_be_written(archive: Served, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = archive.run("device", "add", "ct9", *ADD, "--out", str(tmp_path / "file" / "below"), status=2)
    assert "cannot be written: Not a directory" in told
    told = archive.run("device", "add", "ct9", *ADD, "--p12", str(tmp_path), status=2, stdin="secret\nsecret\n")
    assert "cannot be written: Is a directory" in told
    assert "ct9" not in archive.run("device", "list")
    archive.run("device", "add", "ct9", *ADD, "--out", str(tmp_path / "new"))
    assert set(contents(tmp_path / "new")) == {"ct9.key", "ct9.crt", "ca.crt"}


def test_an_enrolment_that_fails_changes_no_file(archive: Served) -> None:
    before = contents(archive.devices)
    archive.run("device", "add", "scanner", *ADD, "--out", str(archive.devices), status=2)
    archive.run("device", "renew", "nobody", "--out", str(archive.devices), status=1)
    assert contents(archive.devices) == before


def test_a_disabled_device_is_not_renewed_and_told_what_is_possible(archive: Served) -> None:
    archive.run("device", "disable", "scanner")
    before = contents(archive.devices)
    told = archive.run("device", "renew", "scanner", "--out", str(archive.devices), status=2)
    assert "scanner is disabled, and stays so." in told
    assert "under a new name with a new key" in told
    assert contents(archive.devices) == before
    archive.run("device", "add", "scanner-2", "--aet", "SCANNER", "--role", "modality", "--out", str(archive.devices))


def test_a_certificate_that_expires_soon_is_a_note(archive: Served, tmp_path: Path) -> None:
    authority = create_authority("Vendor CA")
    key = public_key(new_device(authority, "ct9", "ec").certificate)
    certificate = tmp_path / "ct9.crt"
    certificate.write_bytes(issue_device(authority, "ct9", key, life=timedelta(days=10)).pem)
    archive.run("device", "add", "ct9", *ADD, "--cert", str(certificate))
    told = archive.run("device", "test", "ct9")
    assert "note     its certificate expires in 9 days." in told
    assert "PROBLEM" not in told
