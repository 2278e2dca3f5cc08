"""A payload is found in an element of any VR, in every encoding, wherever it stands: the quick look misses none."""

import struct
from collections.abc import Callable
from itertools import product

import pytest

from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.index.attributes import WANTED_SEQUENCES, WANTED_TAGS
from leadglass.inspection.inspector import Inspector
from leadglass.inspection.verdict import VerdictKind
from leadglass.model import DataSetLimits
from tests.hostile import samples as s
from tests.hostile.case import PIXELS, image, pixels

LONG_FORM = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
VRS = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD", "OF", "OL", "OV", "OW"),
    *("PN", "SH", "SL", "SS", "ST", "SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
)
PAYLOADS = {"PE": s.pe(), "ELF": s.ELF, "ZIP": b"a" * 9000 + s.zipped(), "EICAR": s.EICAR_FILE, "PDF": s.pdf()}
PLACES = ("in a standard element", "in a private element", "in an item", "after the pixels")
Element = Callable[[int, str, bytes], bytes]


def writer(syntax: str) -> Element:
    """PS3.5 7.1, in that transfer syntax."""
    order = ">" if syntax == EXPLICIT_BE else "<"

    def write(tag: int, vr: str, value: bytes) -> bytes:
        padded = value + b" " * (len(value) & 1)
        if syntax == IMPLICIT_LE:
            return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(padded)) + padded
        if vr in LONG_FORM:
            return struct.pack(order + "HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(padded)) + padded
        if vr == "US" and order == ">" and len(value) == 2:
            padded = value[::-1]
        return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(padded)) + padded

    return write


def data_set(syntax: str, vr: str, payload: bytes, place: str) -> bytes:
    write = writer(syntax)
    encoded = {tag: write(tag, code.decode(), value) for tag, (code, value) in image().items()}
    encoded[PIXELS] = write(PIXELS, "OB", pixels()[1])
    group = 0x7FE1 if place == "after the pixels" else 0x0009
    private = write(group << 16 | 0x10, "LO", b"LEADGLASS TEST") + write(group << 16 | 0x1010, vr, payload)
    if place == "in a standard element":
        encoded[0x00102180] = write(0x00102180, vr, payload)
    elif place == "in an item":
        item = struct.pack((">" if syntax == EXPLICIT_BE else "<") + "HHI", 0xFFFE, 0xE000, len(private)) + private
        encoded[0x00081140] = write(0x00081140, "SQ", item)
    else:
        encoded[group << 16 | 0x1010] = private
    body = b"".join(encoded[tag] for tag in sorted(encoded))
    return s.deflated(body) if syntax == DEFLATED else body


def is_found(syntax: str, body: bytes) -> bool:
    inspector = Inspector(
        TRANSFER_SYNTAXES[syntax],
        DataSetLimits(),
        wanted=WANTED_TAGS,
        wanted_sequences=WANTED_SEQUENCES,
        may_disarm=syntax != DEFLATED,
    )
    try:
        inspector.feed(body)
        return inspector.finish().kind is not VerdictKind.ACCEPT
    except DataSetError:
        return True


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("syntax", [EXPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE, DEFLATED])
def test_it_is_found(syntax: str, place: str) -> None:
    assert not is_found(syntax, data_set(syntax, "LT", b"nothing to be found", place))
    missed = [
        (vr, name)
        for vr, (name, payload) in product(VRS, PAYLOADS.items())
        if not is_found(syntax, data_set(syntax, vr, payload, place))
    ]
    assert missed == []
