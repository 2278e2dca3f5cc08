"""A device's credential for enrolment: made here, certified for its own key, or taken as it is; and its files."""

import errno
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

import typer

from leadglass.archive.provision import authority, authority_certificate
from leadglass.crypto.certificates import (
    Certificate,
    from_csr,
    issue_device,
    new_device,
    parse_certificate,
    pkcs12_bundle,
    require_client_use,
)
from leadglass.crypto.keys import KeyDirectory
from leadglass.errors import UsageError


@dataclass(frozen=True, slots=True)
class Prepared:
    """A certificate to enrol, the DER of what it is trusted by when that is not our authority, files to hand over."""

    certificate: Certificate
    anchor: bytes = b""
    files: Mapping[Path, bytes] = field(default_factory=dict, repr=False)

    def params(self) -> dict[str, str]:
        """For the verbs of enrolment."""
        return {
            "certificate": b64encode(self.certificate.der).decode(),
            "anchor": b64encode(self.anchor).decode(),
        }

    @property
    def until(self) -> str:
        return self.certificate.not_after.date().isoformat()


def prepare(
    keys: Path, name: str, *, out: Path | None, csr: Path | None, cert: Path | None, ca: Path | None, p12: Path | None
) -> Prepared:
    """Asks for a password when there is a `p12`. Raises UsageError, FormatError, RefusedForSafety."""
    _check_name(name)
    if sum(given is not None for given in (csr, cert, p12)) > 1 or (cert is not None and out is not None):
        raise UsageError("Only one of --csr, --cert and --p12 can be given, and --cert goes without --out.")
    if ca is not None and cert is None:
        raise UsageError("--ca goes with --cert.")
    directory = KeyDirectory.open(keys)
    if cert is not None:
        return _given(cert, ca)
    if csr is not None:
        if out is None:
            raise UsageError("--csr needs --out, where the certificate is written.")
        certificate = issue_device(authority(directory), name, from_csr(_read(csr)))
        return Prepared(certificate, files=_certificates(directory, name, certificate, out))
    if out is None and p12 is None:
        raise UsageError("Say where the certificate goes or comes from: --out, --csr, --cert or --p12.")
    return _made(directory, name, out, p12)


@contextmanager
def handing_over(prepared: Prepared) -> Iterator[None]:
    """Its files appear when the body is through and not at all when it fails: a device whose key could not be written
    would be enrolled for nobody, and an earlier key must not be lost. Raises UsageError before the body."""
    with ExitStack() as drafts:
        written = {path: _draft(path, content, drafts) for path, content in prepared.files.items()}
        yield
        for path, draft in written.items():
            draft.rename(path)


def _draft(path: Path, content: bytes, drafts: ExitStack) -> Path:
    """The content beside its place; `drafts` removes it if it is still there in the end."""
    draft = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        drafts.callback(draft.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", "Nothing was enrolled.") from None
    return draft


def _given(cert: Path, ca: Path | None) -> Prepared:
    certificate = parse_certificate(_read(cert))
    require_client_use(certificate)
    # Without its authority it is pinned: it is its own trust anchor.
    return Prepared(certificate, certificate.der if ca is None else parse_certificate(_read(ca)).der)


def _made(directory: KeyDirectory, name: str, out: Path | None, p12: Path | None) -> Prepared:
    files: dict[Path, bytes] = {}
    issued = new_device(authority(directory), name)
    if p12 is not None:
        password = typer.prompt("Password of the PKCS#12 file", hide_input=True, confirmation_prompt=True)
        files[p12] = pkcs12_bundle(name, issued, authority_certificate(directory), password.encode())
    if out is not None:
        files[out / f"{name}.key"] = issued.key
        files |= _certificates(directory, name, issued.certificate, out)
    return Prepared(issued.certificate, files=files)


def _certificates(directory: KeyDirectory, name: str, certificate: Certificate, out: Path) -> dict[Path, bytes]:
    return {out / f"{name}.crt": certificate.pem, out / "ca.crt": authority_certificate(directory).pem}


def _check_name(name: str) -> None:
    # It becomes a file name and a certificate's subject.
    if not name or len(name) > 64 or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
        raise UsageError("A device's name is 1 to 64 letters, digits, dots, dashes and underscores.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
