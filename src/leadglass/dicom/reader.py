"""The reader of stored data sets: keeps the elements that the caller wants, and where the pixels lie.

scanner = DataSetScanner(syntax, limits, wanted=TAGS)
for chunk in chunks: scanner.feed(chunk)
scan = scanner.finish()
"""

from array import array
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import SEQUENCES, VALUE_REPRESENTATIONS
from leadglass.dicom.encoding import LITTLE, SHORT_VRS
from leadglass.dicom.tags import PIXEL_DATA
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS, ElementWalker
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

__all__ = ["DataSetScanner", "Element", "PixelData", "Scan"]

#: What one kept element or item costs in memory besides its value, in bytes.
_OVERHEAD: Final = 256
_NOTHING: Final[frozenset[int]] = frozenset()
_EVERYTHING: Final = range(1 << 32)
#: UL is read by the careful path: a group length may be one.
_PLAIN_VRS: Final = {code: vr for code, vr in SHORT_VRS.items() if vr != "UL"}
#: Read by the careful path in Implicit VR; group FFFE holds items and delimiters.
NOT_PLAIN: Final = SEQUENCES | {0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD}


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixels lie, in bytes from the start of the data set (inflated where it was deflated).

    Native: `offset` and `length` of the value. Encapsulated (PS3.5 A.4): `length` is None, `offset` that of the basic
    offset table's item, `fragments` the (offset, length) of each fragment's bytes and `offset_table` the table's bytes.
    """

    tag: int
    offset: int
    length: int | None
    fragments: tuple[tuple[int, int], ...] = ()
    offset_table: bytes = b""


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found. `header_length`: bytes before the pixel data element, or all when there is none (inflated where
    it was deflated). `length`: bytes fed. `count`: elements, nested ones too. `notes`: departures that were tolerated.
    """

    elements: Mapping[int, Element]
    sequences: Mapping[int, tuple[Mapping[int, Element], ...]]
    pixel_data: PixelData | None
    header_length: int
    length: int
    count: int
    little_endian: bool
    notes: tuple[str, ...]


class DataSetScanner(ElementWalker):
    """Reads one data set as it arrives. Raises DataSetError for what PS3.5 does not allow or is beyond `limits`.

    `wanted`: top-level elements to keep. `wanted_sequences`: top-level sequences of whose items all elements of the
    first level are kept. Values longer than `limits.inline_value` are not kept (note "long-value"); a wanted element
    that occurs twice with different values is an error, since readers differ in which one they believe.
    """

    #: Read by the careful path in Implicit VR, where no VR tells.
    _not_plain: Container[int] = NOT_PLAIN

    def __init__(
        self,
        syntax: TransferSyntax,
        limits: DataSetLimits,
        *,
        wanted: Container[int],
        wanted_sequences: Container[int] = (),
    ) -> None:
        super().__init__(syntax, limits)
        self._wanted = wanted
        self._wanted_sequences = wanted_sequences
        self._elements: dict[int, Element] = {}
        self._sequences: dict[int, list[dict[int, Element]]] = {}
        self._collected: list[dict[int, Element]] | None = None
        self._keep: Container[int] = wanted
        self._sink = self._elements
        self._pixels: tuple[int, int, int | None] | None = None
        self._header_length = 0
        self._fragments = array("Q")
        self._offset_table = b""

    @property
    def elements(self) -> Mapping[int, Element]:
        """What has been kept so far of the top level."""
        return self._elements

    def finish(self) -> Scan:
        """Raises DataSetError when the data set is not complete at this point."""
        length = self._finish()
        pixels = None
        if self._pixels is not None:
            spans = iter(self._fragments)
            pixels = PixelData(*self._pixels, tuple(zip(spans, spans, strict=True)), self._offset_table)
        return Scan(
            self._elements,
            {tag: tuple(items) for tag, items in self._sequences.items()},
            pixels,
            length if pixels is None else self._header_length,
            self._fed,
            self._count,
            self._syntax.little_endian,
            tuple(self._notes),
        )

    def _plain(self, buf: bytes, pos: int) -> int:
        return self._plain_explicit(buf, pos) if self._frame.explicit else self._plain_implicit(buf, pos)

    def _plain_explicit(self, buf: bytes, pos: int) -> int:
        # The hot path of ingest: half a microsecond an element. Whatever is not plain is left to `_element`.
        frame, base, size = self._frame, self._base, len(buf)
        end, highest, ceiling, inline = frame.end - base, frame.highest, frame.ceiling, self._limits.inline_value
        keep, sink, unpack, plain = self._keep, self._sink, frame.codec.explicit.unpack_from, _PLAIN_VRS
        count = held = 0
        while (head := pos + 8) <= size:
            group, element, code, length = unpack(buf, pos)
            tag = group << 16 | element
            stop = head + length
            if code not in plain or not highest < tag < ceiling or length & 1 or stop > end:
                break
            if tag in keep:
                if stop > size or length > inline:
                    break
                sink[tag] = Element(tag, plain[code], buf[head:stop], base + head)
                held += length + _OVERHEAD
            highest = tag
            pos = stop
            count += 1
        frame.highest = highest
        self._count += count
        self._held += held
        return pos

    def _plain_implicit(self, buf: bytes, pos: int) -> int:
        frame, base, size = self._frame, self._base, len(buf)
        end, highest, ceiling, inline = frame.end - base, frame.highest, frame.ceiling, self._limits.inline_value
        keep, sink, unpack, special = self._keep, self._sink, LITTLE.implicit.unpack_from, self._not_plain
        vrs = VALUE_REPRESENTATIONS
        count = held = 0
        while (head := pos + 8) <= size:
            group, element, length = unpack(buf, pos)
            tag = group << 16 | element
            stop = head + length
            if not highest < tag < ceiling or length & 1 or not element or tag in special or stop > end:
                break
            if tag in keep:
                if stop > size or length > inline or tag not in vrs:
                    break
                sink[tag] = Element(tag, vrs[tag], buf[head:stop], base + head)
                held += length + _OVERHEAD
            highest = tag
            pos = stop
            count += 1
        frame.highest = highest
        self._count += count
        self._held += held
        return pos

    def _choose(self, tag: int, length: int) -> Handling:
        if tag not in self._keep or tag in PIXEL_TAGS:
            return Handling.SKIP
        if length > self._limits.inline_value:
            self._notes["long-value"] = None
            return Handling.SKIP
        return Handling.KEEP

    def _on_value(self, element: Element) -> None:
        tag = element.tag
        earlier = self._sink.get(tag)
        if earlier is not None:
            if earlier.value == element.value:
                self._notes["element-repeated"] = None
                return
            raise DataSetError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) occurs twice (PS3.5 7.1).", element.offset)
        self._sink[tag] = element
        self._held += len(element.value) + _OVERHEAD

    def _on_bulk(self, bulk: Bulk) -> None:
        if bulk.tag in PIXEL_TAGS and not self._stack:
            if self._syntax.encapsulated and bulk.tag == PIXEL_DATA:
                self._notes["native-pixels"] = None
            # The header before the value is 12 bytes in Explicit VR with a 32-bit length, else 8 (PS3.5 7.1).
            long_form = self._frame.explicit and bulk.vr not in SHORT_VRS.values()
            self._found_pixels(bulk, bulk.length, bulk.offset - (12 if long_form else 8))

    def _on_fragments(self, bulk: Bulk) -> None:
        if len(self._stack) == 1:
            self._found_pixels(bulk, None, bulk.offset - 12)

    def _found_pixels(self, bulk: Bulk, length: int | None, start: int) -> None:
        if self._pixels is not None:
            raise DataSetError("The data set has pixel data twice (PS3.3 C.7.6.3).", start)
        self._pixels = bulk.tag, bulk.offset, length
        self._header_length = start

    def _choose_fragment(self, first: bool) -> Handling:
        return Handling.KEEP if first and len(self._stack) == 1 else Handling.SKIP

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:
        if table is not None:
            self._offset_table = table
            self._held += len(table)
        elif len(self._stack) == 1 and self._frame.fragments > 1:
            self._fragments.append(offset)
            self._fragments.append(length)

    def _on_sequence(self, tag: int) -> None:
        if len(self._stack) == 1:
            self._collected = None
            if tag in self._wanted_sequences:
                if tag in self._sequences:
                    raise DataSetError(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) occurs twice (PS3.5 7.1).", self._base)
                self._collected = self._sequences[tag] = []
        self._keep = _NOTHING

    def _on_item(self) -> None:
        if len(self._stack) == 2 and self._collected is not None:
            self._collected.append({})
            self._held += _OVERHEAD
        self._aim()

    def _on_end(self) -> None:
        self._aim()

    def _aim(self) -> None:
        """Points what is kept, and where, at the container that is now being read."""
        if not self._stack:
            self._keep, self._sink = self._wanted, self._elements
        elif len(self._stack) == 2 and self._collected is not None:
            self._keep, self._sink = _EVERYTHING, self._collected[-1]
        else:
            self._keep = _NOTHING
