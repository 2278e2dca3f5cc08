"""A file's frames, to be read once each from its beginning to its end: for whoever gives them to the sandbox."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.frames import GEOMETRY_TAGS, STREAM_START, Geometry, Span, encapsulated_frames, native_frame
from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.reader import DataSetScanner, PixelData, Scan
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.inspection.files import Source, fill, pieces_of
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.reading import describe

_PIECE: Final = 256 * 1024

Opened = Callable[[], Source]


@dataclass(frozen=True, slots=True)
class Stored:
    """The file of which `opened` gives the bytes each time. `length`: of its data set, in bytes."""

    meta: FileMeta
    length: int
    opened: Opened

    def scan(self, wanted: frozenset[int], limits: DataSetLimits) -> Scan:
        """Raises DataSetError."""
        scanner = DataSetScanner(TRANSFER_SYNTAXES[self.meta.transfer_syntax], limits, wanted=wanted)
        for piece in pieces_of(self.opened(), self.meta.data_offset, self.length):
            scanner.feed(piece)
        return scanner.finish()

    def describe(self, limits: DataSetLimits) -> PixelDescription:
        """Raises DataSetError, DecodingFailed."""
        syntax = TRANSFER_SYNTAXES[self.meta.transfer_syntax]
        return describe(pieces_of(self.opened(), self.meta.data_offset, self.length), syntax, limits)

    def forward(self) -> "Forward":
        return Forward(self.opened(), self.meta.data_offset)

    def encapsulated(
        self, scan: Scan, pixels: PixelData, description: PixelDescription
    ) -> tuple[tuple[Span, ...], ...]:
        """The fragments of each frame. `scan` has the extended offset table. Raises DataSetError."""
        table = scan.elements.get(tags.EXTENDED_OFFSET_TABLE)
        file = self.forward()
        return encapsulated_frames(
            description.number_of_frames,
            pixels.fragments,
            pixels.offset_table,
            table.value if table is not None else b"",
            lambda span: file.read(span[0], min(span[1], STREAM_START)),
        )


class Forward:
    """Parts of a file that is read once, from its beginning to its end. `start`: where offsets are counted from."""

    def __init__(self, file: Source, start: int) -> None:
        self._file = file
        self._start = start
        self._position = 0
        self._skipped = memoryview(bytearray(_PIECE))

    def read(self, offset: int, length: int) -> bytes:
        """`offset` never goes back."""
        left = self._start + offset - self._position
        while left > 0 and (size := fill(self._file, self._skipped[:left])):
            left -= size
            self._position += size
        data = bytearray(length)
        self._position += fill(self._file, memoryview(data))
        return bytes(data)


def native(scan: Scan, pixels: PixelData, number: int, file: Forward) -> bytes:
    """Frame `number` of native pixels. `scan` has the elements of GEOMETRY_TAGS. Raises DataSetError."""
    geometry = Geometry.of(scan.elements, scan.little_endian, pixels.tag)
    frame = native_frame(geometry, number, pixels.length or 0)
    return frame.cut(file.read(pixels.offset + frame.start, frame.length))


#: What a scan must keep for the above.
FRAMING_TAGS: Final = GEOMETRY_TAGS | {tags.EXTENDED_OFFSET_TABLE}
