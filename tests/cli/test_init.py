"""`leadglass init` makes all of an archive or nothing."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.archive.provision import SERVER_FILES, authority
from leadglass.crypto.certificates import issue_server, parse_certificate
from leadglass.crypto.keys import KeyDirectory
from leadglass.dicom import uids
from tests.clients import connected
from tests.served import CLI, Served


@pytest.mark.parametrize("name", ["", "a..b", "pacs.example.org:2762", "https://pacs.example.org", "two words", "-a"])
def test_a_host_name_that_is_none_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    archive = Served(tmp_path)
    assert "is not a host name" in archive.run("init", "--hostname", name, status=2)
    assert not archive.keys.exists()
    assert not archive.data.exists()


def test_names_and_addresses_are_taken_and_a_second_archive_is_not(tmp_path: Path) -> None:
    archive = Served(tmp_path)
    names = ("pacs.example.org", "192.0.2.10", "2001:db8::1", "röntgen.example.org")
    made = archive.run("init", *(word for name in names for word in ("--hostname", name)))
    assert all(name in made for name in (*names, "localhost", "127.0.0.1"))
    kept = (archive.keys / "root.key").read_bytes()
    archive.run("init", status=3)
    assert (archive.keys / "root.key").read_bytes() == kept


def test_expired_server_certificates_are_renewed(furnished: Served, tmp_path: Path) -> None:
    """`serve` refuses to run with them, and says what to do; then devices connect as ever."""
    archive = furnished.copy(tmp_path)
    keys = KeyDirectory.open(archive.keys)
    then = datetime.now(UTC) - timedelta(days=900)
    for kind, (certificate, key) in SERVER_FILES.items():
        old = issue_server(authority(keys), ["localhost", "pacs.example.org", "192.0.2.10"], kind, now=then)
        keys.write(certificate, old.certificate.pem)
        keys.write(key, old.key)
    assert "leadglass certificate" in archive.run("serve", status=3)
    told = renew(archive)
    assert all(name in told for name in ("pacs.example.org", "192.0.2.10", "127.0.0.1"))
    with archive, connected(archive, "workstation", (uids.VERIFICATION, uids.EXPLICIT_LE)):
        pass
    assert "new.example.org" in renew(archive, "new.example.org")
    assert "pacs.example.org" not in renew(archive)
    assert "is not a host name" in renew(archive, "a..b", status=2)
    lasting = parse_certificate(keys.read(SERVER_FILES["rsa"][0])).not_after
    assert lasting > datetime.now(UTC) + timedelta(days=800)


def renew(archive: Served, *names: str, status: int = 0) -> str:
    command = [
        *CLI,
        "certificate",
        "--keys",
        str(archive.keys),
        *(word for name in names for word in ("--hostname", name)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr
