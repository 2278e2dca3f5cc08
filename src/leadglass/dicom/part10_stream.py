"""A DICOM file (PS3.10 7) as it arrives: its File Meta Information first, then the bytes of its data set untouched."""

from io import BytesIO
from struct import Struct
from typing import Final

from leadglass.dicom.encoding import LONG_VRS, SHORT_VRS
from leadglass.dicom.part10 import FileMeta, read_file_meta
from leadglass.errors import DataSetError

_START: Final = 132
_HEADER: Final = Struct("<HH2sH")
_LENGTH: Final = Struct("<I")
#: Far more than any meta information that has no private part.
_MOST_META: Final = 64 * 1024
Buffer = bytes | bytearray | memoryview


class FileSplitter:
    """Feed a file until `meta` is there; what `feed` returns is of the data set. Holds 64 KiB at most."""

    def __init__(self) -> None:
        self.meta: FileMeta | None = None
        #: Preamble and meta information as they were, once `meta` is there.
        self.head = b""
        self._held = bytearray()
        self._seen = _START

    def feed(self, data: Buffer) -> Buffer:
        """Raises DataSetError when it is no file with meta information (PS3.10 7.1), or a DICOMDIR."""
        if self.meta is not None:
            return data
        self._held += data
        if len(self._held) >= _START and self._held[_START - 4 : _START] != b"DICM":
            raise DataSetError("It is not a DICOM file (PS3.10 7.1).")
        if len(self._held) < _START or not self._complete():
            if len(self._held) > _MOST_META:
                raise DataSetError("The File Meta Information is longer than the limit.")
            return b""
        return self._split()

    def finish(self) -> Buffer:
        """The file ends here. What is left of the data set, when it was too short to be sure before."""
        if self.meta is not None:
            return b""
        if len(self._held) < _START:
            raise DataSetError("It is not a DICOM file (PS3.10 7.1).")
        return self._split()

    def _split(self) -> Buffer:
        held = bytes(self._held)
        self._held.clear()
        self.meta = read_file_meta(BytesIO(held))
        self.head = held[: self.meta.data_offset]
        return memoryview(held)[self.meta.data_offset :]

    def _complete(self) -> bool:
        """Whether an element of another group than 0002 begins in what is held."""
        while len(self._held) - self._seen >= 12:
            group, _, code, length = _HEADER.unpack_from(self._held, self._seen)
            if group != 0x0002 or (code not in SHORT_VRS and code not in LONG_VRS):
                return True
            size = 8
            if code in LONG_VRS:
                length = _LENGTH.unpack_from(self._held, self._seen + 8)[0]
                size = 12
            if self._seen + size + length > _MOST_META:
                return True  # refused by whoever reads it whole, or cut short
            self._seen += size + length
        return False
