"""What departs from PS3.5 and PS3.6 in one element without being a danger: lengths, numbers of values, characters."""

from collections.abc import Iterator
from typing import Final

from leadglass.dicom.dictionary import multiplicity_of
from leadglass.dicom.encoding import WORD_SIZES
from leadglass.inspection.reasons import Reason

#: PS3.5 Table 6.2-1: most bytes of one value, where characters are bytes; PN has five components in three groups.
_LONGEST: Final = {
    **dict.fromkeys(("AE", "CS", "DS", "SH"), 16),
    **dict.fromkeys(("LO", "UI"), 64),
    "AS": 4,
    "DA": 18,
    "DT": 54,
    "IS": 12,
    "TM": 28,
    "ST": 1024,
    "LT": 10240,
    "PN": 3 * 64,
}
#: Multi-byte character sets take up to four bytes a character.
_MULTI_BYTE: Final = frozenset({"LO", "LT", "PN", "SH", "ST"})
_ONE_VALUE: Final = frozenset({"LT", "ST", "UR", "UT"})
_NUMBERS: Final = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})


def departures(tag: int, vr: str, value: bytes) -> Iterator[Reason]:
    """Notes on one element. Nothing relies on them: real devices depart from the standard all the time."""
    if vr in _NUMBERS:
        if len(value) % WORD_SIZES[vr]:
            yield Reason.VALUE_LENGTH
        return
    longest = _LONGEST.get(vr)
    if longest is None or (len(value) <= longest and b"\\" not in value and b"\0" not in value):
        return
    values = [value] if vr in _ONE_VALUE else value.split(b"\\")
    if not value.isascii() and vr in _MULTI_BYTE:
        longest *= 4
    if any(len(each.rstrip(b" \0")) > longest for each in values):
        yield Reason.VALUE_LENGTH
    if len(values) > 1 and multiplicity_of(tag) == "1" and value.isascii():
        yield Reason.MULTIPLICITY
    if b"\0" in value.rstrip(b"\0 "):
        yield Reason.NULL
