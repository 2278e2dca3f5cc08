"""What is prepared of a series (ADR 6): the metadata of its instances as one gzip file that goes out as it is, in parts
that can be inflated one by one (docs/formats/index.md). No input or output.

    root length (2) ‖ root ‖ CRC-32 (4) ‖ size (4) ‖ count (4) ‖ count × length (4) ‖ count × raw deflate

Inflated, the parts are one JSON array, each but the first and the last one with whole instances behind a comma.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Self

from leadglass.errors import VerificationFailed

_LEVEL: Final = 6
_RAW: Final = -zlib.MAX_WBITS
_ROOT: Final = struct.Struct(">H")
_HEAD: Final = struct.Struct(">III")
_LENGTH: Final = struct.Struct(">I")
#: RFC 1952 2.3: deflate, no flags, no time, unknown file system.
_GZIP: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
_GZIP_END: Final = struct.Struct("<II")
#: RFC 1951 3.2.3: a last block without content.
_LAST_BLOCK: Final = b"\x03\0"


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """`root`: that of DICOMweb under which bulk data are named. `size`: bytes of the JSON."""

    root: str
    crc: int
    size: int
    deflated: tuple[bytes | memoryview, ...]

    @classmethod
    def decode(cls, content: bytes) -> Self:
        """Raises VerificationFailed for what `encode` never made."""
        try:
            at = _ROOT.size + _ROOT.unpack_from(content)[0]
            root = content[_ROOT.size : at].decode()
            crc, size, count = _HEAD.unpack_from(content, at)
            at += _HEAD.size
            lengths = struct.unpack_from(f">{count}I", content, at)
        except (struct.error, UnicodeDecodeError):
            raise VerificationFailed("A prepared document is not one.", "Run `leadglass fsck`.") from None
        view = memoryview(content)
        bounds = accumulate(lengths, initial=at + count * _LENGTH.size)
        return cls(root, crc, size, tuple(view[start:stop] for start, stop in pairwise(bounds)))

    def encode(self) -> bytes:
        root = self.root.encode()
        lengths = (_LENGTH.pack(len(part)) for part in self.deflated)
        head = _HEAD.pack(self.crc, self.size, len(self.deflated))
        return b"".join((_ROOT.pack(len(root)), root, head, *lengths, *self.deflated))

    def gzip(self) -> bytes:
        """The JSON array as a file of RFC 1952."""
        return b"".join((_GZIP, *self.deflated, _LAST_BLOCK, _GZIP_END.pack(self.crc, self.size & 0xFFFFFFFF)))

    def pieces(self) -> Iterator[bytes]:
        """The JSON array part by part; the last one is its closing bracket."""
        for part in self.deflated:
            yield zlib.decompressobj(_RAW).decompress(part)


class SeriesDocumentBuilder:
    """Takes texts of instances joined by commas, then `finish`."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._deflated: list[bytes] = []
        self._crc = 0
        self._size = 0
        #: Bytes of what is deflated so far.
        self.held = 0

    def add(self, instances: bytes) -> None:
        self._add((b"," if self._deflated else b"[") + instances)

    def finish(self) -> SeriesDocument:
        self._add(b"]" if self._deflated else b"[]")
        return SeriesDocument(self._root, self._crc, self._size, tuple(self._deflated))

    def _add(self, text: bytes) -> None:
        deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
        # Up to a byte's end and without a last block: whatever follows is one stream with it.
        self._deflated.append(deflater.compress(text) + deflater.flush(zlib.Z_FULL_FLUSH))
        self.held += len(self._deflated[-1])
        self._crc = zlib.crc32(text, self._crc)
        self._size += len(text)
