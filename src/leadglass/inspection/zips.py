"""ZIP archives (PKWARE APPNOTE 6.3.10), read without believing them: entries one by one, contents in bounded steps.

The standard library's `zipfile` unpacks bzip2 and LZMA without a bound on what comes out, and reads a directory of any
length that an end record declares. Here nothing is larger in memory than the directory, which is bounded, and what an
archive unpacks to is counted while it does.
"""

import os
import stat
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from leadglass.inspection.reasons import Reason
from leadglass.inspection.unpacking import ArchiveFault, ArchiveLimits, Budget, Member, Packed, Seekable, malformed

#: APPNOTE 4.3.7, 4.3.12, 4.3.14, 4.3.15 and 4.3.16: headers of an entry, of its directory, and the three ends.
_LOCAL: Final = Struct("<IHHHHHIIIHH")
_CENTRAL: Final = Struct("<IHHHHHHIIIHHHHHII")
_END: Final = Struct("<IHHHHIIH")
_LOCATOR: Final = Struct("<IIQI")
_END_64: Final = Struct("<IQHHIIQQQQ")
LOCAL_MAGIC: Final = b"PK\x03\x04"
END_MAGIC: Final = b"PK\x05\x06"
_CENTRAL_SIGNATURE: Final = 0x02014B50
_LOCATOR_SIGNATURE: Final = 0x07064B50
_END_64_SIGNATURE: Final = 0x06064B50
_ZIP64: Final = 0x0001
_LONGEST_COMMENT: Final = 0xFFFF
#: APPNOTE 4.4.4: bits 0, 6 and 13 tell of encryption, bit 11 of UTF-8.
_ENCRYPTED: Final = 0x2041
_UTF_8: Final = 0x0800
#: A data descriptor (APPNOTE 4.3.9) may follow an entry; an entry that no directory names begins behind it.
_AFTER_ENTRY: Final = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """As the directory has it. `start`: of its own header in the file; `packed` and `size`: bytes of its contents."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def is_encrypted(self) -> bool:
        return bool(self.flags & _ENCRYPTED)

    @property
    def is_stored(self) -> bool:
        return self.method == 0


@dataclass(frozen=True, slots=True)
class _End:
    entries: int
    length: int
    offset: int
    #: Where the directory ends in the file.
    at: int


class Archive:
    """One ZIP in a seekable file. Raises ArchiveFault when it is none, contradicts itself or is beyond its bounds."""

    def __init__(self, file: Seekable, limits: ArchiveLimits, budget: Budget) -> None:
        self._file = file
        self._limits = limits
        self._budget = budget
        end = self._find_end()
        if end.entries > limits.entries or end.length > limits.directory_bytes:
            raise ArchiveFault(Reason.ARCHIVE_BOUND, f"{end.entries} entries in a directory of {end.length} bytes")
        budget.enter(end.entries)
        self._start = end.at - end.length
        self._shift = self._start - end.offset
        if self._start < 0 or self._shift < 0:
            raise malformed("its directory lies outside of it")
        self._directory = self._read(self._start, end.length)
        self._check(end.entries)

    def entries(self) -> Iterator[Entry]:
        """In the directory's order."""
        at, directory = 0, self._directory
        while at < len(directory):
            if at + _CENTRAL.size > len(directory):
                raise malformed("its directory is cut short")
            fields = _CENTRAL.unpack_from(directory, at)
            names, extras, comments = fields[10:13]
            if fields[0] != _CENTRAL_SIGNATURE or at + _CENTRAL.size + names + extras + comments > len(directory):
                raise malformed("its directory is none")
            head = at + _CENTRAL.size
            yield self._entry(fields, directory[head : head + names], directory[head + names : head + names + extras])
            at = head + names + extras + comments

    def open(self, entry: Entry) -> Member:
        """The contents of an entry. Raises ArchiveFault."""
        contents = Packed(entry.method, self._contents(entry), entry.packed, entry.size, entry.crc)
        return Member(self._file, contents, self._limits, self._budget)

    def window(self, entry: Entry) -> "Window":
        """The contents of an entry that is stored as it is, as a file of its own. Raises ArchiveFault."""
        return Window(self._file, self._contents(entry), min(entry.packed, entry.size))

    def _entry(self, fields: tuple[int, ...], raw: bytes, extra: bytes) -> Entry:
        _, _, _, flags, method, _, _, crc, packed, size, *_, external, offset = fields
        if 0xFFFFFFFF in (packed, size, offset):
            size, packed, offset = _extended(extra, size, packed, offset)
        name = raw.decode("utf-8" if flags & _UTF_8 else "cp437", "replace")
        return Entry(name, raw, flags, method, crc, packed, size, offset + self._shift, external >> 16)

    def _contents(self, entry: Entry) -> int:
        """Where they begin. The entry's own header must say what the directory says: readers differ in which of the
        two they believe."""
        head = self._read(entry.start, _LOCAL.size)
        _, _, flags, method, _, _, _, _, _, names, extras = _LOCAL.unpack(head)
        name = self._read(entry.start + _LOCAL.size, names)
        if head[:4] != LOCAL_MAGIC or method != entry.method or name != entry.raw_name or (flags ^ entry.flags) & 1:
            raise malformed("an entry is not what the directory says")
        contents: int = entry.start + _LOCAL.size + names + extras
        if contents + entry.packed > self._start:
            raise malformed("an entry reaches into the directory")
        return contents

    def _check(self, declared: int) -> None:
        """Entries follow each other up to the directory, and are as many as the end record says: one that overlaps
        another is a bomb, one that no directory names is seen by some readers only."""
        spans = array("Q")
        for entry in self.entries():
            spans.extend((entry.start, self._contents(entry) + entry.packed))
        if len(spans) != 2 * declared:
            raise malformed("its directory has another number of entries than its end says")
        pairs = sorted(zip(spans[::2], spans[1::2], strict=True))
        ended = 0
        for start, end in [*pairs, (self._start, self._start)]:
            if start < ended:
                raise ArchiveFault(Reason.ARCHIVE_BOUND, "its entries overlap")
            if LOCAL_MAGIC in self._read(ended, min(start - ended, _AFTER_ENTRY)):
                raise malformed("an entry is not in its directory")
            ended = end

    def _find_end(self) -> _End:
        size = self._file.seek(0, os.SEEK_END)
        first = max(0, size - _LONGEST_COMMENT - _END.size)
        tail = self._read(first, size - first)
        ends = []
        at = tail.rfind(END_MAGIC)
        while at >= 0:
            if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
                ends.append(at)
            at = tail.rfind(END_MAGIC, 0, at + len(END_MAGIC) - 1)
        if len(ends) != 1:
            raise malformed("two ends" if ends else "no end of its directory")
        at = ends[0]
        _, disk, first_disk, here, entries, length, offset, _ = _END.unpack_from(tail, at)
        if disk not in (0, 0xFFFF) or first_disk not in (0, 0xFFFF) or here != entries:
            raise malformed("it is one of several parts")
        short = _End(entries, length, offset, first + at)
        return self._find_end_64(tail[max(0, at - _LOCATOR.size) : at], short)

    def _find_end_64(self, locator: bytes, short: _End) -> _End:
        """APPNOTE 4.3.14: where fields of the short end record are full, the long one has them; else both agree."""
        if len(locator) < _LOCATOR.size or _LOCATOR.unpack(locator)[0] != _LOCATOR_SIGNATURE:
            return short
        at = short.at - _LOCATOR.size - _END_64.size
        fields = _END_64.unpack(self._read(max(0, at), _END_64.size))
        if at < 0 or fields[0] != _END_64_SIGNATURE:
            raise malformed("its ZIP64 end is not before its end")
        entries, length, offset = fields[7:10]
        for full, told, long in (
            (0xFFFF, short.entries, entries),
            (0xFFFFFFFF, short.length, length),
            (0xFFFFFFFF, short.offset, offset),
        ):
            if told not in (full, long):
                raise malformed("its two ends contradict each other")
        return _End(entries, length, offset, at)

    def _read(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        held = bytearray()
        while len(held) < length and (part := self._file.read(length - len(held))):
            held += part
        if len(held) < length:
            raise malformed("it is cut short")
        return bytes(held)


class Window:
    """`length` bytes of a file at `start`, as a file that can be read and sought in."""

    def __init__(self, file: Seekable, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self._length = length
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = offset + (self._length if whence == os.SEEK_END else 0)
        return self._at

    def read(self, size: int, /) -> bytes:
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(size, self._length - self._at))) or b""
        self._at += len(data)
        return data


def _extended(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """APPNOTE 4.5.3: the fields that are full, in this order. Raises ArchiveFault."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = Struct("<HH").unpack_from(extra, at)
        if kind == _ZIP64:
            held = extra[at + 4 : at + 4 + length]
            values = iter(int.from_bytes(held[i : i + 8], "little") for i in range(0, len(held) & ~7, 8))
            try:
                found = [next(values) if each == 0xFFFFFFFF else each for each in (size, packed, offset)]
            except StopIteration:
                break
            return found[0], found[1], found[2]
        at += 4 + length
    raise malformed("a ZIP64 field is missing")
