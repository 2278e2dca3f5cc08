"""Unique identifiers, PS3.5 9 and PS3.6 Annex A."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from leadglass.dicom.registry import unique_identifiers
from leadglass.errors import DataSetError
from leadglass.model import Uid

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
VERIFICATION: Final = "1.2.840.10008.1.1"
MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"

IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"

#: PS3.7 D.3.3.2, a UUID-derived UID (PS3.5 B.2): names the program, never a version or a site.
IMPLEMENTATION_CLASS_UID: Final = "2.25.151260878520460117488808415008887072922"
IMPLEMENTATION_VERSION_NAME: Final = "LEADGLASS_01"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set is encoded, PS3.5 Annex A. `encapsulated`: top-level Pixel Data is a sequence of fragments."""

    uid: str
    name: str
    explicit_vr: bool
    little_endian: bool
    deflated: bool
    encapsulated: bool
    retired: bool


#: Pixels elsewhere than in the data set (JPIP, SMPTE ST 2110), or no data set as PS3.5 means it.
_NOT_STORABLE: Final = ("JPIP", "SMPTE ", "RFC 2557", "XML ", "Papyrus ")
_NATIVE: Final = frozenset({IMPLICIT_LE, EXPLICIT_LE, DEFLATED, EXPLICIT_BE})


def _syntax(uid: str, name: str, retired: bool) -> TransferSyntax:
    return TransferSyntax(
        uid, name, uid != IMPLICIT_LE, uid != EXPLICIT_BE, uid == DEFLATED, uid not in _NATIVE, retired
    )


def _transfer_syntaxes() -> dict[str, TransferSyntax]:
    table = {
        uid: _syntax(uid, entry[0], entry[3] == "Retired")
        for uid, entry in unique_identifiers().items()
        if entry[1] == "Transfer Syntax" and not entry[0].startswith(_NOT_STORABLE)
    }
    # PS3.5 A.4.13, newer than some releases of the table: each frame is deflated, the data set is not.
    table.setdefault(
        "1.2.840.10008.1.2.8.1", _syntax("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression", False)
    )
    return table


def _is_storage(uid: str, name: str) -> bool:
    # Two retired classes under the storage root carry no name in PS3.6 A-1 and mean nothing any more.
    return " Storage" in name and uid != MEDIA_STORAGE_DIRECTORY and "Storage Commitment" not in name


TRANSFER_SYNTAXES: Final[Mapping[str, TransferSyntax]] = MappingProxyType(_transfer_syntaxes())

#: Every storage SOP class of PS3.6, retired ones too: UID → name.
STORAGE_SOP_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        uid: entry[0]
        for uid, entry in unique_identifiers().items()
        if entry[1] == "SOP Class" and _is_storage(uid, entry[0])
    }
)

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*", re.ASCII)


def parse_uid(raw: bytes | str) -> Uid:
    """A UID without its padding. Leading zeros in components are tolerated: real objects carry them.

    Raises DataSetError unless it is 1-64 characters of digits and dots without an empty component (PS3.5 9.1).
    """
    text = raw if isinstance(raw, str) else raw.decode("ascii", "replace")
    text = text.rstrip("\0 ")
    if len(text) > 64 or _UID.fullmatch(text) is None:
        raise DataSetError("A UID is not 1 to 64 characters of digits and dots (PS3.5 9.1).")
    return Uid(text)
