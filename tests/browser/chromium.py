"""Debian's Chromium, driven by Playwright."""

import base64
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, Playwright

from tests.served import Served

#: WebGL without a graphics card, and nothing that calls home.
ARGUMENTS = (
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing that we serve is elsewhere; what asks for it fails at once.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
)


def chromium_path() -> Path:
    """Skips where there is none, but never in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and CI installs it")
        pytest.skip("needs Chromium")
    return Path(found)


@contextmanager
def launched(playwright: Playwright, archives: Iterable[Served]) -> Iterator[Browser]:
    """A browser that trusts the keys of these archives, as one that has their authority installed: passkeys are not
    for pages with a certificate error."""
    pins = ",".join(pin for archive in archives for pin in _pins(archive))
    arguments = [*ARGUMENTS, f"--ignore-certificate-errors-spki-list={pins}"]
    browser = playwright.chromium.launch(executable_path=chromium_path(), headless=True, args=arguments)
    try:
        yield browser
    finally:
        browser.close()


def _pins(archive: Served) -> Iterator[str]:
    """SHA-256 of the SubjectPublicKeyInfo of each server certificate."""
    for path in sorted(archive.keys.glob("server*.crt")):
        key = x509.load_pem_x509_certificate(path.read_bytes()).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield base64.b64encode(hashlib.sha256(spki).digest()).decode()
