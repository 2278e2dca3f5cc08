"""UIDs and application entity titles as they stand in PDUs and command sets (PS3.5 6.2, PS3.8 Annex F)."""

import re

from leadglass.errors import ProtocolError, UsageError

#: A-ABORT reasons of the service-provider, PS3.8 Table 9-26.
UNRECOGNISED_PDU = 1
UNEXPECTED_PDU = 2
UNRECOGNISED_PARAMETER = 4
UNEXPECTED_PARAMETER = 5
INVALID_PARAMETER = 6

_UID = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
# G0 characters of ISO 646 without the backslash; control characters are below 20H or 7FH (PS3.5 6.2, VR AE).
_AE_TITLE = re.compile(r"[ -\[\]-~]{1,16}")
_UID_BYTES = 64
AE_TITLE_BYTES = 16


def decode_uid(raw: bytes) -> str:
    """A UID without its padding: PS3.8 Annex F sends none, real peers send NUL or spaces. Leading zeros pass."""
    stripped = raw.rstrip(b"\0 ")
    if len(stripped) > _UID_BYTES or _UID.fullmatch(stripped) is None:
        raise ProtocolError(f"a UID of {len(raw)} bytes is not one after PS3.5 9.1", INVALID_PARAMETER)
    return stripped.decode("ascii")


def encode_uid(uid: str) -> bytes:
    """A UID as it stands in a PDU, unpadded. Raises UsageError if it is none."""
    raw = uid.encode("utf-8")
    if len(raw) > _UID_BYTES or _UID.fullmatch(raw) is None:
        raise UsageError("a UID holds 1 to 64 digits and dots.")
    return raw


def decode_ae_title(raw: bytes) -> str:
    """An AE title; leading and trailing spaces do not count, and some peers pad with NUL."""
    title = raw.decode("latin-1").rstrip("\0").strip(" ")
    if _AE_TITLE.fullmatch(title) is None:
        raise ProtocolError("an AE title holds 1 to 16 G0 characters without backslash", INVALID_PARAMETER)
    return title


def encode_ae_title(title: str) -> bytes:
    """The title, unpadded. Raises UsageError if a peer could not read it back."""
    if _AE_TITLE.fullmatch(title) is None or title != title.strip(" "):
        raise UsageError("an AE title holds 1 to 16 G0 characters without backslash or surrounding spaces.")
    return title.encode("ascii")
