"""What `leadglass` will not do: exit code 3 with a remedy of one line, 4 for what may come back, 2 for usage."""

import hashlib
import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from leadglass.archive.provision import SERVER_FILES, authority
from leadglass.crypto.certificates import KeyKind, create_authority, issue_server
from leadglass.crypto.keys import KeyDirectory, KeyFile
from leadglass.index.connection import connect
from tests.clients import ct, store
from tests.served import Served
from tests.server.conftest import Copied

SERVE = ("serve", "--dimse-port", "0", "--https-port", "0")


@pytest.fixture
def archive(copied: Copied, tmp_path: Path) -> Served:
    return copied(tmp_path)


def tree(*folders: Path) -> dict[str, tuple[int, str]]:
    """Mode and content of everything below."""
    found = {}
    for folder in folders:
        for path in (folder, *sorted(folder.rglob("*"))):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (path.lstat().st_mode, content)
    return found


def refused(archive: Served, *words: str, status: int = 3) -> tuple[str, str]:
    """Run what must be refused: what happened, and the remedy."""
    before = tree(archive.data, archive.keys) if archive.keys.is_dir() else {}
    output = archive.run(*words, status=status)
    lines = output.splitlines()
    assert len(lines) == 2, output
    assert lines[0].startswith("leadglass: ")
    assert lines[1].startswith("  ")
    assert lines[1].strip()
    assert not before or tree(archive.data, archive.keys) == before, "something was changed"
    return lines[0], lines[1].strip()


def test_missing_keys_directory(archive: Served) -> None:
    archive.keys.rename(archive.folder / "elsewhere")
    what, remedy = refused(archive, *SERVE)
    assert "keys is missing" in what
    assert "backup" in remedy


@pytest.mark.parametrize(
    "name",
    [KeyFile.ROOT, KeyFile.LOG, KeyFile.CA_CERTIFICATE, KeyFile.SERVER_EC_KEY, KeyFile.SERVER_RSA_CERTIFICATE],
)
def test_missing_key_file(archive: Served, name: KeyFile) -> None:
    (archive.keys / name).unlink()
    what, remedy = refused(archive, *SERVE)
    assert f"{name} is missing" in what
    assert remedy.strip() == "Restore it from its backup."


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
@pytest.mark.parametrize("name", [KeyFile.ROOT, KeyFile.SERVER_RSA_KEY])
def test_key_file_that_others_can_read(archive: Served, name: KeyFile, mode: int) -> None:
    (archive.keys / name).chmod(mode)
    what, remedy = refused(archive, *SERVE)
    assert name in what
    assert remedy == f"Run: chmod 600 {archive.keys / name}"


def test_keys_directory_that_others_can_enter(archive: Served) -> None:
    archive.keys.chmod(0o750)
    assert refused(archive, *SERVE)[1] == f"Run: chmod 700 {archive.keys}"


def test_key_file_that_is_a_link(archive: Served) -> None:
    root = archive.keys / KeyFile.ROOT
    root.rename(archive.folder / "root.key")
    root.symlink_to(archive.folder / "root.key")
    assert "symbolic link" in refused(archive, *SERVE)[0]


def test_key_file_of_another_user(archive: Served) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a file away")
    os.chown(archive.keys / KeyFile.ROOT, 12345, -1)
    assert "belongs to another user" in refused(archive, *SERVE)[0]


@pytest.mark.parametrize(
    "content",
    [b"", b"leadglass root key 1\n", os.urandom(64), b"leadglass root key 1\nepoch: 1\nsecret: c2hvcnQ=\n"],
    ids=["empty", "header", "random", "short"],
)
def test_root_key_that_is_none(archive: Served, content: bytes) -> None:
    (archive.keys / KeyFile.ROOT).write_bytes(content)
    what, remedy = refused(archive, *SERVE)
    assert "is not a root key file" in what
    assert "backup" in remedy


@pytest.mark.parametrize("command", [SERVE, ("fsck",), ("device", "list")])
def test_wrong_root_key(archive: Served, command: tuple[str, ...]) -> None:
    other = KeyDirectory.create(archive.folder / "other")
    (archive.keys / KeyFile.ROOT).write_bytes(other.read(KeyFile.ROOT))
    what, remedy = refused(archive, *command)
    assert "does not open with this key" in what
    assert "--keys" in remedy


def test_port_in_use(archive: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        output = archive.run("serve", "--dimse-port", str(taken.getsockname()[1]), status=3)
    assert "Cannot listen" in output
    assert "--dimse-port" in output.splitlines()[-1]
    assert "Traceback" not in output


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_address_that_is_not_ours(archive: Served, host: str) -> None:
    output = archive.run(*SERVE, "--host", host, status=3)
    assert "Cannot listen" in output
    assert "--host" in output.splitlines()[-1]


def test_port_that_is_none(archive: Served) -> None:
    assert "Traceback" not in archive.run("serve", "--dimse-port", "70000", status=2)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_expired_server_certificate(archive: Served, kind: KeyKind) -> None:
    keys = KeyDirectory.open(archive.keys)
    issued = issue_server(authority(keys), ["localhost"], kind, now=datetime.now(UTC) - timedelta(days=830))
    certificate, key = SERVER_FILES[kind]
    keys.write(certificate, issued.certificate.pem)
    keys.write(key, issued.key)
    what, remedy = refused(archive, *SERVE)
    assert f"server certificate ({kind}) expired" in what
    assert "Renew" in remedy


def test_expired_authority(archive: Served) -> None:
    keys = KeyDirectory.open(archive.keys)
    made = create_authority("Old", now=datetime.now(UTC) - timedelta(days=21 * 365))
    keys.write(KeyFile.CA_CERTIFICATE, made.certificate.pem)
    assert "CA certificate expired" in refused(archive, *SERVE)[0]


def test_key_of_another_certificate(archive: Served) -> None:
    keys = KeyDirectory.open(archive.keys)
    issued = issue_server(authority(keys), ["localhost"], "ec")
    keys.write(KeyFile.SERVER_EC_KEY, issued.key)
    output = archive.run(*SERVE, status=3)
    assert "cannot be used" in output
    assert "Traceback" not in output


def test_data_of_a_newer_version(archive: Served) -> None:
    (archive.data / "VERSION").write_text("leadglass 999\n")
    what, remedy = refused(archive, *SERVE)
    assert "newer Leadglass (format 999)" in what
    assert "Install" in remedy


def test_index_of_a_newer_version(archive: Served) -> None:
    key = KeyDirectory.open(archive.keys).root().derive("index")
    index = connect(archive.data / "index.db", key, writing=True)
    index.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    index.close()
    output = archive.run(*SERVE, status=3)
    assert "newer version" in output.splitlines()[0]
    assert "Install" in output.splitlines()[1]


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_text("something else\n")], ids=["gone", "other"]
)
def test_data_that_is_no_archive(archive: Served, spoil: Callable[[Path], object]) -> None:
    spoil(archive.data / "VERSION")
    assert "--data" in refused(archive, *SERVE)[1]


def test_missing_index(archive: Served) -> None:
    (archive.data / "index.db").unlink()
    assert "index.db is missing" in archive.run(*SERVE, status=3)


def test_init_into_an_archive(archive: Served) -> None:
    """Whichever of the two directories is in use, nothing of either is made or changed."""
    refused(archive, "init")
    for data, keys in ((archive.data, archive.folder / "new"), (archive.folder / "new", archive.keys)):
        before = tree(archive.data, archive.keys)
        other = Served(archive.folder)
        other.data, other.keys = data, keys
        assert other.run("init", status=3).startswith("leadglass: ")
        assert tree(archive.data, archive.keys) == before
        assert not (archive.folder / "new").exists()


def test_init_into_a_folder_with_something_in_it(archive: Served) -> None:
    shutil.rmtree(archive.keys)
    shutil.rmtree(archive.data)
    archive.data.mkdir()
    (archive.data / "thesis.txt").write_text("years of work")
    assert "not an empty directory" in archive.run("init", status=3)
    assert (archive.data / "thesis.txt").read_text() == "years of work"
    assert not archive.keys.exists()


def test_serving_twice(archive: Served) -> None:
    with archive:
        output = archive.run(*SERVE, status=4)
        assert "Another process has this archive open" in output
        assert "Traceback" not in output
        assert store(archive, ct())[0].status == 0


@pytest.mark.parametrize(
    "settings",
    [
        b"[dimse",
        b"\xff\xfe",
        b"[dimse]\nartim_seconds = 'soon'\n",
        b"[dimse]\nstrangers = 0\n",
        b"[dimse]\nopen_to_everybody = true\n",
        b"[nobody]\nknows = 'this'\n",
        b"dimse = 3\n",
        b"[archive]\nreserve_mib = 1\n",
    ],
    ids=["syntax", "encoding", "type", "range", "unknown", "table", "no-table", "reserve"],
)
def test_settings_that_are_not_right(archive: Served, settings: bytes) -> None:
    path = archive.folder / "settings.toml"
    path.write_bytes(settings)
    output = archive.run(*SERVE, "--config", str(path), status=2)
    assert "Traceback" not in output
    assert output.startswith("leadglass: ")


def test_settings_that_are_missing(archive: Served) -> None:
    assert "cannot be read" in archive.run(*SERVE, "--config", str(archive.folder / "none.toml"), status=2)
