"""Signatures: they hold on what was written and on nothing else, and plain openssl agrees, by the documented lines."""

import json as plain_json
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from leadglass.assess.report import csv, html, json, pdf, sarif
from leadglass.assess.report.model import Report
from leadglass.assess.report.sign import SIDECAR, ReportFormat, sign, token_of
from leadglass.assess.verify import verify
from leadglass.crypto.signing import SigningKey, VerifyKey
from leadglass.errors import FormatError, NotFound, VerificationFailed
from tests.assess.reports import KEY, report
from tests.lab.assessed import run_assessment, scope_text
from tests.served import CLI, peer_program

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats" / "exposure-report.md"
RENDERERS: dict[ReportFormat, Callable[[Report], bytes]] = {
    ReportFormat.JSON: json.render,
    ReportFormat.SARIF: sarif.render,
    ReportFormat.HTML: html.render,
    ReportFormat.PDF: pdf.render,
    ReportFormat.CSV: csv.render,
}
FORMATS = pytest.mark.parametrize("form", list(ReportFormat))


def written(folder: Path, form: ReportFormat, key: SigningKey = KEY) -> Path:
    """A signed report as the command writes it."""
    content = RENDERERS[form](report(key=key.public))
    path = folder / f"report.{form}"
    if form is ReportFormat.CSV:
        path.with_name(path.name + SIDECAR).write_bytes(token_of(content, key) + b"\n")
        path.write_bytes(content)
    else:
        path.write_bytes(sign(form, content, key))
    return path


@FORMATS
def test_a_signed_report_verifies(tmp_path: Path, form: ReportFormat) -> None:
    verified = verify(written(tmp_path, form))
    assert (verified.format, verified.fingerprint, verified.pinned) == (form, KEY.public.fingerprint, False)


@FORMATS
def test_only_the_expected_key_will_do(tmp_path: Path, form: ReportFormat) -> None:
    path = written(tmp_path, form)
    assert verify(path, KEY.public).pinned
    with pytest.raises(VerificationFailed, match="another key"):
        verify(path, SigningKey.generate().public)


@FORMATS
def test_no_byte_can_be_changed(tmp_path: Path, form: ReportFormat) -> None:
    path = written(tmp_path, form)
    content = path.read_bytes()
    random = Random(4)
    places = [0, len(content) - 1, len(content) - 140, *(random.randrange(len(content)) for _ in range(40))]
    for place in places:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(VerificationFailed):
            verify(path)


@FORMATS
def test_nothing_can_be_added_or_cut_off(tmp_path: Path, form: ReportFormat) -> None:
    path = written(tmp_path, form)
    content = path.read_bytes()
    for other in (content + b"\n", b" " + content, content[:-1], content[: len(content) // 2], b""):
        path.write_bytes(other)
        with pytest.raises(VerificationFailed):
            verify(path)


def test_a_report_without_its_signature_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(json.render(report()))
    with pytest.raises(VerificationFailed, match="no signature"):
        verify(path)
    with pytest.raises(NotFound):
        verify(tmp_path / "absent.json")


@FORMATS
def test_openssl_verifies_by_the_documented_lines(tmp_path: Path, form: ReportFormat) -> None:
    peer_program("openssl")
    path = written(tmp_path, form)
    text = DOCUMENT.read_text()
    first, second = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    sizes = {name.lower(): size for name, size in re.findall(r"^\| (\w+) \|.*\| (\d+) \|$", text, re.MULTILINE)}
    script = second if form is ReportFormat.CSV else first
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "FILE": path.name, "N": sizes[form]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert form is ReportFormat.CSV or KEY.public.fingerprint in done.stdout


def test_openssl_makes_keys_that_we_take(tmp_path: Path) -> None:
    openssl = peer_program("openssl")
    private, public = tmp_path / "sign.pem", tmp_path / "public.pem"
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", private], check=True, timeout=60)
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True, timeout=60)
    key = SigningKey.from_pem(private.read_bytes())
    assert key.public == VerifyKey.from_pem(public.read_bytes())
    assert verify(written(tmp_path, ReportFormat.JSON, key), key.public).pinned
    assert SigningKey.from_pem(key.pem).public == key.public


@pytest.mark.parametrize("pem", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_without_being_quoted(pem: bytes) -> None:
    for read in (SigningKey.from_pem, VerifyKey.from_pem):
        with pytest.raises(FormatError) as error:
            read(pem)
        assert "AAAA" not in str(error.value)


def test_the_private_key_is_not_in_its_repr() -> None:
    assert repr(KEY) == "SigningKey()"


def test_signed_json_and_sarif_are_still_json(tmp_path: Path) -> None:
    for form in (ReportFormat.JSON, ReportFormat.SARIF):
        loaded = plain_json.loads(written(tmp_path, form).read_bytes())
        token = loaded["signature"] if form is ReportFormat.JSON else loaded["properties"]["leadglass/signature"]
        assert re.fullmatch(r"[A-Za-z0-9+/]{128}", token)


def test_the_command_signs_with_a_key_that_is_only_its_owners(tmp_path: Path) -> None:
    key = SigningKey.generate()
    private, public = tmp_path / "sign.pem", tmp_path / "public.pem"
    private.write_bytes(key.pem)
    private.chmod(0o600)
    openssl = peer_program("openssl")
    subprocess.run([openssl, "pkey", "-in", private, "-pubout", "-out", public], check=True, timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    run_assessment(tmp_path, scope_text(["127.0.0.1"], [port]), ["--sign-key", str(private)])
    verifying = [*CLI, "assess", "verify", str(tmp_path / "report.json"), "--key", str(public)]
    done = subprocess.run(verifying, capture_output=True, text=True, timeout=60)
    assert (done.returncode, key.public.fingerprint in done.stdout) == (0, True)

    private.chmod(0o644)
    assessing = [*CLI, "assess", "exposure", "--scope", str(tmp_path / "scope.toml"), "--sign-key"]
    for path, status in ((private, 3), (tmp_path / "absent.pem", 2)):
        done = subprocess.run([*assessing, str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
