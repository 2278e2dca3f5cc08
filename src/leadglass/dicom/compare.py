"""Whether two data sets say the same, although they may be encoded differently.

Implicit VR, Explicit VR, big endian and deflated forms of one data set have one digest. What is left out: lengths of
sequences and items, group lengths, trailing padding (0008,0005 is not), and the padding of text. VRs are left out too,
since Implicit VR has none.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import vr_of
from leadglass.dicom.encoding import TEXT_VRS, WORD_SIZES, swapped
from leadglass.dicom.tags import DATA_SET_TRAILING_PADDING
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS, ElementWalker
from leadglass.model import DataSetLimits


@dataclass(frozen=True, slots=True)
class ContentDigest:
    """SHA-256 of the elements without the top-level pixel data, and of the pixels alone.

    `pixels` of an encapsulated data set is that of its fragments' bytes end to end, without the basic offset table.
    """

    elements: bytes
    pixels: bytes
    encapsulated: bool


def content_digest(chunks: Iterable[bytes | bytearray], syntax: TransferSyntax, limits: DataSetLimits) -> ContentDigest:
    """The digest of the data set that `chunks` make up. Raises DataSetError as `DataSetScanner` does."""
    digester = Digester(syntax, limits)
    for chunk in chunks:
        digester.feed(chunk)
    return digester.finish()


class Digester(ElementWalker):
    """Two running digests, one of the elements and one of the pixels."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        super().__init__(syntax, limits)
        self._elements_hash = hashlib.sha256()
        self._pixels_hash = hashlib.sha256()
        self._target = self._elements_hash
        self._encapsulated = False
        self._word = 1
        self._carry = b""

    def finish(self) -> ContentDigest:
        self._finish()
        return ContentDigest(self._elements_hash.digest(), self._pixels_hash.digest(), self._encapsulated)

    def _choose(self, tag: int, length: int) -> Handling:
        if not tag & 0xFFFF or tag == DATA_SET_TRAILING_PADDING:
            return Handling.SKIP
        if length > self._limits.inline_value or (tag in PIXEL_TAGS and not self._stack):
            return Handling.STREAM
        return Handling.KEEP

    def _on_value(self, element: Element) -> None:
        value = swapped(element.value, self._word_of(element.vr))
        if (vr_of(element.tag) if element.vr == "UN" else element.vr) in TEXT_VRS:
            value = value.rstrip(b" \0")
        self._begin(b"V", element.tag, len(value))
        self._elements_hash.update(value)

    def _on_bulk(self, bulk: Bulk) -> None:
        tag = bulk.tag
        if self._choose(tag, bulk.length) is Handling.SKIP:
            return
        self._word, self._carry = self._word_of(bulk.vr), b""
        if tag in PIXEL_TAGS and not self._stack:
            self._target = self._pixels_hash
            self._pixels_hash.update(tag.to_bytes(4, "big"))
        else:
            self._target = self._elements_hash
            self._begin(b"V", tag, bulk.length)

    def _on_stream(self, part: memoryview) -> None:
        if self._word == 1:
            self._target.update(part)
            return
        whole = self._carry + part
        cut = len(whole) - len(whole) % self._word
        self._target.update(swapped(whole[:cut], self._word))
        self._carry = whole[cut:]

    def _on_sequence(self, tag: int) -> None:
        self._begin(b"S", tag, 0)

    def _on_item(self) -> None:
        self._begin(b"I", 0, 0)

    def _on_end(self) -> None:
        self._begin(b"E", 0, 0)

    def _on_fragments(self, bulk: Bulk) -> None:
        self._word = 1
        if len(self._stack) == 1:
            self._encapsulated = True
            self._target = self._pixels_hash
            self._pixels_hash.update(bulk.tag.to_bytes(4, "big"))
        else:
            self._target = self._elements_hash
            self._begin(b"F", bulk.tag, 0)

    def _choose_fragment(self, first: bool) -> Handling:
        return Handling.SKIP if first else Handling.STREAM

    def _begin(self, kind: bytes, tag: int, length: int) -> None:
        self._elements_hash.update(kind + tag.to_bytes(4, "big") + length.to_bytes(8, "big"))

    def _word_of(self, vr: str) -> int:
        return 1 if self._syntax.little_endian else WORD_SIZES.get(vr, 1)
