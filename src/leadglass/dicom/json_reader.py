"""The DICOM JSON Model (PS3.18 Annex F) as a data set in Explicit VR Little Endian, for metadata that are stored.

parse_data_set(text) → document; encode_json(document) → bytes, and `BulkReference` where bulk data are to be put in
bulk_element(reference, value) → the bytes in its place
"""

import json
import re
import struct
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from struct import Struct
from typing import Any, Final, NamedTuple

from leadglass.dicom.charset import encode_text
from leadglass.dicom.dictionary import keyword_of
from leadglass.dicom.encoding import BINARY_VRS, LITTLE, LONG_VRS, NUMBER_CODES, SHORT_VRS, TEXT_VRS, UNDEFINED
from leadglass.dicom.tags import SPECIFIC_CHARACTER_SET
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

_UTF_8: Final = ("ISO_IR 192",)
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_VRS: Final = frozenset(SHORT_VRS.values()) | {code.decode() for code in LONG_VRS}
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_ITEM: Final = LITTLE.implicit.pack(0xFFFE, 0xE000, UNDEFINED)
_ITEM_END: Final = LITTLE.implicit.pack(0xFFFE, 0xE00D, 0)
_SEQUENCE_END: Final = LITTLE.implicit.pack(0xFFFE, 0xE0DD, 0)
#: PS3.5 Table 6.2-1: the longest decimal string.
_DECIMAL_STRING: Final = 16


class BulkValue(NamedTuple):
    """The bytes that a BulkDataURI stands for. `length` is their number, or `UNDEFINED` when `chunks` are the items of
    encapsulated pixel data with their sequence delimiter (PS3.5 A.4)."""

    length: int
    chunks: Iterable[bytes | bytearray | memoryview]


class BulkReference(NamedTuple):
    """An element whose value is elsewhere."""

    tag: int
    vr: str
    uri: str


#: A data set in pieces.
Piece = bytes | bytearray | BulkReference


def parse_data_set(text: bytes) -> Mapping[str, Any]:
    """One data set of a document (JsonSplitter). It takes up to thirty times the memory of its text. Raises
    DataSetError."""
    try:
        parsed = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise DataSetError("The metadata are not JSON (RFC 8259).") from None
    if not isinstance(parsed, dict):
        raise DataSetError("The metadata are not data sets in the DICOM JSON Model (PS3.18 F.2.1).")
    return parsed


def _no_number(text: str) -> float:
    raise ValueError(text)


def encode_json(data_set: Mapping[str, Any], limits: DataSetLimits) -> Iterator[Piece]:
    """One data set, ascending, piece by piece. Texts become UTF-8, which (0008,0005) then says; group lengths and File
    Meta Information (group 0002) are left out. Raises DataSetError.
    """
    yield from _Encoder(limits).data_set(data_set, 0)


def bulk_element(reference: BulkReference, value: BulkValue) -> Iterator[bytes | bytearray | memoryview]:
    """The element that a reference stands for, of even length. Raises DataSetError."""
    odd = value.length != UNDEFINED and value.length & 1
    yield _header(reference.tag, reference.vr, value.length + odd)
    yield from value.chunks
    if odd:
        yield b" " if reference.vr in TEXT_VRS and reference.vr != "UI" else b"\0"


class _Encoder:
    def __init__(self, limits: DataSetLimits) -> None:
        self._limits = limits
        self._count = 0

    # Recursion as deep as `DataSetLimits.depth` at most.
    def data_set(self, document: Any, depth: int) -> Iterator[Piece]:
        if not isinstance(document, dict) or depth > self._limits.depth:
            raise DataSetError("An item in the metadata is no data set, or nested deeper than the limit.")
        attributes = {_tag(name): attribute for name, attribute in document.items()}
        if len(attributes) != len(document):
            raise DataSetError("A tag in the metadata occurs twice (PS3.5 7.1).")
        if depth == 0 and SPECIFIC_CHARACTER_SET not in attributes:
            attributes[SPECIFIC_CHARACTER_SET] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        self._count += len(attributes)
        if self._count > self._limits.elements:
            raise DataSetError("The metadata have more elements than the limit.")
        for tag in sorted(attributes):
            if tag & 0xFFFF and tag >> 16 not in (0x0000, 0x0002):
                yield from self._element(tag, attributes[tag], depth)

    def _element(self, tag: int, attribute: Any, depth: int) -> Iterator[Piece]:
        vr = attribute.get("vr") if isinstance(attribute, dict) else None
        if not isinstance(vr, str) or vr not in _VRS:
            raise DataSetError(f"{keyword_of(tag)} in the metadata has no VR (PS3.18 F.2.2).")
        stated = [name for name in ("Value", "InlineBinary", "BulkDataURI") if name in attribute]
        if len(stated) > 1:
            raise DataSetError(f"{keyword_of(tag)} in the metadata has more than one value (PS3.18 F.2.2).")
        if stated == ["BulkDataURI"]:
            yield _reference(tag, vr, attribute["BulkDataURI"])
        elif vr == "SQ":
            yield from self._sequence(tag, _values(tag, attribute), depth)
        else:
            value = _value(tag, vr, attribute)
            yield _header(tag, vr, len(value))
            yield value

    def _sequence(self, tag: int, items: list[Any], depth: int) -> Iterator[Piece]:
        # Without lengths, so that nothing has to be held until they are known.
        yield _header(tag, "SQ", UNDEFINED)
        for item in items:
            yield _ITEM
            yield from self.data_set(item, depth + 1)
            yield _ITEM_END
        yield _SEQUENCE_END


def _reference(tag: int, vr: str, uri: Any) -> BulkReference:
    if not isinstance(uri, str) or vr == "SQ":
        raise DataSetError(f"{keyword_of(tag)} in the metadata has no BulkDataURI (PS3.18 F.2.6).")
    return BulkReference(tag, vr, uri)


def _tag(name: str) -> int:
    if not _TAG.fullmatch(name):
        raise DataSetError("A name in the metadata is not a tag in eight hexadecimal digits (PS3.18 F.2.2).")
    return int(name, 16)


def _header(tag: int, vr: str, length: int) -> bytes:
    group, element, code = tag >> 16, tag & 0xFFFF, vr.encode("ascii")
    if code in LONG_VRS:
        return LITTLE.explicit.pack(group, element, code, 0) + LITTLE.length.pack(length)
    if length > 0xFFFF:
        raise DataSetError(f"The value of {keyword_of(tag)} is too long for its VR (PS3.5 7.1.2).")
    return LITTLE.explicit.pack(group, element, code, length)


def _values(tag: int, attribute: Mapping[str, Any]) -> list[Any]:
    values = attribute.get("Value", [])
    if not isinstance(values, list):
        raise DataSetError(f"The value of {keyword_of(tag)} in the metadata is no array (PS3.18 F.2.4).")
    return values


def _value(tag: int, vr: str, attribute: Mapping[str, Any]) -> bytes | bytearray:
    """The bytes of a value, padded to even length. Raises DataSetError."""
    try:
        if vr in BINARY_VRS:
            if _values(tag, attribute):
                raise ValueError
            value = b64decode(attribute.get("InlineBinary", ""), validate=True)
            return value + b"\0" * (len(value) & 1)
        if tag == SPECIFIC_CHARACTER_SET:
            return b"ISO_IR 192"
        values = _values(tag, attribute)
        if vr in NUMBER_CODES:
            return _packed(Struct("<" + NUMBER_CODES[vr]), values, float if vr in ("FL", "FD") else int)
        if vr == "AT":
            return b"".join(LITTLE.implicit.pack(*divmod(int(value, 16), 65536), 0)[:4] for value in values)
        text = "\\".join(_text(vr, value) for value in values)
    except (ValueError, TypeError, struct.error, OverflowError):
        raise DataSetError(f"The value of {keyword_of(tag)} in the metadata is not of its VR {vr}.") from None
    encoded = encode_text(text, _UTF_8, vr)
    return encoded + (b"\0" if vr == "UI" else b" ") * (len(encoded) & 1)


def _packed(one: Struct, values: list[Any], number: Callable[[Any], float]) -> bytearray:
    """One by one: a million small objects would be held until they are joined."""
    packed = bytearray()
    for value in values:
        packed += one.pack(number(value))
    return packed


def _text(vr: str, value: Any) -> str:
    if value is None:
        return ""
    if vr == "PN":
        if not isinstance(value, dict):
            raise TypeError
        return "=".join(_text("LO", value.get(group)) for group in _GROUPS).rstrip("=")
    if vr in ("DS", "IS") and isinstance(value, int | float) and not isinstance(value, bool):
        return _decimal(value) if vr == "DS" else str(int(value))
    if not isinstance(value, str):
        raise TypeError
    return value


def _decimal(value: float) -> str:
    """The most exact of the forms that fit in a decimal string."""
    text = repr(value)
    digits = _DECIMAL_STRING
    while len(text) > _DECIMAL_STRING:
        text = f"{value:.{digits}g}"
        digits -= 1
    return text
