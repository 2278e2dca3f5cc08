import os
from pathlib import Path

import pytest

from leadglass.crypto.keys import KeyDirectory, KeyFile, RootKey, RootKeyProvider, same_device
from leadglass.errors import RefusedForSafety


@pytest.fixture
def keys(tmp_path: Path) -> KeyDirectory:
    return KeyDirectory.create(tmp_path / "keys")


def test_a_new_directory_holds_a_root_and_a_log_key_for_its_owner_alone(keys: KeyDirectory) -> None:
    assert sorted(path.name for path in keys.path.iterdir()) == ["log.key", "root.key"]
    assert keys.path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in keys.path.iterdir()} == {0o600}
    assert keys.read(KeyFile.LOG).startswith(b"-----BEGIN PRIVATE KEY-----")


def test_the_root_key_is_the_same_each_time_and_its_own(keys: KeyDirectory, tmp_path: Path) -> None:
    provider: RootKeyProvider = KeyDirectory.open(keys.path)
    root = provider.root()
    assert root == keys.root()
    assert (root.epoch, len(root.secret)) == (1, 32)
    assert root != KeyDirectory.create(tmp_path / "other").root()


def test_derived_keys_differ_by_label_and_follow_rfc_5869() -> None:
    root = RootKey(1, bytes(range(32)))
    assert root.derive("index") != root.derive("log-mac")
    # HKDF-SHA256 without salt, info `leadglass/index`, computed with Python's hmac.
    assert root.derive("index").hex() == _hkdf(bytes(range(32)), b"leadglass/index").hex()


def _hkdf(secret: bytes, info: bytes) -> bytes:
    import hmac

    pseudorandom = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")


def test_secrets_do_not_show(keys: KeyDirectory) -> None:
    root = keys.root()
    for text in (repr(root), str(root), repr(keys)):
        assert root.secret.hex() not in text
        assert "secret" not in text


def test_an_existing_directory_is_not_taken_over(keys: KeyDirectory, tmp_path: Path) -> None:
    before = keys.root()
    with pytest.raises(RefusedForSafety, match="not empty"):
        KeyDirectory.create(keys.path)
    assert keys.root() == before
    (tmp_path / "empty").mkdir(mode=0o700)
    KeyDirectory.create(tmp_path / "empty").root()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o755)
    with pytest.raises(RefusedForSafety, match="chmod 700"):
        KeyDirectory.create(tmp_path / "shared")
    with pytest.raises(RefusedForSafety, match="parent"):
        KeyDirectory.create(tmp_path / "absent" / "keys")


class TestRefusals:
    """Each with a remedy of one line."""

    def refused(self, keys: KeyDirectory, words: str) -> None:
        with pytest.raises(RefusedForSafety, match=words) as caught:
            KeyDirectory.open(keys.path).root()
        assert caught.value.remedy
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None

    def test_missing(self, keys: KeyDirectory, tmp_path: Path) -> None:
        (keys.path / "root.key").unlink()
        self.refused(keys, "missing")
        self.refused(KeyDirectory(tmp_path / "absent"), "missing")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644])
    def test_a_file_that_others_may_access(self, keys: KeyDirectory, mode: int) -> None:
        (keys.path / "root.key").chmod(mode)
        self.refused(keys, "chmod 600")

    def test_a_directory_that_others_may_access(self, keys: KeyDirectory) -> None:
        keys.path.chmod(0o750)
        self.refused(keys, "chmod 700")

    def test_links(self, keys: KeyDirectory, tmp_path: Path) -> None:
        (keys.path / "root.key").rename(tmp_path / "elsewhere")
        (keys.path / "root.key").symlink_to(tmp_path / "elsewhere")
        self.refused(keys, "link")
        (tmp_path / "alias").symlink_to(keys.path)
        self.refused(KeyDirectory(tmp_path / "alias"), "link")

    def test_other_kinds_of_file(self, keys: KeyDirectory) -> None:
        (keys.path / "root.key").unlink()
        os.mkfifo(keys.path / "root.key", 0o600)
        self.refused(keys, "not a plain file")
        (keys.path / "root.key").unlink()
        (keys.path / "root.key").mkdir(mode=0o700)
        self.refused(keys, "not a plain file")
        self.refused(KeyDirectory(keys.path / "log.key"), "not a plain file")

    def test_another_owner(self, keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        self.refused(keys, "another user")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_unreadable(self, keys: KeyDirectory) -> None:
        (keys.path / "root.key").chmod(0o200)
        self.refused(keys, "cannot be read")

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff\xfe",
            b"leadglass root key 1\nepoch: 1\n",
            b"leadglass root key 2\nepoch: 1\nsecret: " + b"A" * 43 + b"=\n",
            b"leadglass root key 1\nepoch: 0\nsecret: " + b"A" * 43 + b"=\n",
            b"leadglass root key 1\nepoch: one\nsecret: " + b"A" * 43 + b"=\n",
            b"leadglass root key 1\nepoch: 1\nsecret: PLANTED!\n",
            b"leadglass root key 1\nepoch: 1\nsecret: QUJD\n",
            b"leadglass root key 1\nsecret: " + b"A" * 43 + b"=\nepoch: 1\n",
        ],
    )
    def test_malformed(self, keys: KeyDirectory, content: bytes) -> None:
        keys.write(KeyFile.ROOT, content)
        self.refused(keys, "not a root key file")
        with pytest.raises(RefusedForSafety) as caught:
            keys.root()
        assert "PLANTED" not in str(caught.value)


def test_files_are_replaced_as_a_whole_and_nothing_is_left_over(
    keys: KeyDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keys.mark() is None
    keys.write(KeyFile.LOG_MARK, b"first")
    keys.write(KeyFile.LOG_MARK, b"second")
    assert keys.mark() == b"second"
    assert (keys.path / "log.mark").stat().st_mode & 0o777 == 0o600

    def fail(descriptor: int) -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="I/O"):
        keys.write(KeyFile.LOG_MARK, b"third")
    monkeypatch.undo()
    assert keys.mark() == b"second"
    assert sorted(path.name for path in keys.path.iterdir()) == ["log.key", "log.mark", "root.key"]


def test_paths_for_libraries_are_checked(keys: KeyDirectory) -> None:
    assert keys.file(KeyFile.LOG) == keys.path / "log.key"
    (keys.path / "log.key").chmod(0o644)
    with pytest.raises(RefusedForSafety):
        keys.file(KeyFile.LOG)
    with pytest.raises(RefusedForSafety):
        keys.file(KeyFile.CA_KEY)


def test_same_device(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert same_device(tmp_path, tmp_path / "other")
