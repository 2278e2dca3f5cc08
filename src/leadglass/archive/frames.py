"""The frames of stored instances, cut out by ranges: nothing but the segments that hold a frame is read and opened.

What tells where the frames of an instance lie is remembered for the instances asked for last, since viewers ask for
one frame after another; whether the caller may see them is decided anew for each request.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from struct import Struct
from typing import TYPE_CHECKING

from leadglass.archive.incoming import Layout
from leadglass.archive.ranges import Buffer, StoredValue, stored_range
from leadglass.archive.retrieve import Retrieval, opened
from leadglass.dicom import tags
from leadglass.dicom.explicit import pixel_word
from leadglass.dicom.frames import (
    GEOMETRY_TAGS,
    STREAM_START,
    Geometry,
    Span,
    encapsulated_frames,
    native_frame,
)
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError, NotFound
from leadglass.index.rows import InstanceRow

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.pack.reader import ObjectReader

_WANTED = GEOMETRY_TAGS | {tags.EXTENDED_OFFSET_TABLE}
#: Fragments and instances that are remembered in all.
REMEMBERED_FRAGMENTS = 200_000
REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class StoredFrames:
    """Where the frames of one sealed instance lie: in `pixels` when they are native, else in the fragments of `table`.
    May be used by several threads."""

    reader: "ObjectReader"
    syntax: TransferSyntax
    geometry: Geometry
    pixels: StoredValue
    table: tuple[tuple[Span, ...], ...] | None

    @property
    def transfer_syntax(self) -> str:
        """That of the frames as `chunks` gives them."""
        return EXPLICIT_LE if self.table is None else self.syntax.uid

    @property
    def weight(self) -> int:
        return 1 if self.table is None else sum(map(len, self.table))

    def length(self, number: int) -> int:
        """Bytes of a frame, counted from 1."""
        if self.table is None:
            return (self.geometry.bits + 7) // 8
        return sum(length for _, length in self.table[number - 1])

    def chunks(self, number: int) -> Iterator[Buffer]:
        """The bytes of a frame, in buffers of at most 1 MiB unless its bits are shifted. Raises VerificationFailed."""
        if self.table is not None:
            for start, length in self.table[number - 1]:
                yield from self.reader.chunks(start, length)
            return
        frame = native_frame(self.geometry, number, self.pixels.length)
        chunks = self.pixels.chunks(frame.start, frame.length)
        if frame.shift or frame.bits % 8:
            yield frame.cut(b"".join(chunks))
        else:
            yield from chunks


@dataclass(frozen=True, slots=True)
class InstanceFrames:
    """The frames of an instance that somebody may see, within a retrieval."""

    retrieval: Retrieval
    instance: InstanceRow
    stored: StoredFrames

    def open(self, number: int) -> Iterator[Buffer]:
        """The bytes of a frame, which are counted as disclosed. Raises NotFound, VerificationFailed."""
        self.require(number)
        self.retrieval.count_part(self.instance, self.stored.length(number))
        return self.read(number)

    def require(self, number: int) -> None:
        """Raises NotFound unless there is such a frame."""
        if not 1 <= number <= self.stored.geometry.frames:
            raise NotFound("The instance has no such frame.", "Frames are counted from 1.")

    def read(self, number: int) -> Iterator[Buffer]:
        """The same bytes for our own use, counted for nobody: they must not leave."""
        with self.retrieval.watched(self.instance):
            yield from self.stored.chunks(number)


class Frames:
    """Finds frames. One for each door; thread-safe."""

    def __init__(self, archive: "Archive") -> None:
        self._archive = archive
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, StoredFrames] = OrderedDict()
        self._weight = 0

    def of(self, retrieval: Retrieval, instance: InstanceRow) -> InstanceFrames:
        """Raises NotFound when the instance has no frames or none that can be told apart, VerificationFailed."""
        with self._lock:
            stored = self._known.get(instance.object_id)
            if stored is not None:
                self._known.move_to_end(instance.object_id)
        if stored is None:
            with retrieval.watched(instance):
                stored = _stored_frames(self._archive, instance)
            self._remember(instance.object_id, stored)
        return InstanceFrames(retrieval, instance, stored)

    def _remember(self, object_id: bytes, stored: StoredFrames) -> None:
        with self._lock:
            if object_id not in self._known:
                self._known[object_id] = stored
                self._weight += stored.weight
            while len(self._known) > REMEMBERED or (self._weight > REMEMBERED_FRAGMENTS and len(self._known) > 1):
                _, oldest = self._known.popitem(last=False)
                self._weight -= oldest.weight


def _stored_frames(archive: "Archive", instance: InstanceRow) -> StoredFrames:
    syntax = TRANSFER_SYNTAXES[instance.transfer_syntax]
    # An extended offset table has eight bytes for each frame.
    limits = replace(archive.limits, inline_value=archive.limits.held_bytes)
    reader, elements = opened(archive, instance, _WANTED, limits)
    layout = Layout.decode(reader.layout)
    if layout.pixel_length == 0:
        raise NotFound("The instance has no frames.", "Retrieve it as a whole.")
    pixel_tag, vr = _pixel_element(b"".join(stored_range(reader, syntax, limits, layout.header_length, 8)), syntax)
    try:
        geometry = Geometry.of(elements, syntax.little_endian, pixel_tag)
        if layout.pixel_length is not None:
            native_frame(geometry, geometry.frames, layout.pixel_length)
            word = 1 if syntax.little_endian else pixel_word(vr, geometry.bits_allocated)
            pixels = StoredValue(reader, syntax, limits, layout.pixel_offset, layout.pixel_length, word)
            return StoredFrames(reader, syntax, geometry, pixels, None)
        table = encapsulated_frames(
            geometry.frames,
            layout.fragments,
            _basic_offsets(reader, layout),
            elements[tags.EXTENDED_OFFSET_TABLE].value if tags.EXTENDED_OFFSET_TABLE in elements else b"",
            lambda span: reader.read(span[0], min(span[1], STREAM_START)),
        )
    except DataSetError as error:
        raise NotFound(error.message, "Retrieve the instance as a whole.") from error
    return StoredFrames(reader, syntax, geometry, StoredValue(reader, syntax, limits, 0, 0), table)


def _pixel_element(header: bytes, syntax: TransferSyntax) -> tuple[int, str]:
    """Tag and VR of the pixel data element; in Implicit VR it is OW (PS3.5 A.1)."""
    group, number = Struct("<HH" if syntax.little_endian else ">HH").unpack_from(header)
    return group << 16 | number, header[4:6].decode("ascii", "replace") if syntax.explicit_vr else "OW"


def _basic_offsets(reader: "ObjectReader", layout: Layout) -> bytes:
    """The basic offset table, PS3.5 A.4: the first item."""
    length = int.from_bytes(reader.read(layout.pixel_offset + 4, 4), "little")
    return reader.read(layout.pixel_offset + 8, length)
