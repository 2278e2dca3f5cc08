"""Encapsulated frames decoded to see what that does: in the sandboxed workers of a `DecoderPool`, and nowhere else.

A decoder that crashes, hangs or grows over a frame is a finding about the object. No more of it is decoded then.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from leadglass.dicom import tags
from leadglass.dicom.frames import STREAM_START, Span, encapsulated_frames
from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.reader import DataSetScanner
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.inspection.files import Source, fill, pieces_of
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Finding, tag_text
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import MESSAGES, Failure
from leadglass.pixels.pool import Checked
from leadglass.pixels.reading import describe

#: Bytes of one frame as it is stored that are held to be decoded.
LONGEST_FRAME: Final = 16 * 1024 * 1024
_PIECE: Final = 256 * 1024
_PIXELS: Final = tag_text(tags.PIXEL_DATA)
_UNCHECKED: Final = frozenset({Failure.TOO_LARGE, Failure.UNSUPPORTED})

Opened = Callable[[], Source]


class Decoders(Protocol):
    """As `DecoderPool` is one."""

    def check(self, description: PixelDescription, frame: bytes) -> Checked:
        """Whether a frame decodes to what is declared. Raises NotAvailable where there is no sandbox."""


class PixelCheck:
    """Decodes every frame of encapsulated images, once each."""

    def __init__(self, decoders: Decoders, limits: DataSetLimits) -> None:
        self._decoders = decoders
        self._limits = limits

    def check(self, meta: FileMeta, length: int, opened: Opened) -> Iterator[Finding]:
        """What decoding the frames of a file says; nothing for native pixels, which no decoder sees. `length`: of the
        data set in bytes. Raises NotAvailable where there is no sandbox, and as `opened` does."""
        try:
            described = self._describe(meta, length, opened)
        except (DataSetError, DecodingFailed) as error:
            yield Finding(Reason.PIXELS_UNCHECKED, path=_PIXELS, detail=error.message)
            return
        if described is None:
            return
        description, frames = described
        failures: Counter[Failure] = Counter()
        first: dict[Failure, Finding] = {}
        file = _Forward(opened(), meta.data_offset)
        for number, spans in enumerate(frames, 1):
            failure = self._decode(description, file, spans)
            if failure is None:
                continue
            failures[failure] += 1
            where = f"{_PIXELS} frame {number}"
            first.setdefault(failure, Finding(_reason_of(failure), spans[0][0] + meta.data_offset, where))
            if failure.hostile:
                break
        for failure, finding in first.items():
            more = f" So do {failures[failure] - 1} other frames." if failures[failure] > 1 else ""
            yield Finding(finding.reason, finding.offset, finding.path, detail=MESSAGES[failure] + more)

    def _decode(self, description: PixelDescription, file: "_Forward", spans: tuple[Span, ...]) -> Failure | None:
        if sum(length for _, length in spans) > LONGEST_FRAME:
            return Failure.TOO_LARGE
        frame = b"".join(file.read(start, length) for start, length in spans)
        return self._decoders.check(description, frame).failure

    def _describe(
        self, meta: FileMeta, length: int, opened: Opened
    ) -> tuple[PixelDescription, tuple[tuple[Span, ...], ...]] | None:
        """The description and the fragments of each frame. Raises DataSetError, DecodingFailed."""
        syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
        if not syntax.encapsulated:
            return None
        wanted = frozenset({tags.EXTENDED_OFFSET_TABLE})
        scanner = DataSetScanner(syntax, self._limits, wanted=wanted)
        for piece in pieces_of(opened(), meta.data_offset, length):
            scanner.feed(piece)
        scan = scanner.finish()
        pixels = scan.pixel_data
        if pixels is None or pixels.length is not None:
            return None
        description = describe(pieces_of(opened(), meta.data_offset, length), syntax, self._limits)
        table = scan.elements.get(tags.EXTENDED_OFFSET_TABLE)
        file = _Forward(opened(), meta.data_offset)
        frames = encapsulated_frames(
            description.number_of_frames,
            pixels.fragments,
            pixels.offset_table,
            table.value if table is not None else b"",
            lambda span: file.read(span[0], min(span[1], STREAM_START)),
        )
        return description, frames


class _Forward:
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


def _reason_of(failure: Failure) -> Reason:
    if failure.hostile:
        return Reason.DECODER
    return Reason.PIXELS_UNCHECKED if failure in _UNCHECKED else Reason.PIXELS_BROKEN
