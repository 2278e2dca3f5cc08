"""Whether a report is still what was signed."""

from dataclasses import dataclass
from pathlib import Path

from leadglass.assess.report.sign import SIDECAR, ReportFormat, take_apart
from leadglass.crypto.signing import VerifyKey
from leadglass.errors import NotFound, VerificationFailed

#: The largest report that is read; one of 4,096 hosts is a few megabytes.
_LARGEST = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Verified:
    """A report whose signature holds. `fingerprint` says by which key, `pinned` whether that key was the one asked for.

    A key made for one report shows only that the file has not changed since: whoever alters it may sign it anew with
    another key. Compare the fingerprint with what the assessor told, or give the key.
    """

    format: ReportFormat
    fingerprint: str
    pinned: bool


def verify(path: Path, expected: VerifyKey | None = None) -> Verified:
    """1 read the file and what lies beside it, 2 find its signature, 3 compare the key, 4 verify.

    NotFound if there is no such file; VerificationFailed if it has no signature, another key's, or one that does not
    hold.
    """
    content = _read(path)
    beside = path.with_name(path.name + SIDECAR)
    report = take_apart(content, _read(beside) if beside.exists() else None)
    if expected is not None and expected.raw != report.key.raw:
        raise VerificationFailed("The report is signed with another key than the one given.")
    report.key.verify(report.signature, report.message)
    return Verified(report.format, report.key.fingerprint, expected is not None)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise NotFound(f"The report cannot be read ({error.strerror}).", "Check its path.") from None
    if len(content) > _LARGEST:
        raise VerificationFailed("The file is too large for a report.")
    return content
