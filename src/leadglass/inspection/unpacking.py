"""What is compressed in a ZIP, unpacked in bounded steps and counted: PKWARE APPNOTE 6.3.10, 4.4.5 and 5.8."""

import bz2
import lzma
import zlib
from dataclasses import dataclass
from typing import Final, Protocol

from leadglass.inspection.reasons import Reason

_STEP: Final = 256 * 1024
#: APPNOTE 5.8.8: version, length of the properties, properties.
_LZMA_HEADER: Final = 9
_MOST_LZMA_BITS: Final = 9 * 5 * 5


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on a ZIP, in bytes where no other unit is told. `ratio`: of what is unpacked to what it takes, for an
    entry and for the whole; deflate reaches 1032. `nested_bytes`: of a compressed ZIP in a ZIP. `dictionary_bytes`:
    LZMA's."""

    entries: int = 50_000
    directory_bytes: int = 8 * 1024 * 1024
    total_bytes: int = 64 * 1024**3
    ratio: int = 1100
    depth: int = 2
    nested_bytes: int = 8 * 1024 * 1024
    dictionary_bytes: int = 8 * 1024 * 1024


class Seekable(Protocol):
    """A file, or a part of one."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def read(self, size: int, /) -> bytes | None: ...


class ArchiveFault(Exception):
    """Why an archive or an entry of it is not read on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Budget:
    """What is left of the bounds on one file with all the archives in it. `size`: that of the file."""

    def __init__(self, limits: ArchiveLimits, size: int) -> None:
        self._entries = limits.entries
        self._octets = min(limits.total_bytes, limits.ratio * max(size, 1024))

    def enter(self, entries: int) -> None:
        """Raises ArchiveFault."""
        self._entries -= entries
        if self._entries < 0:
            raise ArchiveFault(Reason.ARCHIVE_BOUND, f"{entries} entries")

    def spend(self, octets: int) -> None:
        """Raises ArchiveFault."""
        self._octets -= octets
        if self._octets < 0:
            raise ArchiveFault(Reason.ARCHIVE_BOUND, "it unpacks to more than is read of one file")


def malformed(detail: str) -> ArchiveFault:
    return ArchiveFault(Reason.MALFORMED, f"ZIP: {detail}")


@dataclass(frozen=True, slots=True)
class Packed:
    """Contents as a directory has them: `packed` bytes at `start` of the file that unpack to `size`."""

    method: int
    start: int
    packed: int
    size: int
    crc: int


class _Unpacker(Protocol):
    """As `bz2.BZ2Decompressor` has it."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Stored:
    eof = False

    def __init__(self) -> None:
        self._held = b""

    @property
    def needs_input(self) -> bool:
        return not self._held

    def decompress(self, data: bytes, max_length: int) -> bytes:
        held = self._held + data
        self._held = held[max_length:]
        return held[:max_length]


class _Deflated:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        unpacked = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(unpacked) < max_length
        return unpacked


class Member:
    """The contents of one entry, from beginning to end. Raises ArchiveFault for what is not as declared."""

    def __init__(self, file: Seekable, contents: Packed, limits: ArchiveLimits, budget: Budget) -> None:
        if contents.size > limits.ratio * max(contents.packed, 1024):
            raise ArchiveFault(Reason.ARCHIVE_BOUND, f"{contents.packed} bytes unpack to {contents.size}")
        self._file = file
        self._at = contents.start
        self._packed = contents.packed
        self._contents = contents
        self._budget = budget
        self._count = 0
        self._crc = 0
        self._done = False
        self._unpacker = self._make(contents.method, limits)

    def readinto(self, buffer: memoryview, /) -> int:
        """Some bytes, 0 at the end, of which the length and the checksum have then been compared."""
        while not self._done:
            unpacked = self._step(min(len(buffer), _STEP))
            if not unpacked:
                continue
            self._count += len(unpacked)
            self._crc = zlib.crc32(unpacked, self._crc)
            self._budget.spend(len(unpacked))
            if self._count > self._contents.size:
                raise ArchiveFault(Reason.ARCHIVE_BOUND, "an entry unpacks to more than it says")
            buffer[: len(unpacked)] = unpacked
            return len(unpacked)
        if self._count != self._contents.size or self._crc != self._contents.crc:
            raise malformed("an entry is damaged")
        return 0

    def _step(self, most: int) -> bytes:
        data = b""
        if self._unpacker.needs_input:
            data = self._raw(_STEP)
            # LZMA without a marker at its end is over with its last byte.
            self._done = not data
        try:
            unpacked = self._unpacker.decompress(data, most)
        except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
            raise malformed("an entry is damaged") from None
        self._done = self._unpacker.eof or (self._done and not unpacked)
        return unpacked

    def _raw(self, most: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(most, self._packed)) or b""
        self._at += len(data)
        self._packed -= len(data)
        return data

    def _make(self, method: int, limits: ArchiveLimits) -> _Unpacker:
        """APPNOTE 4.4.5."""
        if method == 0:
            return _Stored()
        if method == 8:
            return _Deflated()
        if method == 12:
            return bz2.BZ2Decompressor()
        if method == 14:
            return self._lzma(limits.dictionary_bytes)
        raise ArchiveFault(Reason.NOT_SCANNED, f"compression method {method}")

    def _lzma(self, most: int) -> lzma.LZMADecompressor:
        """The dictionary is taken at once, as large as it is declared."""
        head = self._raw(_LZMA_HEADER)
        if len(head) < _LZMA_HEADER or head[2:4] != b"\x05\0" or head[4] >= _MOST_LZMA_BITS:
            raise malformed("an entry is damaged")
        dictionary = int.from_bytes(head[5:9], "little")
        if dictionary > most:
            raise ArchiveFault(Reason.ARCHIVE_BOUND, f"LZMA with a dictionary of {dictionary} bytes")
        positions, literals = divmod(head[4], 45)
        low, context = divmod(literals, 9)
        only = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": context, "lp": low, "pb": positions}
        try:
            return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[only])
        except (lzma.LZMAError, ValueError):
            raise malformed("an entry is damaged") from None
