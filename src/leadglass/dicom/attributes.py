"""Data sets as text, tag by tag: what is asked, answered and shown. Not for what is stored, which stays bytes."""

import struct
import zlib
from collections.abc import Mapping
from struct import Struct

from leadglass.dicom.charset import decode_text, defined_terms, encode_text, parse_charsets
from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import keyword_of, vr_of
from leadglass.dicom.encoding import BIG, LITTLE, LONG_VRS, NUMBER_CODES, TEXT_VRS, UNDEFINED, Codec
from leadglass.dicom.tags import SPECIFIC_CHARACTER_SET
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import ElementWalker
from leadglass.errors import DataSetError
from leadglass.model import Attributes, DataSetLimits

_Tree = dict[int, "Element | list[_Tree]"]


def decode_elements(
    elements: Mapping[int, Element], little_endian: bool, charsets: tuple[str, ...] | None = None
) -> dict[int, str]:
    """The text of each element: numbers in decimal, AT as eight hexadecimal digits, several values joined by a
    backslash. Elements without a text form (OB, OW, private UN …) are left out. `charsets`: from (0008,0005) if None.
    """
    if charsets is None:
        charsets = _charsets_of(elements, ())
    texts = ((tag, _text_of(element, little_endian, charsets)) for tag, element in elements.items())
    return {tag: text for tag, text in texts if text is not None}


def _charsets_of(elements: Mapping[int, "Element | list[_Tree]"], inherited: tuple[str, ...]) -> tuple[str, ...]:
    element = elements.get(SPECIFIC_CHARACTER_SET)
    return parse_charsets(element.value.decode("ascii", "replace")) if isinstance(element, Element) else inherited


def _text_of(element: Element, little_endian: bool, charsets: tuple[str, ...]) -> str | None:
    vr = element.vr
    if vr == "UN":  # PS3.5 6.2.2: a known element under an unknown VR keeps its own meaning, in little endian
        vr, little_endian = vr_of(element.tag), True
    if vr in TEXT_VRS:
        return decode_text(element.value, charsets, vr)
    order = "<" if little_endian else ">"
    if vr == "AT":
        values = Struct(f"{order}{len(element.value) // 4 * 2}H").unpack_from(element.value)
        return "\\".join(f"{group:04X}{number:04X}" for group, number in zip(values[::2], values[1::2], strict=True))
    if vr in NUMBER_CODES:
        one = Struct(order + NUMBER_CODES[vr])
        whole = len(element.value) // one.size * one.size
        return "\\".join(
            f"{value:.9g}" if vr == "FL" else str(value) for (value,) in one.iter_unpack(element.value[:whole])
        )
    return None


class _TreeBuilder(ElementWalker):
    """Keeps a whole small data set."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        super().__init__(syntax, limits)
        self.root: _Tree = {}
        self._path: list[_Tree | list[_Tree]] = [self.root]

    def finish(self) -> None:
        self._finish()

    def _choose(self, tag: int, length: int) -> Handling:
        if length > self._limits.inline_value:
            raise DataSetError(f"The value of {keyword_of(tag)} is longer than the limit.", self._base)
        return Handling.KEEP

    def _on_value(self, element: Element) -> None:
        self._held += len(element.value) + 256
        self._put(element.tag, element)

    def _on_sequence(self, tag: int) -> None:
        items: list[_Tree] = []
        self._put(tag, items)
        self._path.append(items)

    def _on_item(self) -> None:
        items = self._path[-1]
        item: _Tree = {}
        self._held += 256
        if isinstance(items, list):
            items.append(item)
        self._path.append(item)

    def _on_end(self) -> None:
        self._path.pop()

    def _on_fragments(self, bulk: Bulk) -> None:
        raise DataSetError(f"A data set of attributes holds {keyword_of(bulk.tag)}.", bulk.offset)

    def _put(self, tag: int, value: "Element | list[_Tree]") -> None:
        item = self._path[-1]
        if isinstance(item, dict):
            if tag in item:
                raise DataSetError(f"{keyword_of(tag)} occurs twice (PS3.5 7.1).", self._base)
            item[tag] = value


def decode_attributes(data: bytes, syntax: TransferSyntax, limits: DataSetLimits) -> Attributes:
    """A whole data set, such as the identifier of a query. Group lengths are left out, and what has no text form.

    Raises DataSetError for what PS3.5 does not allow, an element that occurs twice, or values beyond `limits`.
    """
    builder = _TreeBuilder(syntax, limits)
    builder.feed(data)
    builder.finish()
    return _attributes(builder.root, syntax.little_endian, ())


def _attributes(tree: _Tree, little_endian: bool, inherited: tuple[str, ...]) -> Attributes:
    # Recursion as deep as `DataSetLimits.depth` at most: the walker has refused what is deeper.
    charsets = _charsets_of(tree, inherited)
    attributes: dict[int, str | tuple[Attributes, ...]] = {}
    for tag, value in tree.items():
        if isinstance(value, list):
            attributes[tag] = tuple(_attributes(item, little_endian, charsets) for item in value)
        elif tag & 0xFFFF:
            text = _text_of(value, little_endian, charsets)
            if text is not None:
                attributes[tag] = text
    return attributes


def encode_attributes(attributes: Attributes, syntax: TransferSyntax, charsets: tuple[str, ...]) -> bytes:
    """The data set of `attributes`, ascending, each value padded to even length (PS3.5 6.2), sequences with lengths.

    (0008,0005) is set from `charsets`, or left out when they are empty. Raises DataSetError for a text that its VR or
    `charsets` cannot hold, and for VRs without a text form.
    """
    stated = {tag: value for tag, value in attributes.items() if tag != SPECIFIC_CHARACTER_SET}
    if charsets:
        stated[SPECIFIC_CHARACTER_SET] = defined_terms(charsets)
    data = _encode_item(stated, syntax.explicit_vr, LITTLE if syntax.little_endian else BIG, charsets)
    if not syntax.deflated:
        return data
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(data) + deflater.flush()
    return deflated + b"\0" if len(deflated) & 1 else deflated


def _encode_item(attributes: Attributes, explicit: bool, codec: Codec, charsets: tuple[str, ...]) -> bytes:
    parts: list[bytes] = []
    for tag in sorted(attributes):
        value = attributes[tag]
        vr = vr_of(tag)
        if isinstance(value, str):
            body = _encode_value(tag, vr, value, codec, charsets)
        else:
            vr = "SQ"
            body = b"".join(_item(_encode_item(each, explicit, codec, charsets), codec) for each in value)
        parts.append(_header(tag, vr, len(body), explicit, codec))
        parts.append(body)
    return b"".join(parts)


def _item(body: bytes, codec: Codec) -> bytes:
    return codec.implicit.pack(0xFFFE, 0xE000, len(body)) + body


def _header(tag: int, vr: str, length: int, explicit: bool, codec: Codec) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    code = vr.encode("ascii")
    if length >= UNDEFINED:
        raise DataSetError(f"The value of {keyword_of(tag)} is too long.")
    if not explicit:
        return codec.implicit.pack(group, element, length)
    if code in LONG_VRS:
        return codec.explicit.pack(group, element, code, 0) + codec.length.pack(length)
    if length > 0xFFFF:  # PS3.5 6.2.2: UN has room for what is too long for its own VR's 16-bit length
        return codec.explicit.pack(group, element, b"UN", 0) + codec.length.pack(length)
    return codec.explicit.pack(group, element, code, length)


def _encode_value(tag: int, vr: str, text: str, codec: Codec, charsets: tuple[str, ...]) -> bytes:
    if vr in TEXT_VRS:
        value = encode_text(text, charsets, vr)
        return value + (b"\0" if vr == "UI" else b" ") if len(value) & 1 else value
    if not text:
        return b""
    order = "<" if codec is LITTLE else ">"
    try:
        if vr == "AT":
            halves = ((int(each, 16) >> 16, int(each, 16) & 0xFFFF) for each in text.split("\\"))
            return b"".join(Struct(order + "HH").pack(*each) for each in halves)
        if vr in NUMBER_CODES:
            number = float if vr in ("FL", "FD") else int
            return b"".join(Struct(order + NUMBER_CODES[vr]).pack(number(each)) for each in text.split("\\"))
    except (ValueError, struct.error, OverflowError):
        raise DataSetError(f"The value of {keyword_of(tag)} is not of its VR {vr}.") from None
    raise DataSetError(f"{keyword_of(tag)} has a VR without a text form.")
