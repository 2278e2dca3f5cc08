"""The incremental, iterative core of every data set reader here, PS3.5 7.

Bytes go in by `feed` in chunks of any size; what they mean comes out through the `_on_…` hooks of a subclass. Nothing
recurses: open sequences and items are a list of `Container`s. What is held between two calls is at most one element
header and one value that a hook asked to keep, so memory is bounded by `DataSetLimits` whatever the data set declares.
"""

from typing import Final

from leadglass.dicom.container import NO_END, Bulk, Container, Element, Handling, Mode
from leadglass.dicom.dictionary import vr_of
from leadglass.dicom.encoding import BIG, LITTLE, LONG_VRS, NOT_A_VR, SHORT_VRS, UNDEFINED, Codec
from leadglass.dicom.hooks import ElementHooks
from leadglass.dicom.inflate import Inflater
from leadglass.dicom.tags import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA
from leadglass.dicom.uids import TransferSyntax
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

_ITEM: Final = 0xFFFEE000
_ITEM_BYTES: Final = b"\xfe\xff\x00\xe0"
_ITEM_DELIMITATION: Final = 0xFFFEE00D
_SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
#: First of (7FE0,0008) Float, (7FE0,0009) Double Float and (7FE0,0010) Pixel Data.
PIXEL_TAGS: Final = frozenset({FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA})
_NO_TAG: Final = 1 << 32
#: Bytes taken out of a chunk at a time: a header is rarely longer, and what follows it is mostly skipped.
_WINDOW: Final = 16 * 1024


class ElementWalker(ElementHooks):
    """Walks one data set. Raises DataSetError for what PS3.5 does not allow and for what is beyond `limits`."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        self._syntax = syntax
        self._limits = limits
        self._inflater = Inflater(limits) if syntax.deflated else None
        self._frame = Container(Mode.ELEMENTS, syntax.explicit_vr, LITTLE if syntax.little_endian else BIG, NO_END)
        self._stack: list[Container] = []
        self._pending = bytearray()
        self._need = 8
        self._skip = 0
        self._streaming = False
        self._base = 0
        self._fed = 0
        self._count = 0
        self._items = 0
        self._held = 0
        self._notes: dict[str, None] = {}

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Reads the next bytes; keeps no reference to them. Constant time inside a value that is skipped."""
        with memoryview(data) as view:
            size = view.nbytes
            self._fed += size
            if self._fed > self._limits.total_bytes:
                raise self._error("The data set is longer than the limit.", 0)
            if self._inflater is None:
                self._take(view, size)
                return
            for part in self._inflater.inflate(view):
                self._take(memoryview(part), len(part))

    def _finish(self) -> int:
        """Checks that the data set is complete. Returns its length, inflated where it was deflated."""
        if self._inflater is not None:
            self._inflater.finish()
        if not self._skip and not self._pending:
            self._consume(b"")
        if self._skip:
            raise self._error("The last value is cut short.", -self._skip)
        if self._pending or self._stack:
            raise self._error("The data set ends inside an element, item or sequence.", 0)
        self._check_group_length(self._frame, self._base)
        return self._base

    # Bytes.

    def _take(self, view: memoryview, size: int) -> None:
        at = 0
        while at < size:
            if self._skip:
                jump = min(self._skip, size - at)
                if self._streaming:
                    self._on_stream(view[at : at + jump])
                self._skip -= jump
                at += jump
            elif self._pending:
                part = view[at : at + self._need - len(self._pending)]
                self._pending += part
                at += part.nbytes
                if len(self._pending) >= self._need:
                    self._consume(bytes(self._pending))
            else:
                window = bytes(view[at : at + _WINDOW])
                at += len(window)
                self._consume(window)

    def _consume(self, buf: bytes) -> None:
        """Reads as much of `buf` as can be read, and keeps the start of what cannot yet."""
        size = len(buf)
        pos = 0
        while pos <= size:
            frame = self._frame
            if self._base + pos == frame.end:
                self._leave()
                continue
            if pos == size:
                break
            if frame.mode is Mode.ELEMENTS:
                pos = self._plain(buf, pos)
                if pos >= size or self._base + pos == frame.end:
                    continue
                after = self._element(buf, pos)
            else:
                after = self._item(buf, pos) if frame.mode is Mode.ITEMS else self._fragment(buf, pos)
            if after < 0:
                break
            pos = after
        self._base += pos
        self._skip = max(0, pos - size)
        self._pending = bytearray(buf[pos:])
        if self._count > self._limits.elements or self._items > self._limits.elements:
            raise self._error("The data set has more elements or items than the limit.", -self._skip)
        if self._held > self._limits.held_bytes:
            raise self._error("The data set has more to hold in memory than the limit.", -self._skip)

    def _wait(self, need: int) -> int:
        self._need = need
        return -1

    def _error(self, message: str, pos: int) -> DataSetError:
        return DataSetError(message, self._base + pos)

    # Elements.

    def _element(self, buf: bytes, pos: int) -> int:
        """Reads any element at `pos`. Returns where the next one begins (past the buffer when a value is skipped),
        or -1 when more bytes are needed; nothing has been noted then."""
        header = self._header(buf, pos)
        if header is None:
            return -1
        tag, vr, length, head = header
        if tag >> 16 == 0xFFFE:
            return self._delimiter(tag, length, head)
        if length == UNDEFINED:
            self._note_order(tag, pos)
            return self._undefined(tag, vr, head)
        stop = head + length
        if self._base + stop > self._frame.end:
            raise self._error("An element is longer than the item that holds it.", pos)
        if vr == "SQ":
            if self._frame.explicit:
                return self._sized_sequence(tag, pos, head, stop)
            if length >= 8 and len(buf) < head + 4:
                return self._wait(head + 4 - pos)
            if not length or (length >= 8 and buf[head : head + 4] == _ITEM_BYTES):
                return self._sized_sequence(tag, pos, head, stop)
            # The tag meant something else when this was written; only Explicit VR would tell.
            self._notes["not-a-sequence"] = None
            vr = "UN"
        return self._sized(tag, vr, length, buf, pos, head)

    def _sized_sequence(self, tag: int, pos: int, head: int, stop: int) -> int:
        self._note_order(tag, pos)
        self._enter_sequence(tag, stop, self._frame.explicit, self._frame.codec)
        return head

    def _sized(self, tag: int, vr: str, length: int, buf: bytes, pos: int, head: int) -> int:
        """An element of defined length that is no sequence."""
        stop = head + length
        handling = self._choose(tag, length)
        group_length = not tag & 0xFFFF and length == 4
        if (handling is Handling.KEEP or group_length) and stop > len(buf):
            if length > self._limits.held_bytes:
                raise self._error("A value to be held in memory is longer than the limit.", pos)
            return self._wait(stop - pos)
        self._note_order(tag, pos)
        if length & 1:
            self._notes["odd-length"] = None
        if group_length:
            self._open_group(tag, stop, self._frame.codec.length.unpack_from(buf, head)[0])
        self._deliver(handling, tag, vr, buf, head, length)
        return stop

    def _deliver(self, handling: Handling, tag: int, vr: str, buf: bytes, head: int, length: int) -> None:
        offset = self._base + head
        if handling is Handling.KEEP:
            self._on_value(Element(tag, vr, buf[head : head + length], offset))
            return
        self._on_bulk(Bulk(tag, vr, length, offset))
        self._streaming = handling is Handling.STREAM
        if self._streaming:
            self._on_stream(memoryview(buf)[head : head + length])

    def _header(self, buf: bytes, pos: int) -> tuple[int, str, int, int] | None:
        """Tag, VR, value length and position of the value, PS3.5 7.1; None when more bytes are needed."""
        if len(buf) - pos < 8:
            self._need = 8
            return None
        frame = self._frame
        group, element, length = frame.codec.implicit.unpack_from(buf, pos)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", length, pos + 8
        if not frame.explicit:
            return tag, vr_of(tag), length, pos + 8
        _, _, code, length = frame.codec.explicit.unpack_from(buf, pos)
        vr = SHORT_VRS.get(code)
        if vr is None:
            vr = LONG_VRS.get(code)
            if vr is None:
                vr = "UN"
                if self._unknown_vr_is_short(code, length, pos):
                    return tag, vr, length, pos + 8
            if len(buf) - pos < 12:
                self._need = 12
                return None
            long_length: int = frame.codec.length.unpack_from(buf, pos + 8)[0]
            return tag, vr, long_length, pos + 12
        return tag, vr, length, pos + 8

    def _unknown_vr_is_short(self, code: bytes, length: int, pos: int) -> bool:
        """PS3.5 7.1.2 gives VRs to come the long form, in which the 16 bits after the VR are zero."""
        if code in NOT_A_VR:
            self._notes["not-a-vr"] = None
            return True
        if not (code.isalpha() and code.isupper()):
            raise self._error("An element has no VR: not Explicit VR as the transfer syntax says.", pos)
        self._notes["unknown-vr"] = None
        return length != 0

    def _undefined(self, tag: int, vr: str, head: int) -> int:
        frame = self._frame
        if tag in PIXEL_TAGS:
            # PS3.5 A.4; also in an item: the pixels of an icon may be encapsulated as well.
            if tag != PIXEL_DATA or vr not in ("OB", "OW") or not self._syntax.encapsulated or not frame.explicit:
                raise self._error("Pixel data has no length in a transfer syntax that is not encapsulated.", head)
            self._push(Container(Mode.FRAGMENTS, True, frame.codec, frame.end, delimited=True))
            self._on_fragments(Bulk(tag, vr, UNDEFINED, self._base + head))
        elif vr == "SQ" or not frame.explicit:
            self._enter_sequence(tag, UNDEFINED, frame.explicit, frame.codec)
        elif vr == "UN":
            # PS3.5 6.2.2: inside, it is Implicit VR Little Endian whatever the transfer syntax.
            self._notes["un-sequence"] = None
            self._enter_sequence(tag, UNDEFINED, False, LITTLE)
        else:
            raise self._error("An element that is no sequence has no length.", head)
        return head

    # Order and group lengths.

    def _note_order(self, tag: int, pos: int) -> None:
        frame = self._frame
        self._count += 1
        if frame.group_end and tag >> 16 != frame.highest >> 16:
            self._check_group_length(frame, self._base + pos)
        if tag > frame.highest:
            frame.highest = tag
        else:
            if tag >> 16 in (0x0000, 0x0002):
                raise self._error("A command or file meta element is in the data set (PS3.5 7.1).", pos)
            self._notes["element-order"] = None
        self._set_ceiling(frame)

    def _open_group(self, tag: int, stop: int, length: int) -> None:
        if tag == self._frame.highest:
            self._frame.group_end = self._base + stop + length
            self._set_ceiling(self._frame)

    def _set_ceiling(self, frame: Container) -> None:
        highest = frame.highest
        if highest < FLOAT_PIXEL_DATA:
            frame.ceiling = FLOAT_PIXEL_DATA
        else:
            frame.ceiling = highest + 1 if highest < PIXEL_DATA else _NO_TAG
        if frame.group_end:
            frame.ceiling = min(frame.ceiling, (highest | 0xFFFF) + 1)

    def _check_group_length(self, frame: Container, offset: int) -> None:
        # Retired (PS3.5 7.2) and so often wrong that nothing here relies on it.
        if frame.group_end and frame.group_end != offset:
            self._notes["group-length"] = None
        frame.group_end = 0

    # Sequences, items and fragments.

    def _push(self, frame: Container) -> None:
        self._stack.append(self._frame)
        self._frame = frame

    def _enter_sequence(self, tag: int, stop: int, explicit: bool, codec: Codec) -> None:
        if len(self._stack) >= 2 * self._limits.depth:
            raise self._error("Sequences are nested deeper than the limit.", 0)
        delimited = stop == UNDEFINED
        end = self._frame.end if delimited else self._base + stop
        self._push(Container(Mode.ITEMS, explicit, codec, end, delimited))
        self._on_sequence(tag)

    def _leave(self, *, delimiter: bool = False) -> None:
        frame = self._frame
        if frame.delimited != delimiter:
            raise self._error("A sequence or item does not end where its length or delimiter says.", 0)
        self._frame = self._stack.pop()
        self._on_end()

    def _delimiter(self, tag: int, length: int, head: int) -> int:
        if tag != _ITEM_DELIMITATION or not self._stack:
            raise self._error("An item or delimiter is out of place.", head)
        self._check_group_length(self._frame, self._base + head - 8)
        return self._close(length, head)

    def _close(self, length: int, head: int) -> int:
        if length:
            self._notes["delimiter-length"] = None
        if self._base + head > self._frame.end:
            raise self._error("A delimiter lies beyond the item that holds it.", head)
        self._leave(delimiter=True)
        return head

    def _item(self, buf: bytes, pos: int) -> int:
        """An item or the end of a sequence, PS3.5 7.5."""
        if len(buf) - pos < 8:
            return self._wait(8)
        frame = self._frame
        group, element, length = frame.codec.implicit.unpack_from(buf, pos)
        tag = group << 16 | element
        if tag == _SEQUENCE_DELIMITATION:
            return self._close(length, pos + 8)
        if tag != _ITEM:
            raise self._error("Something other than an item is in a sequence.", pos)
        delimited = length == UNDEFINED
        end = frame.end if delimited else self._base + pos + 8 + length
        if end > frame.end or self._base + pos + 8 > frame.end:
            raise self._error("An item is longer than the sequence that holds it.", pos)
        self._items += 1
        self._push(Container(Mode.ELEMENTS, frame.explicit, frame.codec, end, delimited))
        self._on_item()
        return pos + 8

    def _fragment(self, buf: bytes, pos: int) -> int:
        """A fragment of encapsulated pixel data, its basic offset table or its end, PS3.5 A.4."""
        if len(buf) - pos < 8:
            return self._wait(8)
        frame = self._frame
        group, element, length = frame.codec.implicit.unpack_from(buf, pos)
        tag = group << 16 | element
        head = pos + 8
        if tag == _SEQUENCE_DELIMITATION:
            return self._close(length, head)
        if tag != _ITEM or length == UNDEFINED or self._base + head + length > frame.end:
            raise self._error("Encapsulated pixel data is not a sequence of fragments.", pos)
        first = frame.fragments == 0
        if frame.fragments > self._limits.fragments or (first and length > 4 * self._limits.fragments):
            raise self._error("Pixel data has more fragments than the limit.", pos)
        handling = self._choose_fragment(first)
        if handling is Handling.KEEP and head + length > len(buf):
            return self._wait(8 + length)
        frame.fragments += 1
        if length & 1:
            self._notes["odd-length"] = None
        self._on_fragment(self._base + head, length, buf[head : head + length] if handling is Handling.KEEP else None)
        self._streaming = handling is Handling.STREAM
        if self._streaming:
            self._on_stream(memoryview(buf)[head : head + length])
        stop: int = head + length
        return stop
