"""Header layouts of PS3.5 7.1: byte orders, and the two forms of Explicit VR."""

from array import array
from dataclasses import dataclass
from struct import Struct
from typing import Final

UNDEFINED: Final = 0xFFFFFFFF

#: PS3.5 Table 7.1-2: a 16-bit length follows the VR.
SHORT_VRS: Final = {
    vr.encode(): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS"),
        *("LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
#: PS3.5 Table 7.1-1: two reserved bytes and a 32-bit length follow the VR.
LONG_VRS: Final = {
    vr.encode(): vr for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
}
#: Written in place of a VR by real devices, always with a 16-bit length.
NOT_A_VR: Final = frozenset({b"??", b"  ", b"--"})

#: PS3.5 6.2: words of this many bytes are swapped in Explicit VR Big Endian.
WORD_SIZES: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
#: PS3.5 6.2: VRs whose values are binary numbers, by their code in `struct`.
NUMBER_CODES: Final = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
#: PS3.5 6.2: VRs whose values are bytes or words without further meaning.
BINARY_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
#: PS3.5 6.2: in these a backslash is text; they never have several values.
SINGLE_TEXT_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
#: PS3.5 6.1.2.3: the VRs that (0008,0005) governs.
LOCALISED_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
TEXT_VRS: Final = LOCALISED_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}


@dataclass(frozen=True, slots=True)
class Codec:
    """Header layouts for one byte order."""

    explicit: Struct
    implicit: Struct
    length: Struct


LITTLE: Final = Codec(Struct("<HH2sH"), Struct("<HHI"), Struct("<I"))
BIG: Final = Codec(Struct(">HH2sH"), Struct(">HHI"), Struct(">I"))
_WORD_CODES: Final = {2: "H", 4: "I", 8: "Q"}


def swapped(data: bytes | bytearray | memoryview, word: int) -> bytes:
    """PS3.5 7.3: big endian words of so many bytes in little endian. A rest that is no whole word stays as it is."""
    if word == 1:
        return bytes(data)
    cut = len(data) - len(data) % word
    words = array(_WORD_CODES[word], bytes(data[:cut]))
    words.byteswap()
    return words.tobytes() + bytes(data[cut:])
