"""Any native or deflated data set in Explicit VR Little Endian (PS3.5 A.2), as a stream.

The web never carries Implicit VR or big endian (PS3.18 8.7.3). Sequences and items come out with undefined length,
since theirs is known only at their end; group lengths (retired, PS3.5 7.2) are dropped. Values stay as they are, but
for the order of their bytes. What is held is one value of at most `DataSetLimits.inline_value` bytes and what one
chunk of input became.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final

from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import SIGNED_AS_PIXELS
from leadglass.dicom.encoding import BIG, LITTLE, LONG_VRS, UNDEFINED, WORD_SIZES, swapped
from leadglass.dicom.tags import BITS_ALLOCATED, PIXEL_DATA, PIXEL_REPRESENTATION
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS, ElementWalker
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

_ITEM_HEADER: Final = Struct("<HHI")
_ITEM: Final = _ITEM_HEADER.pack(0xFFFE, 0xE000, UNDEFINED)
_END_OF_ITEM: Final = _ITEM_HEADER.pack(0xFFFE, 0xE00D, 0)
_END_OF_SEQUENCE: Final = _ITEM_HEADER.pack(0xFFFE, 0xE0DD, 0)
#: What ends encapsulated pixel data, PS3.5 A.4.
END_OF_FRAGMENTS: Final = _END_OF_SEQUENCE
#: Fed at a time. A deflated byte may become a thousand (`DataSetLimits.inflate_ratio`).
_STEP: Final = 1024 * 1024
_DEFLATED_STEP: Final = 1024


def explicit_little_endian(
    chunks: Iterable[bytes | bytearray], syntax: TransferSyntax, limits: DataSetLimits
) -> Iterator[bytes]:
    """The data set that `chunks` make up, which `syntax` says is not encapsulated. Raises DataSetError."""
    if syntax.encapsulated:
        raise DataSetError("Encapsulated pixel data has to be decoded first.")
    return explicit_elements(chunks, syntax, limits)


def explicit_elements(
    chunks: Iterable[bytes | bytearray],
    syntax: TransferSyntax,
    limits: DataSetLimits,
    changes: Mapping[int, bytes] = MappingProxyType({}),
    dropped: Collection[int] = (),
) -> Iterator[bytes]:
    """The same for whole elements of any data set, with other values (already encoded) for some at the top level and
    without the `dropped` ones. Pixels of icons that are encapsulated stay so."""
    encoder = _Encoder(syntax, limits, changes, dropped)
    step = _DEFLATED_STEP if syntax.deflated else _STEP
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), step):
            encoder.feed(view[start : start + step])
            if encoded := encoder.take():
                yield encoded
    encoder.finish()
    if encoded := encoder.take():
        yield encoded


def pixel_word(vr: str, bits_allocated: int) -> int:
    """Bytes of a word of top-level big endian pixel data. Cells of 32 bits are swapped whole, as writers do."""
    return max(WORD_SIZES.get(vr, 1), bits_allocated // 8) if vr == "OW" else WORD_SIZES.get(vr, 1)


def element_header(tag: int, vr: str, length: int) -> bytes:
    """What goes before a value, PS3.5 7.1.2."""
    code = vr.encode("ascii")
    if code not in LONG_VRS and length > 0xFFFF:
        code = b"UN"  # PS3.5 6.2.2: too long for the VR's 16 bits of length
    if code in LONG_VRS:
        return LITTLE.explicit.pack(tag >> 16, tag & 0xFFFF, code, 0) + LITTLE.length.pack(length)
    return LITTLE.explicit.pack(tag >> 16, tag & 0xFFFF, code, length)


def fragment_header(length: int) -> bytes:
    """What goes before a fragment, PS3.5 A.4."""
    return _ITEM_HEADER.pack(0xFFFE, 0xE000, length)


class _Encoder(ElementWalker):
    def __init__(
        self, syntax: TransferSyntax, limits: DataSetLimits, changes: Mapping[int, bytes], dropped: Collection[int]
    ) -> None:
        super().__init__(syntax, limits)
        self._changes = changes
        self._dropped = dropped
        self._out: list[bytes] = []
        self._ends: list[bytes] = []
        self._signed = False
        self._bits_allocated = 0
        self._word = 1
        self._carry = b""

    def take(self) -> bytes:
        """What has been encoded since the last time."""
        taken = b"".join(self._out)
        self._out.clear()
        return taken

    def finish(self) -> None:
        """Raises DataSetError when the data set is not complete."""
        self._finish()
        self._flush()

    def _choose(self, tag: int, length: int) -> Handling:
        if not tag & 0xFFFF or (tag in self._dropped and not self._stack):
            return Handling.SKIP
        if length > self._limits.inline_value or (tag in PIXEL_TAGS and not self._stack):
            return Handling.STREAM
        return Handling.KEEP

    def _on_value(self, element: Element) -> None:
        tag = element.tag
        value = swapped(element.value, self._word_of(tag, element.vr))
        if tag == PIXEL_REPRESENTATION:
            self._signed = value[:1] == b"\1"
        elif tag == BITS_ALLOCATED and not self._stack:
            self._bits_allocated = int.from_bytes(value[:2], "little")
        if not self._stack:
            value = self._changes.get(tag, value)
        self._put_header(tag, element.vr, len(value))
        self._out.append(value)

    def _on_bulk(self, bulk: Bulk) -> None:
        if self._choose(bulk.tag, bulk.length) is Handling.SKIP:
            return
        self._put_header(bulk.tag, bulk.vr, bulk.length)
        self._word = self._word_of(bulk.tag, bulk.vr)

    def _on_stream(self, part: memoryview) -> None:
        if self._word == 1:
            self._out.append(bytes(part))
            return
        whole = self._carry + part
        cut = len(whole) - len(whole) % self._word
        self._out.append(swapped(whole[:cut], self._word))
        self._carry = whole[cut:]

    def _on_sequence(self, tag: int) -> None:
        self._put_header(tag, "SQ", UNDEFINED)
        self._ends.append(_END_OF_SEQUENCE)

    def _on_item(self) -> None:
        self._flush()
        self._out.append(_ITEM)
        self._ends.append(_END_OF_ITEM)

    def _on_end(self) -> None:
        self._flush()
        self._out.append(self._ends.pop())

    def _on_fragments(self, bulk: Bulk) -> None:
        self._put_header(bulk.tag, bulk.vr, UNDEFINED)
        self._ends.append(_END_OF_SEQUENCE)

    def _choose_fragment(self, first: bool) -> Handling:  # noqa: ARG002 - the base class asks
        return Handling.STREAM

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:  # noqa: ARG002
        self._word = 1
        self._out.append(fragment_header(length))

    def _put_header(self, tag: int, vr: str, length: int) -> None:
        self._flush()
        if self._signed and vr == "US" and not self._frame.explicit and tag in SIGNED_AS_PIXELS:
            vr = "SS"
        self._out.append(element_header(tag, vr, length))

    def _flush(self) -> None:
        """The rest of a streamed value that is no whole word."""
        if self._carry:
            self._out.append(self._carry)
            self._carry = b""

    def _word_of(self, tag: int, vr: str) -> int:
        # By the order of the container: inside a UN of undefined length it is little endian (PS3.5 6.2.2).
        if self._frame.codec is not BIG:
            return 1
        if tag == PIXEL_DATA and not self._stack:
            return pixel_word(vr, self._bits_allocated)
        return WORD_SIZES.get(vr, 1)
