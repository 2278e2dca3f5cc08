"""Documents in the DICOM JSON Model (PS3.18 F.2.1) as they come, taken apart into the texts of their data sets: parsed
one by one, they take no more memory than the largest of them. No input or output.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from leadglass.errors import DataSetError

_SPACE: Final = re.compile(rb"[ \t\r\n]*")  # RFC 8259 2
_BRACES: Final = re.compile(rb'["{}]')
_IN_STRING: Final = re.compile(rb'["\\]')
_QUOTE, _BACKSLASH, _OPEN = b'"\\{'


class _At(Enum):
    """What may come next between data sets."""

    START = auto()
    FIRST = auto()
    ITEM = auto()
    SEPARATOR = auto()
    END = auto()


_NEXT: Final = {
    (_At.START, b"["): _At.FIRST,
    (_At.FIRST, b"]"): _At.END,
    (_At.SEPARATOR, b","): _At.ITEM,
    (_At.SEPARATOR, b"]"): _At.END,
}


class JsonSplitter:
    """Feed a document, one object or an array of objects, then `finish`. Raises DataSetError for what is neither; what
    is inside of a data set is looked at by whoever parses it. Whoever feeds it watches how much it holds."""

    def __init__(self) -> None:
        self._at = _At.START
        self._held = bytearray()
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def held(self) -> int:
        """Bytes of the data set that is not whole yet."""
        return len(self._held)

    def feed(self, data: memoryview) -> Iterator[bytes]:
        """The text of each data set that is whole by now."""
        pos = 0
        while pos < len(data):
            if not self._depth:
                pos = self._between(data, pos)
                continue
            stop = self._walk(data, pos)
            self._held += data[pos:stop]
            if not self._depth:
                text, self._held = bytes(self._held), bytearray()
                yield text
            pos = stop

    def finish(self) -> None:
        if self._depth or self._at is not _At.END:
            raise _not_json()

    def _between(self, data: memoryview, pos: int) -> int:
        """Over what stands between data sets, up to the brace that opens the next one, which is counted."""
        space = _SPACE.match(data, pos)
        pos = space.end() if space else pos
        if pos == len(data):
            return pos
        mark = bytes(data[pos : pos + 1])
        if mark == b"{" and self._at in (_At.START, _At.FIRST, _At.ITEM):
            self._at = _At.END if self._at is _At.START else _At.SEPARATOR
            self._depth = 1
            self._held += mark
        elif (self._at, mark) in _NEXT:
            self._at = _NEXT[self._at, mark]
        else:
            raise _not_json()
        return pos + 1

    def _walk(self, data: memoryview, pos: int) -> int:
        """Behind the brace that closes the data set, or the end of what is there."""
        while self._depth and pos < len(data):
            if self._escaped:
                self._escaped = False
                pos += 1
                continue
            found = (_IN_STRING if self._in_string else _BRACES).search(data, pos)
            if found is None:
                return len(data)
            pos = found.end()
            mark = data[pos - 1]
            if mark == _QUOTE:
                self._in_string = not self._in_string
            elif mark == _BACKSLASH:
                self._escaped = True
            else:
                self._depth += 1 if mark == _OPEN else -1
        return pos


def _not_json() -> DataSetError:
    return DataSetError("The metadata are no array of data sets in the DICOM JSON Model (PS3.18 F.2.1).")
