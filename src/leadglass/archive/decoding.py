"""Stored pixels decoded, transcoded and rendered, all of it by the sandboxed workers of a `DecoderPool`."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from leadglass.archive.frames import InstanceFrames
from leadglass.archive.incoming import Layout
from leadglass.archive.ranges import Buffer, stored_range
from leadglass.dicom import tags
from leadglass.dicom.encoding import UNDEFINED
from leadglass.dicom.explicit import END_OF_FRAGMENTS, element_header, explicit_elements, fragment_header
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.difference import PixelDifference
from leadglass.pixels.failure import MESSAGES, Failure
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.reading import describe
from leadglass.pixels.rendering import Format, Rendering
from leadglass.pixels.syntaxes import DECODED, ENCODED
from leadglass.pixels.transcoding import changes

_EXPLICIT: Final = TRANSFER_SYNTAXES[EXPLICIT_LE]
#: PS3.5 7.1.2: longer values have no length.
_LONGEST_VALUE: Final = UNDEFINED - 1
#: Bytes of one frame as it is stored.
MOST_STORED: Final = DecoderLimits().encoded_bytes
#: Without loss, and in its own size.
AS_IT_IS: Final = Rendering(Format.PNG)
_OFFSET_TABLES: Final = (tags.EXTENDED_OFFSET_TABLE, tags.EXTENDED_OFFSET_TABLE_LENGTHS)


def can_transcode(stored: str, wanted: str) -> bool:
    """Whether pixels in one transfer syntax can be made into another without further loss."""
    return stored in DECODED and wanted in ENCODED


class Decoding:
    """What one pool of workers can make of frames. Thread-safe."""

    def __init__(self, pool: DecoderPool, limits: DataSetLimits) -> None:
        self._pool = pool
        self._limits = limits

    def frame(self, frames: InstanceFrames, number: int, transfer_syntax: str) -> bytes:
        """A frame in one of `ENCODED`, counted as disclosed. Raises NotFound, DecodingFailed, NotAvailable."""
        return self._transcoded(self._described(frames), frames, number, transfer_syntax)

    def rendered(self, frames: InstanceFrames, number: int, rendering: Rendering) -> bytes:
        """A frame as a JPEG or PNG file, counted as disclosed. Raises as `frame`."""
        description = self._described(frames)
        with _noted(frames):
            return self._pool.render(description, _whole(frames.open(number)), rendering, number)

    def compared(self, one: InstanceFrames, other: InstanceFrames, number: int) -> PixelDifference:
        """Where a frame of one instance differs from the same one of another; nothing is counted as disclosed. Raises
        as `frame`."""
        first, second = self._described(one), self._described(other)
        sizes = [f"{each.columns} × {each.rows}" for each in (first, second)]
        if sizes[0] != sizes[1] or first.samples_per_pixel != second.samples_per_pixel:
            message = f"The two images are not of one kind: {sizes[0]} × {first.samples_per_pixel} samples against "
            raise _cannot(f"{message}{sizes[1]} × {second.samples_per_pixel}.")
        return self._pool.compare(first, _whole(one.read(number)), second, _whole(other.read(number)), AS_IT_IS, number)

    def data_set(self, frames: InstanceFrames, transfer_syntax: str) -> Iterator[Buffer]:
        """The whole data set with its frames in another transfer syntax (PS3.5 A.4, 8.2), counted as disclosed. Raises
        as `frame`, at once or while it is read."""
        stored = frames.stored
        description = self._described(frames)
        target = TRANSFER_SYNTAXES[transfer_syntax]
        count = stored.geometry.frames
        made = (self._transcoded(description, frames, number + 1, transfer_syntax) for number in range(count))
        pixels = _encapsulated(made) if target.encapsulated else _native(made, description, count)
        layout = Layout.decode(stored.reader.layout)
        changed = {tag: _encoded(value) for tag, value in changes(description).items()}
        yield from self._elements(frames, 0, layout.header_length, target, changed)
        yield from pixels
        end = _end_of_pixels(layout)
        # Of a deflated data set only its end tells how long it is.
        length = self._limits.inflated_bytes if stored.syntax.deflated else stored.reader.length - end
        if length:
            yield from self._elements(frames, end, length, target, changed)

    def _elements(
        self, frames: InstanceFrames, start: int, length: int, target: TransferSyntax, changed: Mapping[int, bytes]
    ) -> Iterator[bytes]:
        """Those before or behind the pixel data. Raises DecodingFailed when an icon's pixels would have to be decoded
        too."""
        stored = frames.stored
        syntax = stored.syntax if target.encapsulated or not stored.syntax.encapsulated else _EXPLICIT
        if syntax.deflated:
            syntax = _EXPLICIT
        chunks = stored_range(stored.reader, stored.syntax, self._limits, start, length)
        try:
            with frames.retrieval.watched(frames.instance):
                yield from explicit_elements(chunks, syntax, self._limits, changed, _OFFSET_TABLES)
        except DataSetError as error:
            raise _cannot(error.message) from error

    def _described(self, frames: InstanceFrames) -> PixelDescription:
        """Of frames as `InstanceFrames.open` gives them: native ones are in little endian."""
        stored = frames.stored
        with frames.retrieval.watched(frames.instance):
            description = describe(stored.reader.chunks(), stored.syntax, self._limits)
        if stored.table is None:
            return replace(description, transfer_syntax=EXPLICIT_LE, word_swapped=False)
        return description

    def _transcoded(
        self, description: PixelDescription, frames: InstanceFrames, number: int, transfer_syntax: str
    ) -> bytes:
        frame = _whole(frames.open(number))
        with _noted(frames):
            if transfer_syntax == EXPLICIT_LE:
                return self._pool.decode(description, frame, number)
            return self._pool.transcode(description, frame, transfer_syntax)


@contextmanager
def _noted(frames: InstanceFrames) -> Iterator[None]:
    """Around a decoder's work: one that crashes, hangs or grows is a finding about the object."""
    try:
        yield
    except DecodingFailed as error:
        if Failure[error.reason].hostile:
            frames.retrieval.note_decoder(frames.instance, error.reason)
        raise


def _whole(pieces: Iterable[Buffer]) -> bytes:
    """One frame as it is stored. Raises DecodingFailed before more is held than a decoder takes: a small deflated
    object may inflate to gigabytes."""
    frame = bytearray()
    for piece in pieces:
        if len(frame) + len(piece) > MOST_STORED:
            raise DecodingFailed(MESSAGES[Failure.TOO_LARGE], reason=Failure.TOO_LARGE.name)
        frame += piece
    return bytes(frame)


def _encapsulated(frames: Iterable[bytes]) -> Iterator[bytes]:
    """One fragment a frame and an empty offset table, PS3.5 A.4."""
    yield element_header(tags.PIXEL_DATA, "OB", UNDEFINED) + fragment_header(0)
    for frame in frames:
        yield fragment_header(len(frame))
        yield frame
    yield END_OF_FRAGMENTS


def _native(frames: Iterable[bytes], description: PixelDescription, count: int) -> Iterator[bytes]:
    """Raises DecodingFailed for what has no place in a native data set."""
    length = count * description.frame_bytes
    if length > _LONGEST_VALUE:
        raise _cannot("Its pixels are too many for a native data set (PS3.18 8.7.3.4).")
    if count > 1 and description.bits_allocated == 1 and description.rows * description.columns % 8:
        raise _cannot("Its frames begin inside of bytes.")
    yield element_header(tags.PIXEL_DATA, "OW" if description.bits_allocated > 8 else "OB", length + length % 2)
    yield from frames
    if length % 2:
        yield b"\0"


def _end_of_pixels(layout: Layout) -> int:
    if layout.pixel_length is not None:
        return layout.pixel_offset + layout.pixel_length
    start, length = layout.fragments[-1]
    return start + length + len(END_OF_FRAGMENTS)


def _encoded(value: str | int) -> bytes:
    """A CS or US in little endian."""
    if isinstance(value, int):
        return value.to_bytes(2, "little")
    return value.encode("ascii") + b" " * (len(value) % 2)


def _cannot(message: str) -> DecodingFailed:
    return DecodingFailed(
        message, "Retrieve it as it is stored, with transfer-syntax=*.", reason=Failure.UNSUPPORTED.name
    )
