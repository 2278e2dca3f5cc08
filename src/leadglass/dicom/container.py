"""Where a reader stands: the data set, sequence, item or fragments that it is in."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from leadglass.dicom.encoding import Codec
from leadglass.dicom.tags import FLOAT_PIXEL_DATA

NO_END: Final = 1 << 62


class Element(NamedTuple):
    """A value as it stands in the data set, `offset` bytes from its start; byte order and padding untouched.

    A named tuple since some forty are made for each object received, at a third of a dataclass's cost.
    """

    tag: int
    vr: str
    value: bytes
    offset: int


class Bulk(NamedTuple):
    """A value that is not held in memory; `length` is `UNDEFINED` for fragments, and `offset` then their first item."""

    tag: int
    vr: str
    length: int
    offset: int


class Handling(IntEnum):
    """What becomes of a value's bytes."""

    SKIP = 0
    KEEP = 1
    STREAM = 2


class Mode(IntEnum):
    ELEMENTS = 0
    ITEMS = 1
    FRAGMENTS = 2


@dataclass(slots=True)
class Container:
    """The data set, a sequence, an item or the fragments being read, and where it must end."""

    mode: Mode
    explicit: bool
    codec: Codec
    end: int
    delimited: bool = False
    #: Highest tag so far. Groups below 0008 have no place in a data set (PS3.5 7.1).
    highest: int = 0x0007FFFF
    #: Tags from here on need a look, even when they ascend: the next group, or pixel data.
    ceiling: int = FLOAT_PIXEL_DATA
    group_end: int = 0
    fragments: int = 0
