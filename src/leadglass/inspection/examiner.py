"""The reader that looks at an object while the archive keeps what it needs of it: one pass, bounded memory.

Texts are screened a window at a time in C, and read element by element only where something shows. Opaque values go to
their receivers as they stream past. Pixels are not looked at, but for what stands before and after them.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import replace
from typing import Final

from leadglass.dicom.container import Bulk, Element, Handling, Mode
from leadglass.dicom.dictionary import VALUE_REPRESENTATIONS, vr_of
from leadglass.dicom.encoding import LONG_VRS, NOT_A_VR, SHORT_VRS, TEXT_VRS
from leadglass.dicom.reader import NOT_PLAIN, DataSetScanner, Scan
from leadglass.dicom.tags import (
    CODE_VALUE,
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    SOP_INSTANCE_UID,
)
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS
from leadglass.errors import DataSetError
from leadglass.inspection.documents import ENCAPSULATED_DOCUMENT, DocumentStream
from leadglass.inspection.elements import departures
from leadglass.inspection.fragments import FragmentChecks, OffsetTable
from leadglass.inspection.payloads import find_payloads, may_begin
from leadglass.inspection.pixels import OVERLAYS, image_of, is_overlay, overlay_length
from leadglass.inspection.reasons import BY_CODE, Reason
from leadglass.inspection.signed import DIGITAL_SIGNATURES_SEQUENCE
from leadglass.inspection.text import suspicious
from leadglass.inspection.values import (
    OpaqueStream,
    Receiver,
    TextStream,
    UnknownStream,
    Window,
    examine,
    report_payload,
)
from leadglass.inspection.verdict import Findings, tag_text
from leadglass.model import DataSetLimits

#: No payload and no identifier is shorter, in bytes.
_SHORTEST: Final = 8
_PIXEL_DATA_LE: Final = b"\xe0\x7f\x10\0"
_PIXEL_DATA_BE: Final = b"\x7f\xe0\0\x10"
_DOCUMENT_LE: Final = b"\x42\0\x11\0"
_DOCUMENT_BE: Final = b"\0\x42\0\x11"
_ITEM_HEADER: Final = 8
LONG_CODE_VALUE: Final = 0x00080119
_OFFSET_TABLES: Final = (EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS)
_SPECIAL: Final = frozenset({ENCAPSULATED_DOCUMENT, *_OFFSET_TABLES})
#: A value that is shorter, in bytes, and was screened with what stands around it, needs no look of its own.
_WORTH_A_LOOK: Final = 4096
_CODES: Final = frozenset({CODE_VALUE, LONG_CODE_VALUE})


class Examiner(DataSetScanner):
    """As `DataSetScanner`, with `findings`. `thorough` reads every text element by element, whatever the screening
    says, and notes what departs from PS3.5 and PS3.6 without being a danger. The rest is as for `Inspector`."""

    #: Each has a receiver of its own, however short it is.
    _not_plain = NOT_PLAIN | OVERLAYS | {ENCAPSULATED_DOCUMENT}

    def __init__(
        self,
        syntax: TransferSyntax,
        limits: DataSetLimits,
        findings: Findings,
        *,
        wanted: Container[int],
        wanted_sequences: Container[int],
        thorough: bool,
        may_disarm: bool,
        may_remove: bool = True,
        is_directory: bool = False,
        keep_fragments: bool = True,
        inflated: Callable[[memoryview], None] | None = None,
    ) -> None:
        super().__init__(syntax, limits, wanted=wanted, wanted_sequences=wanted_sequences)
        self._inflated = inflated if syntax.deflated else None
        # A DICOMDIR is the one data set with a group 0004 (PS3.3 F.3).
        self._lowest = 0x0003FFFF if is_directory else self._frame.highest
        self._frame.highest = self._lowest
        self._findings = findings
        self._thorough = thorough
        self._keep_fragments = keep_fragments
        self._may_disarm = may_disarm
        self._may_remove = may_disarm and may_remove
        self._receiver: Receiver | None = None
        self._path: list[list[int]] = []
        self._creators: set[int] = set()
        self._screened = 0
        self._screened_to = 0
        self._look = False
        self._pixel_bytes = _PIXEL_DATA_LE if syntax.little_endian else _PIXEL_DATA_BE
        self._document_bytes = _DOCUMENT_LE if syntax.little_endian else _DOCUMENT_BE
        self._tail: OpaqueStream | None = None
        self._tail_at = 0
        self._tail_is_zero = True
        self.document: DocumentStream | None = None
        self._checks: FragmentChecks | None = None
        self._tables: dict[int, OffsetTable] = {}

    @property
    def data_length(self) -> int:
        """Bytes of the data set without what follows its last element (inflated where it was deflated)."""
        return self._base if self._tail is None else self._tail_at

    def finish(self) -> Scan:
        if (
            self._may_disarm
            and self._tail is None
            and self._pending
            and self._pixels is not None
            and not self._stack
            and not self._skip
        ):
            rest = bytes(self._pending)
            self._pending.clear()
            self._cut(rest)
            self._base += len(rest)
        scan = super().finish()
        self._close_receiver()
        for note in scan.notes:
            self._findings.add(BY_CODE[note])
        if self._tail is None:
            return scan
        self._tail.finish()
        what = "zeros" if self._tail_is_zero else ""
        self._findings.add(Reason.TRAILING, self._tail_at, detail=f"{self._base - self._tail_at} bytes {what}".strip())
        return scan if scan.pixel_data is not None else replace(scan, header_length=self._tail_at)

    # What is read of the bytes.

    def _take(self, view: memoryview, size: int) -> None:
        if self._inflated is not None:
            self._inflated(view)
        super()._take(view, size)

    def _consume(self, buf: bytes) -> None:
        if self._tail is not None:
            self._follow(buf)
            return
        if not buf:
            super()._consume(buf)
            return
        # What begins here may be pixels, which look like anything.
        cut = buf.find(self._pixel_bytes)
        self._screened = len(buf) if cut < 0 else cut
        self._look = self._document_bytes in buf or suspicious(
            buf if cut < 0 else buf[:cut], explicit=self._frame.explicit
        )
        self._screened_to = 0 if self._look else self._base + self._screened
        super()._consume(buf)

    def _plain(self, buf: bytes, pos: int) -> int:
        after = super()._plain(buf, pos)
        if after > pos and (self._thorough or self._look or after > min(self._screened, len(buf))):
            self._read_run(buf, pos, after)
        return after

    def _read_run(self, buf: bytes, pos: int, after: int) -> None:
        for tag, vr, head, stop in self._run(buf, pos, after):
            if stop > len(buf) or tag == ENCAPSULATED_DOCUMENT:  # whatever VR it says that it has
                self._receive(self._stream_of(tag, vr, stop - head, self._base + head))
                self._on_stream(memoryview(buf)[head:stop])
                self._streaming = stop > len(buf)
            else:
                if self._thorough:
                    self._note_departures(tag, vr, buf[head:stop], self._base + head)
                if (self._look or stop > self._screened) and stop - head >= _SHORTEST:
                    self._examine(tag, vr, buf[head:stop], self._base + head)

    def _run(self, buf: bytes, pos: int, after: int) -> Iterator[tuple[int, str, int, int]]:
        """Tag, VR, and where the value begins and ends, of each element of a run that `_plain` has passed over."""
        frame = self._frame
        while pos < after:
            if frame.explicit:
                group, element, code, length = frame.codec.explicit.unpack_from(buf, pos)
                tag = group << 16 | element
                vr = SHORT_VRS[code]
            else:
                group, element, length = frame.codec.implicit.unpack_from(buf, pos)
                tag = group << 16 | element
                vr = vr_of(tag)
            yield tag, vr, pos + 8, pos + 8 + length
            pos += 8 + length

    def _examine(self, tag: int, vr: str, value: bytes, offset: int) -> None:
        """One value that is there as a whole."""
        if vr not in TEXT_VRS or vr == "UI" or suspicious(value, explicit=False):
            path, private = self._place(tag), self._is_removable(tag)
            examine(self._findings, value, vr, offset, path, private=private, is_code=tag in _CODES)

    def _note_departures(self, tag: int, vr: str, value: bytes, offset: int) -> None:
        for reason in departures(tag, vr, value):
            self._findings.add(reason, offset, self._place(tag))
        if tag & 0x10000 and not self._stack:
            block = tag >> 8 & 0xFF
            if not block and tag & 0xFF >= 0x10:
                self._creators.add(tag >> 16 << 8 | tag & 0xFF)
            elif block and tag >> 16 << 8 | block not in self._creators:
                self._findings.add(Reason.NO_CREATOR, offset, self._place(tag))

    # Values that stream past.

    def _choose(self, tag: int, length: int) -> Handling:
        handling = super()._choose(tag, length)
        if handling is Handling.KEEP or length < _SHORTEST:
            return handling
        return Handling.STREAM

    def _on_value(self, element: Element) -> None:
        super()._on_value(element)
        if self._thorough:
            self._note_departures(*element)
        if len(element.value) >= _SHORTEST:
            self._examine(*element)

    def _on_bulk(self, bulk: Bulk) -> None:
        super()._on_bulk(bulk)
        if self._syntax.deflated and bulk.offset + bulk.length > self._limits.inflated_bytes:
            # Nothing is inflated to find out what its own length says.
            raise DataSetError("The data set inflates to more than the limit.", bulk.offset)
        is_screened = bulk.length < _WORTH_A_LOOK and bulk.offset + bulk.length <= self._screened_to
        if bulk.length < _SHORTEST or (is_screened and not self._is_special(bulk.tag)):
            self._receive(None)
        elif bulk.tag in PIXEL_TAGS:
            self._receive(self._pixel_stream(bulk))
        else:
            self._receive(self._stream_of(bulk.tag, bulk.vr, bulk.length, bulk.offset))

    def _is_special(self, tag: int) -> bool:
        """Whether more is asked of a value than that nothing hides in it."""
        return tag in PIXEL_TAGS or tag in _SPECIAL or is_overlay(tag)

    def _stream_of(self, tag: int, vr: str, length: int, offset: int) -> Receiver:
        path = self._place(tag)
        if tag == ENCAPSULATED_DOCUMENT and not self._stack:
            if self.document is not None:
                raise DataSetError("(0042,0011) occurs twice (PS3.5 7.1).", offset)
            self.document = DocumentStream(self._findings, offset, path)
            return self.document
        if tag in _OFFSET_TABLES and not self._stack:
            table = self._tables[tag] = OffsetTable(length, self._limits.fragments)
            return table
        if vr in TEXT_VRS:
            return TextStream(self._findings, offset, path, vr)
        if is_overlay(tag):
            expected = overlay_length(self._elements, tag, self._syntax.little_endian)
            self._compare_lengths(expected, length, offset, path)
        make = UnknownStream if vr == "UN" else OpaqueStream
        return make(self._findings, offset, path, private=self._is_removable(tag))

    def _pixel_stream(self, bulk: Bulk) -> Receiver | None:
        image = image_of(self._describing(len(self._stack)), self._syntax.little_endian)
        path = self._place(bulk.tag)
        expected = image.length if image else None
        self._compare_lengths(expected, bulk.length, bulk.offset, path)
        if image is not None and image.excess:
            self._findings.add(Reason.FRAME_BOUND, bulk.offset, path, detail=image.excess)

        def head(data: bytes) -> None:
            for payload in find_payloads(data, start=True) if may_begin(data) else ():
                if payload.at == 0 or (payload.name == "PE" and data.startswith(b"MZ")):
                    report_payload(self._findings, payload, data, bulk.offset, path, private=False)

        def tail() -> Receiver:
            return OpaqueStream(self._findings, bulk.offset + (expected or 0), path, private=False)

        # Where nothing says that these are pixels, they are bytes like any others.
        return Window(expected or 0, head, tail)

    def _describing(self, depth: int) -> Mapping[int, Element]:
        """What is known of the data set or item, `depth` containers deep, that pixel data lies in."""
        if not depth:
            return self._elements
        return self._sink if depth == 2 and self._collected is not None else {}

    def _compare_lengths(self, expected: int | None, actual: int, offset: int, path: str) -> None:
        if expected is None or expected <= actual <= expected + (expected & 1):
            return
        reason = Reason.PIXELS_SHORT if actual < expected else Reason.PIXELS_LONG
        self._findings.add(reason, offset, path, detail=f"{actual} bytes of {expected}")

    def _on_stream(self, part: memoryview) -> None:
        if self._receiver is not None:
            self._receiver.feed(part)

    def _receive(self, receiver: Receiver | None) -> None:
        self._close_receiver()
        self._receiver = receiver

    def _close_receiver(self) -> None:
        if self._receiver is not None:
            self._receiver.finish()
            self._receiver = None

    # Fragments.

    def _on_fragments(self, bulk: Bulk) -> None:
        super()._on_fragments(bulk)
        self._path.append([bulk.tag, 0])
        image = image_of(self._describing(len(self._stack) - 1), self._syntax.little_endian)
        is_image = len(self._stack) == 1
        tables = (self._tables.get(tag) if is_image else None for tag in _OFFSET_TABLES)
        self._checks = FragmentChecks(self._syntax.uid, self._findings, image, self._place(bulk.tag, -1), *tables)

    def _choose_fragment(self, first: bool) -> Handling:
        handling = super()._choose_fragment(first) if first else Handling.STREAM
        return Handling.STREAM if handling is Handling.SKIP else handling

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:
        if self._keep_fragments or table is not None:
            super()._on_fragment(offset, length, table)
        if self._checks is None:
            return
        if self._frame.fragments > 1:
            self._receive(self._checks.fragment(offset, length))
        else:
            # An icon's offset table is not kept, and may be anything.
            self._receive(self._checks.unread_table(offset) if table is None else None)
            self._checks.begin(offset + length, table)

    def _end_fragments(self) -> None:
        if self._checks is not None:
            self._close_receiver()
            self._checks.finish()
            self._checks = None

    # Where it is.

    def _on_sequence(self, tag: int) -> None:
        super()._on_sequence(tag)
        if tag == DIGITAL_SIGNATURES_SEQUENCE:
            self._findings.add(Reason.SIGNATURE, self._base, self._place(tag))
        self._path.append([tag, 0])

    def _on_item(self) -> None:
        super()._on_item()
        self._frame.highest = self._lowest
        self._path[-1][1] += 1

    def _on_end(self) -> None:
        super()._on_end()
        self._end_fragments()
        if not self._frame_is_sequence():
            self._path.pop()

    def _frame_is_sequence(self) -> bool:
        return self._frame.mode is Mode.ITEMS

    def _is_removable(self, tag: int) -> bool:
        """A private element within an item cannot be cut out without rewriting the lengths around it."""
        return self._may_remove and bool(tag & 0x10000) and not self._stack

    def _place(self, tag: int, last: int | None = None) -> str:
        held = self._path[:last]
        return "".join(f"{tag_text(each)}[{item}]" for each, item in held) + tag_text(tag)

    # What follows the data set.

    def _element(self, buf: bytes, pos: int) -> int:
        if not self._stack and len(buf) - pos >= _ITEM_HEADER and self._is_no_element(buf, pos):
            self._tail_at = self._base + pos
            self._cut(buf[pos:])
            return len(buf)
        return super()._element(buf, pos)

    def _is_no_element(self, buf: bytes, pos: int) -> bool:
        """Whether what stands here, after a data set that could be whole, cannot be another element of it."""
        if SOP_INSTANCE_UID not in self._elements:
            return False
        group, element, code, _ = self._frame.codec.explicit.unpack_from(buf, pos)
        tag = group << 16 | element
        known = tag in VALUE_REPRESENTATIONS and group > 2
        if self._frame.explicit:
            if code in SHORT_VRS or code in LONG_VRS or code in NOT_A_VR or (code.isalpha() and code.isupper()):
                return False
            return self._pixels is not None or not known
        return self._pixels is not None and tag <= self._frame.highest and not known

    def _cut(self, rest: bytes) -> None:
        if not self._may_disarm:
            raise DataSetError("Bytes follow the last element of the data set.", self._tail_at)
        self._tail_at = self._tail_at or self._base
        self._tail = OpaqueStream(self._findings, self._tail_at, "after the data set", private=False)
        self._hold(rest)

    def _follow(self, rest: bytes) -> None:
        self._base += len(rest)
        self._hold(rest)

    def _hold(self, rest: bytes) -> None:
        if self._tail is not None:
            self._tail.feed(memoryview(rest))
        self._tail_is_zero = self._tail_is_zero and not rest.strip(b"\0")
