"""A clean CT slice with an archive in a private element: what the doors disarm."""

from typing import Final

from tests.hostile.case import PRIVATE, element
from tests.hostile.samples import EICAR_FILE, zipped

ARCHIVED: Final = zipped()
_BLOCK: Final = element(0x00090010, b"LO", b"LEADGLASS TEST")
_PAYLOAD: Final = element(PRIVATE, b"OB", ARCHIVED)
_PATIENT: Final = b"\x10\0\x10\0PN"


def armed(data_set: bytes) -> bytes:
    """`data_set` as tests.clients.ct makes it, with the payload where group 0009 belongs."""
    return _with_group(data_set, _BLOCK + _PAYLOAD)


def without_payload(data_set: bytes) -> bytes:
    """What every byte of before the Original Attributes Sequence must be: the private creator stays."""
    return _with_group(data_set, _BLOCK)


def infected(data_set: bytes) -> bytes:
    """The same with the EICAR test file in place of an archive: that is held back."""
    return _with_group(data_set, _BLOCK + element(PRIVATE, b"OB", EICAR_FILE))


def _with_group(data_set: bytes, group: bytes) -> bytes:
    at = data_set.index(_PATIENT)
    return data_set[:at] + group + data_set[at:]
