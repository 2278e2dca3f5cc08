"""The keys directory: the root key, the log key, the local CA and the server's certificates.

Every file is 0600 in a directory 0700, ours, no symbolic link; whatever else is found is refused with a remedy. Files
appear whole or not at all: written under another name, fsynced, renamed, the directory fsynced.
"""

import base64
import binascii
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from leadglass.errors import RefusedForSafety

_ROOT_HEADER = "leadglass root key 1"
_SECRET = 32
_SHARED = 0o077


class KeyFile(StrEnum):
    """What the directory may hold, by file name."""

    ROOT = "root.key"
    LOG = "log.key"
    LOG_MARK = "log.mark"
    CA_KEY = "ca.key"
    CA_CERTIFICATE = "ca.crt"
    SERVER_EC_KEY = "server-ec.key"
    SERVER_EC_CERTIFICATE = "server-ec.crt"
    SERVER_RSA_KEY = "server-rsa.key"
    SERVER_RSA_CERTIFICATE = "server-rsa.crt"


@dataclass(frozen=True, slots=True)
class RootKey:
    """The secret that every other symmetric key derives from or is wrapped under. `epoch` counts rotations from 1."""

    epoch: int
    secret: bytes = field(repr=False)

    def derive(self, label: str) -> bytes:
        """HKDF-SHA256(secret, info = `leadglass/` ‖ label), 32 bytes, one key for each purpose."""
        return HKDF(SHA256(), _SECRET, None, b"leadglass/" + label.encode()).derive(self.secret)


class RootKeyProvider(Protocol):
    """Where the root key comes from."""

    def root(self) -> RootKey:
        """RefusedForSafety if the key is not to be had, or not safely."""


class KeyDirectory:
    """A keys directory on disk; also the RootKeyProvider of a root key kept in a file there."""

    def __init__(self, path: Path) -> None:
        """`path` is taken as checked: use `create` or `open`."""
        self.path = path

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new directory with a new root key (epoch 1) and a new log key. RefusedForSafety if there is one."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            _check(path, os.lstat(path), stat.S_ISDIR)
            if any(path.iterdir()):
                raise RefusedForSafety("The keys directory is not empty.", "Name a new one; keys stay.") from None
        except FileNotFoundError:
            raise RefusedForSafety("The keys directory's parent is missing.", "Create it first.") from None
        _sync_directory(path.parent)
        directory = cls(path)
        directory.write(KeyFile.ROOT, _encode_root(RootKey(1, os.urandom(_SECRET))))
        log_key = Ed25519PrivateKey.generate()
        directory.write(KeyFile.LOG, log_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return directory

    @classmethod
    def open(cls, path: Path) -> Self:
        """An existing directory. RefusedForSafety if it is missing, shared with others, or no directory of ours."""
        try:
            status = os.lstat(path)
        except OSError as error:
            raise _unreadable(path, error, "Restore it from its backup, or run: leadglass init") from None
        _check(path, status, stat.S_ISDIR)
        return cls(path)

    def root(self) -> RootKey:
        """RefusedForSafety if the file is missing, unreadable, shared with others or malformed."""
        return _decode_root(self.path / KeyFile.ROOT, self.read(KeyFile.ROOT))

    def file(self, name: KeyFile) -> Path:
        """The path of a file that was checked just now, for libraries that read files themselves."""
        os.close(self._open(name))
        return self.path / name

    def exists(self, name: KeyFile) -> bool:
        return os.path.lexists(self.path / name)

    def read(self, name: KeyFile) -> bytes:
        """The content of one file. RefusedForSafety as `root`, but for the form."""
        with os.fdopen(self._open(name), "rb") as file:
            return file.read()

    def write(self, name: KeyFile, content: bytes) -> None:
        """Write or replace one file, durably and as a whole."""
        draft = self.path / f".{name}.{os.urandom(8).hex()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            draft.rename(self.path / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_directory(self.path)

    def mark(self) -> bytes | None:
        """The log's high-water mark as last written, `None` before the first one."""
        return self.read(KeyFile.LOG_MARK) if self.exists(KeyFile.LOG_MARK) else None

    def _open(self, name: KeyFile) -> int:
        return _open_private(self.path / name)


def read_private(path: Path) -> bytes:
    """The content of a key file that lies anywhere. RefusedForSafety if it is missing, unreadable, a link, or shared
    with others."""
    with os.fdopen(_open_private(path), "rb") as file:
        return file.read()


def _open_private(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error, "Restore it from its backup.") from None
    try:
        _check(path, os.fstat(descriptor), stat.S_ISREG)
    except RefusedForSafety:
        os.close(descriptor)
        raise
    return descriptor


def same_device(a: Path, b: Path) -> bool:
    """Whether both paths lie on one device (HHS counts data as secured only with its keys kept separately)."""
    return a.stat().st_dev == b.stat().st_dev


def _check(path: Path, status: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    if stat.S_ISLNK(status.st_mode) or not is_kind(status.st_mode):
        raise RefusedForSafety(
            f"{path} is not a plain file or directory.", "Put the original in its place, not a link."
        )
    if status.st_uid != os.geteuid():
        raise RefusedForSafety(f"{path} belongs to another user.", f"Run: chown {os.geteuid()} {path}")
    if status.st_mode & _SHARED:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        raise RefusedForSafety(f"Others than its owner may access {path}.", f"Run: chmod {mode} {path}")


def _encode_root(root: RootKey) -> bytes:
    return f"{_ROOT_HEADER}\nepoch: {root.epoch}\nsecret: {base64.b64encode(root.secret).decode()}\n".encode()


def _decode_root(path: Path, content: bytes) -> RootKey:
    try:
        header, epoch, secret = content.decode("ascii").rstrip("\n").split("\n")
        if header != _ROOT_HEADER or not epoch.startswith("epoch: ") or not secret.startswith("secret: "):
            raise ValueError
        root = RootKey(
            int(epoch.removeprefix("epoch: ")), base64.b64decode(secret.removeprefix("secret: "), validate=True)
        )
        if root.epoch < 1 or len(root.secret) != _SECRET:
            raise ValueError
    except (ValueError, binascii.Error):
        # `from None`: the cause would quote the line that holds the secret.
        raise RefusedForSafety(f"{path} is not a root key file.", "Restore it from its backup.") from None
    return root


def _unreadable(path: Path, error: OSError, if_missing: str) -> RefusedForSafety:
    if error.errno == errno.ENOENT:
        return RefusedForSafety(f"{path} is missing.", if_missing)
    if error.errno == errno.ELOOP:
        return RefusedForSafety(f"{path} is a symbolic link.", "Put the original in its place, not a link.")
    return RefusedForSafety(f"{path} cannot be read ({os.strerror(error.errno or 0)}).", "Check its owner and mode.")


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
