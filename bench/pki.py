"""A throw-away certificate authority for the peers, made with openssl: P-256, valid for a week."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM files of one end of a TLS connection."""

    key: Path
    certificate: Path
    authority: Path


def make_identities(folder: Path) -> tuple[Identity, Identity]:
    """(server, client), both signed by a new authority in `folder`."""
    folder.mkdir(parents=True)
    _openssl(
        folder, "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "7", "-subj", "/CN=Bench CA"
    )
    (folder / "extensions").write_text(_EXTENSIONS)
    return _issue(folder, "server"), _issue(folder, "client")


def _issue(folder: Path, name: str) -> Identity:
    _openssl(folder, "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "7", "-extfile", "extensions")
    _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
    return Identity(folder / f"{name}.key", folder / f"{name}.crt", folder / "ca.crt")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
