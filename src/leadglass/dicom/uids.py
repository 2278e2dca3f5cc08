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


#: In PS3.6 A-1 since 2024, newer than some releases of the table.
_NEW_STORAGE: Final = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}
#: Objects without a patient and a study are another service class's: Non-Patient Object Storage, PS3.4 GG.3.
_NON_PATIENT: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
    }
)


def _is_storage(uid: str, name: str) -> bool:
    # Two retired classes under the storage root carry no name in PS3.6 A-1 and mean nothing any more.
    named = " Storage" in name and "Storage Commitment" not in name
    return named and uid != MEDIA_STORAGE_DIRECTORY and uid not in _NON_PATIENT


def _storage_sop_classes() -> dict[str, str]:
    table = {
        uid: entry[0]
        for uid, entry in unique_identifiers().items()
        if entry[1] == "SOP Class" and _is_storage(uid, entry[0])
    }
    return _NEW_STORAGE | table


TRANSFER_SYNTAXES: Final[Mapping[str, TransferSyntax]] = MappingProxyType(_transfer_syntaxes())

#: Every SOP class of the Storage Service Class (PS3.4 B.5), retired ones too: UID → name.
STORAGE_SOP_CLASSES: Final[Mapping[str, str]] = MappingProxyType(_storage_sop_classes())

#: Every UID of PS3.6 Annex A, whatever it names.
_REGISTERED: Final = frozenset(unique_identifiers()) | _NEW_STORAGE.keys()


def is_registered(uid: str) -> bool:
    """Whether PS3.6 Annex A has `uid`: a class of the standard's own, and no private one."""
    return uid in _REGISTERED


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
