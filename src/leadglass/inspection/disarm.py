"""What a disarmed object is, as edits on the original: a stream in, a stream out, nothing held.

    survey = Survey(syntax, limits, offsets)     where the payloads lie that inspection found (`Finding.offset`)
    for chunk in chunks: survey.feed(chunk)      the data set, up to `Inspector.data_length`
    edits = plan(survey.finish(), now)
    for part in apply(edits, chunks): …          the disarmed data set

Trailing bytes are cut; private elements with a payload removed, which the Original
Attributes Sequence tells of (PS3.18 10.5.3, PS3.3 C.12.1.1.9). Everything else stays byte for byte.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from leadglass.dicom.container import Bulk
from leadglass.dicom.encoding import BIG, LITTLE, LONG_VRS, UNDEFINED, Codec
from leadglass.dicom.uids import IMPLEMENTATION_VERSION_NAME, TransferSyntax
from leadglass.dicom.walker import ElementWalker
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

ORIGINAL_ATTRIBUTES_SEQUENCE: Final = 0x04000561
_MODIFIED_ATTRIBUTES_SEQUENCE: Final = 0x04000550
_MODIFICATION_DATE_TIME: Final = 0x04000562
_MODIFYING_SYSTEM: Final = 0x04000563
_SOURCE_OF_PREVIOUS_VALUES: Final = 0x04000564
_REASON_FOR_MODIFICATION: Final = 0x04000565
_ITEM: Final = 0xFFFEE000


@dataclass(frozen=True, slots=True)
class Edit:
    """`length` bytes at `offset` of the original are left out, and `replacement` stands there. `length` None: all that
    follows."""

    offset: int
    length: int | None
    replacement: bytes = b""


@dataclass(frozen=True, slots=True)
class Removed:
    """A top-level element to be taken out: `offset` and `length` (bytes of the data set) span header and value."""

    tag: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A data set to be disarmed. `insert_at`: where an item of (0400,0561) or the sequence as a whole goes.
    `sequence_length`: that of the sequence when it is there (`UNDEFINED` too), with its length field at `length_at`."""

    syntax: TransferSyntax
    length: int
    removed: tuple[Removed, ...]
    insert_at: int
    sequence_length: int | None
    length_at: int


class Survey(ElementWalker):
    """Finds the elements whose values hold `offsets`, and the place of (0400,0561). Raises DataSetError as every reader
    does, and when an offset lies in no top-level value: such an object cannot be disarmed."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits, offsets: Sequence[int]) -> None:
        super().__init__(syntax, limits)
        self._offsets = set(offsets)
        self._at = 0
        self._removed: list[Removed] = []
        self._insert_at: int | None = None
        self._sequence_length: int | None = None
        self._length_at = 0

    def finish(self) -> Surveyed:
        length = self._finish()
        if self._offsets:
            raise DataSetError("A payload lies in no element that can be removed.", min(self._offsets))
        insert_at = length if self._insert_at is None else self._insert_at
        found = tuple(self._removed)
        return Surveyed(self._syntax, length, found, insert_at, self._sequence_length, self._length_at)

    def _element(self, buf: bytes, pos: int) -> int:
        if not self._stack:
            self._at = self._base + pos
        return super()._element(buf, pos)

    def _note_order(self, tag: int, pos: int) -> None:
        super()._note_order(tag, pos)
        if not self._stack and tag > ORIGINAL_ATTRIBUTES_SEQUENCE and self._insert_at is None:
            self._insert_at = self._base + pos

    def _on_bulk(self, bulk: Bulk) -> None:
        if self._stack:
            return
        end = bulk.offset + bulk.length
        inside = {each for each in self._offsets if bulk.offset <= each < end}
        if inside:
            self._offsets -= inside
            self._removed.append(Removed(bulk.tag, self._at, end - self._at))

    def _on_sequence(self, tag: int) -> None:
        if len(self._stack) != 1 or tag != ORIGINAL_ATTRIBUTES_SEQUENCE:
            return
        frame = self._frame
        start = self._at + (12 if frame.explicit else 8)
        self._length_at = start - 4
        self._sequence_length = UNDEFINED if frame.delimited else frame.end - start
        self._insert_at = start if frame.delimited else frame.end


def plan(surveyed: Surveyed, now: datetime) -> tuple[Edit, ...]:
    """The edits that disarm a data set, ascending. Raises DataSetError when something is to be removed of a deflated
    one: offsets are those of the inflated data set."""
    if not surveyed.removed:
        return (Edit(surveyed.length, None),) if not surveyed.syntax.deflated else ()
    if surveyed.syntax.deflated:
        raise DataSetError("A deflated data set cannot be disarmed in place.")
    codec = LITTLE if surveyed.syntax.little_endian else BIG
    writer = _Writer(codec, explicit=surveyed.syntax.explicit_vr)
    item = writer.item(_body(surveyed.removed, now, writer))
    edits = [Edit(each.offset, each.length) for each in surveyed.removed]
    if surveyed.sequence_length is None:
        item = writer.element(ORIGINAL_ATTRIBUTES_SEQUENCE, b"SQ", item)
    elif surveyed.sequence_length != UNDEFINED:
        edits.append(Edit(surveyed.length_at, 4, codec.length.pack(surveyed.sequence_length + len(item))))
    edits += [Edit(surveyed.insert_at, 0, item), Edit(surveyed.length, None)]
    return tuple(sorted(edits, key=lambda edit: (edit.offset, edit.length is None, edit.length or 0)))


def apply(edits: Sequence[Edit], pieces: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes | memoryview]:
    """The edited stream. `edits` ascend and do not overlap; what they leave alone is passed on as it is."""
    position = 0
    waiting = list(edits)
    for piece in pieces:
        view = memoryview(piece)
        while len(view):
            if not waiting or position < waiting[0].offset:
                kept = view[: waiting[0].offset - position] if waiting else view
                yield kept
                position += len(kept)
                view = view[len(kept) :]
                continue
            edit = waiting[0]
            if edit.length is None:
                return
            dropped = view[: edit.offset + edit.length - position]
            position += len(dropped)
            view = view[len(dropped) :]
            if position == edit.offset + edit.length:
                waiting.pop(0)
                yield edit.replacement
    yield from (edit.replacement for edit in waiting if edit.replacement)


def _body(removed: Sequence[Removed], now: datetime, writer: "_Writer") -> bytes:
    """One item: the removed elements, empty. What they held is not for those who get the disarmed object."""
    tags = sorted({each.tag for each in removed})
    emptied = b"".join(writer.element(tag, b"UN", b"") for tag in tags)
    return b"".join(
        (
            writer.element(_MODIFIED_ATTRIBUTES_SEQUENCE, b"SQ", writer.item(emptied)),
            writer.element(_MODIFICATION_DATE_TIME, b"DT", now.strftime("%Y%m%d%H%M%S").encode("ascii")),
            writer.element(_MODIFYING_SYSTEM, b"LO", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
            writer.element(_SOURCE_OF_PREVIOUS_VALUES, b"LO", b""),
            writer.element(_REASON_FOR_MODIFICATION, b"CS", b"CORRECT"),
        )
    )


class _Writer:
    """Elements in one of the encodings of PS3.5 7.1."""

    def __init__(self, codec: Codec, *, explicit: bool) -> None:
        self._codec = codec
        self._explicit = explicit

    def item(self, body: bytes) -> bytes:
        return self._codec.implicit.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(body)) + body

    def element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        codec, group, element = self._codec, tag >> 16, tag & 0xFFFF
        padded = value + b" " if len(value) & 1 else value
        if not self._explicit:
            return codec.implicit.pack(group, element, len(padded)) + padded
        if vr in LONG_VRS:
            return codec.explicit.pack(group, element, vr, 0) + codec.length.pack(len(padded)) + padded
        return codec.explicit.pack(group, element, vr, len(padded)) + padded
