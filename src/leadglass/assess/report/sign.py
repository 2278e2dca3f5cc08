"""Signatures that travel inside a report: docs/formats/exposure-report.md.

A signed file is message ‖ trailer. The trailer has one fixed length for each format, ends the file, and its token is
base64(public key ‖ signature): 96 bytes in 128 characters without padding. What is signed is the message, byte for
byte: nothing has to be parsed, let alone canonicalised, before the signature is known to hold. CSV has no place for a
trailer; its token lies beside it in a file of the same name and `.sig`.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum

from leadglass.crypto.signing import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from leadglass.errors import VerificationFailed


class ReportFormat(StrEnum):
    JSON = "json"
    SARIF = "sarif"
    HTML = "html"
    PDF = "pdf"
    CSV = "csv"


#: What stands before and after the token. The JSON ones close the object that the message leaves open.
_TRAILERS = {
    ReportFormat.JSON: (b',\n  "signature": "', b'"\n}\n'),
    ReportFormat.SARIF: (b',\n  "properties": {"leadglass/signature": "', b'"}\n}\n'),
    ReportFormat.HTML: (b"<!-- leadglass-signature ", b" -->\n"),
    # A comment after the end-of-file marker (ISO 32000-1 7.5.5): readers look for that in the last kilobyte.
    ReportFormat.PDF: (b"%leadglass-signature ", b"\n"),
}
_TOKEN = re.compile(rb"[A-Za-z0-9+/]{128}")
_TOKEN_CHARACTERS = 128
SIDECAR = ".sig"


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A report taken apart; nothing is verified yet."""

    format: ReportFormat
    message: bytes
    key: VerifyKey
    signature: bytes


def token_of(message: bytes, key: SigningKey) -> bytes:
    return base64.b64encode(key.public.raw + key.sign(message))


def sign(form: ReportFormat, content: bytes, key: SigningKey) -> bytes:
    """`content` with its trailer. JSON and SARIF must be an object that ends in `}` and a line break, PDF and HTML in a
    line break. Not for CSV, whose token lies beside it."""
    before, after = _TRAILERS[form]
    message = content.removesuffix(b"\n}\n") if form in (ReportFormat.JSON, ReportFormat.SARIF) else content
    return message + before + token_of(message, key) + after


def take_apart(content: bytes, sidecar: bytes | None = None) -> SignedReport:
    """A signed file, and what lies beside it. VerificationFailed if there is no signature at the file's very end."""
    for form, (before, after) in _TRAILERS.items():
        message, trailer = _split(content, len(before) + _TOKEN_CHARACTERS + len(after))
        if trailer.startswith(before) and trailer.endswith(after):
            return _signed(form, message, trailer[len(before) : len(before) + _TOKEN_CHARACTERS])
    if sidecar is not None:
        return _signed(ReportFormat.CSV, content, sidecar.removesuffix(b"\n"))
    raise VerificationFailed(
        "There is no signature at the end of this file.",
        "Use the file as it was written, and for CSV keep the file of the same name and .sig beside it.",
    )


def _split(content: bytes, trailer: int) -> tuple[bytes, bytes]:
    cut = max(len(content) - trailer, 0)
    return content[:cut], content[cut:]


def _signed(form: ReportFormat, message: bytes, token: bytes) -> SignedReport:
    if _TOKEN.fullmatch(token) is None:
        raise VerificationFailed("The report's signature is damaged.")
    try:
        both = base64.b64decode(token, validate=True)
    except binascii.Error:
        raise VerificationFailed("The report's signature is damaged.") from None
    key, signature = VerifyKey(both[:PUBLIC_KEY_BYTES]), both[-SIGNATURE_BYTES:]
    return SignedReport(form, message, key, signature)
