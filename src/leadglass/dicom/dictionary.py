"""The data dictionary, PS3.6: one plain dict look-up a tag, since implicit VR needs it for each element."""

from collections.abc import Iterator
from itertools import product
from typing import Final

from leadglass.dicom.registry import Entry, data_elements

#: What the dictionary leaves open is settled as PS3.5 A.1 does for Implicit VR; signedness stays with the reader.
_SETTLED: Final = {"US or SS": "US", "OB or OW": "OW", "US or SS or OW": "OW", "US or OW": "OW", "NONE": "UN"}


def _repeated(mask: str) -> Iterator[int]:
    """Tags of a repeating group, PS3.5 7.6: even groups xx00-xx1E; `x` in the element number runs over all values."""
    if mask.count("x") > 2:  # (1000,xxxy) and (1010,xxxx), retired in 1988: no fixed meaning to look up
        return
    in_group = "x" in mask[:4]
    digits = [f"{value:02x}" for value in range(0, 0x20, 2)] if in_group else None
    choices = digits or ["".join(each) for each in product("0123456789abcdef", repeat=mask.count("x"))]
    for choice in choices:
        yield int(mask.replace("x" * mask.count("x"), choice), 16)


def _entries() -> dict[int, Entry]:
    single, repeating = data_elements()
    entries = {tag: entry for mask, entry in repeating.items() for tag in _repeated(mask)}
    entries.update(single)
    return entries


_ENTRIES: Final = _entries()
#: tag → VR of every public element.
VALUE_REPRESENTATIONS: Final = {tag: _SETTLED.get(entry[0], entry[0]) for tag, entry in _ENTRIES.items()}
#: Tags of which Pixel Representation (0028,0103) says whether they are US or SS (PS3.3 C.7.6.3.1).
SIGNED_AS_PIXELS: Final = frozenset(tag for tag, entry in _ENTRIES.items() if entry[0].startswith("US or SS"))
_KEYWORDS: Final = {tag: entry[4] for tag, entry in _ENTRIES.items() if entry[4]}
_TAGS: Final = {entry[4]: tag for tag, entry in reversed(_ENTRIES.items()) if entry[4]}
#: Tags whose VR is SQ.
SEQUENCES: Final = frozenset(tag for tag, vr in VALUE_REPRESENTATIONS.items() if vr == "SQ")


def vr_of(tag: int) -> str:
    """The VR of `tag`: "UL" for group lengths, "LO" for private creators (PS3.5 7.8.1), "UN" when unknown."""
    vr = VALUE_REPRESENTATIONS.get(tag)
    if vr is not None:
        return vr
    if not tag & 0xFFFF:
        return "UL"
    if tag & 0x10000 and 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    return "UN"


def keyword_of(tag: int) -> str:
    """The keyword of `tag`, or `GGGGEEEE` in hexadecimal when PS3.6 has none."""
    return _KEYWORDS.get(tag) or f"{tag:08X}"


def tag_of(keyword: str) -> int:
    """The tag of `keyword`. Raises KeyError when PS3.6 has no such keyword."""
    return _TAGS[keyword]


def multiplicity_of(tag: int) -> str:
    """The value multiplicity of PS3.6, as "1", "1-n" or "3"; "" for tags that it does not have."""
    entry = _ENTRIES.get(tag)
    return entry[1] if entry is not None else ""
