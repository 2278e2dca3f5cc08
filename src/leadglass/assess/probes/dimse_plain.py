"""Answers as nearly all are: ASCII, short values in ascending order, no sequence that holds anything, and those of one
peer laid out alike. A layout is learned once, and then each answer is a few slices: a million are read in seconds.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from leadglass.dicom.dictionary import SEQUENCES
from leadglass.dicom.encoding import LITTLE, SHORT_VRS, TEXT_VRS
from leadglass.dicom.uids import TransferSyntax

#: VRs of the plain answers: text behind a 16-bit length.
_TEXTS: Final = frozenset(code for code, vr in SHORT_VRS.items() if vr in TEXT_VRS)
#: Groups below 0008 have no place in a data set (PS3.5 7.1).
_FIRST: Final = 0x0007FFFF
#: A sequence without items, from its length on (PS3.5 7.5.2).
_EMPTY: Final = (bytes(4), b"\xff\xff\xff\xff\xfe\xff\xdd\xe0" + bytes(4))
#: A header of a plain element: tag, in Explicit VR the VR, and a length.
_HEADER: Final = 8
_MOST_LAYOUTS: Final = 64


@dataclass(frozen=True, slots=True)
class _Layout:
    """`parts`: of each element what precedes its length, and True; or all of it, and False, if it is an empty sequence.
    `pick`: the wanted ones of its values, which an empty one follows for those that are missing."""

    parts: tuple[tuple[bytes, bool], ...]
    pick: Callable[[Sequence[str]], tuple[str, ...]]


class PlainReader:
    """For the answers to one query. `wanted`: at least two tags, whose texts are read."""

    def __init__(self, syntax: TransferSyntax, wanted: Sequence[int]) -> None:
        self._wanted = wanted
        self._explicit = syntax.explicit_vr
        self._supported = syntax.little_endian and not syntax.deflated
        self._length_at = 6 if syntax.explicit_vr else 4
        self._length = struct.Struct("<H" if syntax.explicit_vr else "<I")
        self._layouts: list[_Layout] = []

    def texts(self, data: bytes) -> list[str] | None:
        """The texts of the wanted elements, "" for those that are missing; None for an answer that is not plain, which
        a careful reader must judge."""
        for layout in self._layouts:
            values = self._read(data, layout)
            if values is not None:
                return values
        learned = self._learn(data) if self._supported else None
        if learned is None:
            return None
        del self._layouts[_MOST_LAYOUTS - 1 :]
        self._layouts.insert(0, learned)
        return self._read(data, learned)

    def _read(self, data: bytes, layout: _Layout) -> list[str] | None:
        text = data.decode("latin-1")
        at, unpack = self._length_at, self._length.unpack_from
        values: list[str] = []
        position, size = 0, len(data)
        for head, is_text in layout.parts:
            if not data.startswith(head, position):
                return None
            if is_text:
                begin = position + _HEADER
                if begin > size:
                    return None
                position = begin + unpack(data, position + at)[0]
                values.append(text[begin:position])
            else:
                position += len(head)
        if position != size:
            return None
        values.append("")
        picked = [value.strip(" \0") for value in layout.pick(values)]
        said = "".join(picked)
        # Other character sets, and several values: the careful reader's.
        return None if not said.isascii() or "\\" in said or "\x1b" in said else picked

    def _learn(self, data: bytes) -> _Layout | None:
        """How the answer is laid out, if it is a plain one."""
        unpack = (LITTLE.explicit if self._explicit else LITTLE.implicit).unpack_from
        parts: list[tuple[bytes, bool]] = []
        places: dict[int, int] = {}
        position, size, highest = 0, len(data), _FIRST
        while position + _HEADER <= size:
            fields = unpack(data, position)
            tag, length = fields[0] << 16 | fields[1], fields[-1]
            if tag <= highest or not fields[1]:
                return None
            highest = tag
            if fields[2] in _TEXTS if self._explicit else tag not in SEQUENCES:
                places[tag] = len(places)
                parts.append((data[position : position + self._length_at], True))
                position += _HEADER + length
            else:
                if self._explicit and fields[2] != b"SQ":
                    return None
                end = _after_empty_sequence(data, position + (_HEADER if self._explicit else 4))
                parts.append((data[position:end], False))
                if not end:
                    return None
                position = end
        if position != size:
            return None
        picked = itemgetter(*(places.get(tag, len(places)) for tag in self._wanted))
        return _Layout(tuple(parts), picked)


def _after_empty_sequence(data: bytes, position: int) -> int:
    """What follows a sequence without items, whose length stands at `position`; 0 if it has items."""
    return next((position + len(each) for each in _EMPTY if data.startswith(each, position)), 0)
