"""Deflated Explicit VR Little Endian, PS3.5 A.5: a raw deflate stream, inflated in bounded steps."""

import zlib
from collections.abc import Iterator
from struct import Struct
from typing import Final

from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

_STEP: Final = 256 * 1024
#: Fed to zlib at a time: what it leaves over is copied at each step.
_SLICE: Final = 64 * 1024
#: gzip's CRC, its size (RFC 1952 2.3.1), and a byte of padding.
_LONGEST_TRAILER: Final = 9
_CRC: Final = 4


class Inflater:
    """Raw deflate in, bytes of at most 256 KiB out. Raises DataSetError for a bad stream or one beyond its bounds."""

    def __init__(self, limits: DataSetLimits) -> None:
        self._limits = limits
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._received = 0
        self._inflated = 0
        self._after = b""

    def inflate(self, data: memoryview) -> Iterator[bytes]:
        for start in range(0, data.nbytes, _SLICE):
            part: bytes | memoryview = data[start : start + _SLICE]
            self._received += len(part)
            if self._stream.eof:
                self._check_after(bytes(part))
                continue
            while True:
                inflated = self._step(part)
                if inflated:
                    yield inflated
                part = self._stream.unconsumed_tail
                if self._stream.eof or (not part and len(inflated) < _STEP):
                    break
            self._check_after(self._stream.unused_data if self._stream.eof else b"")

    def finish(self) -> None:
        """Raises DataSetError when the stream has not ended, or something else follows it."""
        if not self._stream.eof:
            raise DataSetError("The deflated data set is cut short (PS3.5 A.5).", self._inflated)
        # PS3.5 A.5: one NULL makes an odd length even. Some writers leave gzip's trailer: tolerated when its size
        # holds. Its CRC is not computed, which would cost a good part of what a bomb may.
        size = Struct("<I").pack(self._inflated & 0xFFFFFFFF)
        is_trailer = self._after[_CRC:] in (size, size + b"\0")
        if self._after not in (b"", b"\0") and not is_trailer:
            raise self._follows()

    def _step(self, part: bytes | memoryview) -> bytes:
        try:
            inflated = self._stream.decompress(part, _STEP)
        except zlib.error:
            raise DataSetError("The data set is not a raw deflate stream (PS3.5 A.5).", self._inflated) from None
        self._inflated += len(inflated)
        if self._inflated > self._limits.inflated_bytes:
            raise DataSetError("The data set inflates to more than the limit.", self._inflated)
        taken = self._received - len(self._stream.unconsumed_tail)
        if self._inflated > self._limits.inflated_freely + self._limits.inflate_ratio * taken:
            raise DataSetError("The data set inflates by more than the limit.", self._inflated)
        return inflated

    def _check_after(self, rest: bytes) -> None:
        self._after += rest
        if len(self._after) > _LONGEST_TRAILER:
            raise self._follows()

    def _follows(self) -> DataSetError:
        return DataSetError("Bytes follow the deflated data set (PS3.5 A.5).", self._inflated)
