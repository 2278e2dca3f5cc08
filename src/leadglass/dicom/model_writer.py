"""What the DICOM JSON Model (PS3.18 F) and the Native DICOM Model (PS3.19 A.1) have in common: one data set is walked,
each element becomes a fragment of text, and values that are too long for a text become references to bulk data.

Nothing recurses: open sequences and items are a list. `Form` is how a model spells its fragments.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Protocol

from leadglass.dicom.charset import decode_text, parse_charsets
from leadglass.dicom.container import Bulk, Element, Handling, Mode
from leadglass.dicom.dictionary import SIGNED_AS_PIXELS, vr_of
from leadglass.dicom.encoding import (
    BINARY_VRS,
    LITTLE,
    NUMBER_CODES,
    SINGLE_TEXT_VRS,
    TEXT_VRS,
    WORD_SIZES,
    swapped,
)
from leadglass.dicom.tags import DATA_SET_TRAILING_PADDING, PIXEL_REPRESENTATION, SPECIFIC_CHARACTER_SET
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS, ElementWalker
from leadglass.model import DataSetLimits

#: Binary values above this many bytes are bulk data; text and numbers only above `DataSetLimits.inline_value`.
INLINE_BINARY: Final = 1024
#: Bytes of values in the text of one instance; beyond, every value above INLINE_BINARY is bulk data.
INLINE_TOTAL: Final = 8 * 1024 * 1024
_LARGEST_SINGLE: Final = 3.4028234e38
#: A decimal or integer string (PS3.5 6.2) as people and devices write it.
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
#: The same as JSON (RFC 8259 6) and XML write it.
_PLAIN_DECIMAL: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


class Form(Protocol):
    """How a model spells an element. `creator` is the private creator (PS3.5 7.8.1) of a private element, else ""."""

    #: Whether `creator` is wanted.
    creators: bool

    def empty(self, tag: int, vr: str, creator: str, /) -> str: ...
    def texts(self, tag: int, vr: str, creator: str, values: Sequence[str], /) -> str: ...
    def numbers(self, tag: int, vr: str, creator: str, values: Sequence[float | str], /) -> str: ...
    def names(self, tag: int, creator: str, values: Sequence[str], /) -> str: ...
    def binary(self, tag: int, vr: str, creator: str, value: bytes, /) -> str: ...
    def bulk(self, tag: int, vr: str, creator: str, path: str, /) -> str: ...
    def sequence(self, tag: int, creator: str, items: Sequence[str], /) -> str: ...
    def item(self, fragments: Iterable[str], /) -> str: ...


@dataclass(slots=True)
class _Item:
    """The data set or an item being read: its fragments by tag, and what governs the values in it."""

    charsets: tuple[str, ...] = ()
    signed: bool = False
    fragments: dict[int, str] = field(default_factory=dict)
    creators: dict[int, str] = field(default_factory=dict)
    #: The path of its elements in `…/bulkdata/…`.
    path: str = ""


@dataclass(slots=True)
class _Sequence:
    tag: int
    items: list[str] = field(default_factory=list)


class ModelWriter(ElementWalker):
    """Feed a data set, then take its `fragments`. Raises DataSetError as `ElementWalker` does.

    Bulk data are named by their path: the tag in eight hexadecimal digits, below a sequence `TAG/ITEM/TAG`, items
    counted from 1 as in PS3.19. Of elements that occur twice the last one counts.
    """

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits, form: Form) -> None:
        super().__init__(syntax, limits)
        self._form = form
        self._root = _Item()
        self._item_open = self._root
        self._items_open = [self._root]
        self._sequences_open: list[_Sequence] = []
        self._value_vr = ""
        self._inlined = 0

    def finish(self) -> None:
        """Raises DataSetError when the data set is not complete at this point."""
        self._finish()

    def says(self, tag: int, text: str) -> bool:
        """Whether a top-level element has this text for its value."""
        return self._root.fragments.get(tag) == spell_text(self._form, tag, vr_of(tag), text)

    def add_bulk(self, tag: int, vr: str) -> None:
        """A top-level element that is not fed: pixel data, of which only the place is known."""
        self._root.fragments[tag] = self._form.bulk(tag, vr, "", f"{tag:08X}")

    def text(self) -> str:
        """The whole data set as one item of the model."""
        return self._form.item(_ascending(self._root.fragments))

    # What is met on the way.

    def _sized(self, tag: int, vr: str, length: int, buf: bytes, pos: int, head: int) -> int:
        self._value_vr = vr
        return super()._sized(tag, vr, length, buf, pos, head)

    def _choose(self, tag: int, length: int) -> Handling:
        if not tag & 0xFFFF or tag == DATA_SET_TRAILING_PADDING:  # PS3.18 F.2.2, PS3.19 A.1.1: no group lengths
            return Handling.SKIP
        if tag in PIXEL_TAGS and not self._stack:
            return Handling.SKIP
        if length <= INLINE_BINARY:
            return Handling.KEEP
        if self._value_vr in BINARY_VRS or length > self._limits.inline_value:
            return Handling.SKIP
        return Handling.KEEP if self._inlined + length <= INLINE_TOTAL else Handling.SKIP

    def _on_value(self, element: Element) -> None:
        tag, vr, value, _ = element
        if not tag & 0xFFFF:
            return
        self._inlined += len(value)
        item = self._item_open
        little = self._frame.codec is LITTLE
        known = self._meaning(tag, vr, item)
        if vr == "UN" and known != "UN":  # PS3.5 6.2.2: it keeps its own meaning, in little endian
            little = True
        if tag == SPECIFIC_CHARACTER_SET:
            item.charsets = parse_charsets(value.decode("ascii", "replace"))
            value = b"ISO_IR 192" if value.strip() else b""  # the models are UTF-8, PS3.18 F.2
            self._context_changed()
        elif tag == PIXEL_REPRESENTATION and len(value) == 2:
            item.signed = any(value)
            self._context_changed()
        fragment = self.spelled(tag, known, value, little, item.charsets, self._creator(tag, item))
        if tag & 0x10000 and self._form.creators and 0x10 <= tag & 0xFFFF <= 0xFF:
            item.creators[tag] = decode_text(value, item.charsets, "LO")
        self._held += len(fragment)
        item.fragments[tag] = fragment

    def _context_changed(self) -> None:
        """What governs the next values has changed."""

    def _meaning(self, tag: int, vr: str, item: _Item) -> str:
        if vr == "UN":
            known = vr_of(tag)
            vr = "UN" if known == "SQ" else known
            return "SS" if tag in SIGNED_AS_PIXELS and item.signed and vr == "US" else vr
        return "SS" if vr == "US" and item.signed and tag in SIGNED_AS_PIXELS and not self._frame.explicit else vr

    def _creator(self, tag: int, item: _Item) -> str:
        """PS3.5 7.8.1: the block (gggg,xx00-xxFF) belongs to the creator in (gggg,00xx)."""
        if not tag & 0x10000 or not self._form.creators:
            return ""
        return item.creators.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF, "")

    def spelled(
        self, tag: int, vr: str, value: bytes, little_endian: bool, charsets: tuple[str, ...], creator: str
    ) -> str:
        """The fragment of one value, given as it stands in a data set."""
        if vr in TEXT_VRS:
            return spell_text(self._form, tag, vr, decode_text(value, charsets, vr), creator)
        if not value:
            return self._form.empty(tag, vr, creator)
        if vr == "AT":
            order = "<" if little_endian else ">"
            pairs = Struct(f"{order}{len(value) // 4 * 2}H").unpack_from(value)
            texts = [f"{group:04X}{number:04X}" for group, number in zip(pairs[::2], pairs[1::2], strict=True)]
            return self._form.texts(tag, vr, creator, texts)
        if vr in NUMBER_CODES:
            one = Struct(("<" if little_endian else ">") + NUMBER_CODES[vr])
            whole = len(value) // one.size * one.size
            numbers = [number for (number,) in one.iter_unpack(value[:whole])]
            if vr == "FL":
                numbers = [_shortest(one, number) if math.isfinite(number) else number for number in numbers]
            return self._form.numbers(tag, vr, creator, numbers)
        word = 1 if little_endian else WORD_SIZES.get(vr, 1)
        return self._form.binary(tag, vr, creator, swapped(value, word))

    def _on_bulk(self, bulk: Bulk) -> None:
        if bulk.tag & 0xFFFF and bulk.tag != DATA_SET_TRAILING_PADDING:
            self._put_bulk(bulk.tag, self._meaning(bulk.tag, bulk.vr, self._item_open))

    def _put_bulk(self, tag: int, vr: str) -> None:
        item = self._item_open
        fragment = self._form.bulk(tag, vr, self._creator(tag, item), f"{item.path}{tag:08X}")
        self._held += len(fragment)
        item.fragments[tag] = fragment

    def _on_fragments(self, bulk: Bulk) -> None:
        self._put_bulk(bulk.tag, bulk.vr)
        self._sequences_open.append(_Sequence(bulk.tag))

    def _on_sequence(self, tag: int) -> None:
        self._sequences_open.append(_Sequence(tag))

    def _on_item(self) -> None:
        outer, sequence = self._item_open, self._sequences_open[-1]
        path = f"{outer.path}{sequence.tag:08X}/{len(sequence.items) + 1}/"
        self._open_item(_Item(outer.charsets, outer.signed, path=path))

    def _on_end(self) -> None:
        if self._frame.mode is Mode.ITEMS:
            ended = self._items_open.pop()
            self._sequences_open[-1].items.append(self._form.item(_ascending(ended.fragments)))
            self._open_item(self._items_open.pop())
            return
        sequence = self._sequences_open.pop()
        if sequence.tag not in PIXEL_TAGS:
            tag, item = sequence.tag, self._item_open
            item.fragments[tag] = self._form.sequence(tag, self._creator(tag, item), sequence.items)

    def _open_item(self, item: _Item) -> None:
        self._items_open.append(item)
        self._item_open = item
        self._context_changed()


def _ascending(fragments: Mapping[int, str]) -> Iterable[str]:
    """PS3.18 F.2.2: in ascending order, which is nearly always the order of arrival."""
    return (fragments[tag] for tag in sorted(fragments))


def spell_text(form: Form, tag: int, vr: str, text: str, creator: str = "") -> str:
    """The fragment of a value that is known as text: several values joined by a backslash, binary numbers in decimal.
    Integer and decimal strings are numbers where they are any, else texts (PS3.18 F.2.3)."""
    if not text:
        return form.empty(tag, vr, creator)
    values = [text] if vr in SINGLE_TEXT_VRS else text.split("\\")
    if vr == "PN":
        return form.names(tag, creator, values)
    if vr in ("DS", "IS") or vr in NUMBER_CODES:
        return form.numbers(tag, vr, creator, [_number(value) for value in values])
    return form.texts(tag, vr, creator, values)


def _number(text: str) -> float | str:
    """The number that `text` is; the text itself when it is none, or a number that JSON would spell otherwise."""
    text = text.strip()
    if not _DECIMAL.fullmatch(text):
        return text
    if _PLAIN_DECIMAL.fullmatch(text):
        return Literal(text)
    if text.lstrip("+-").isdigit():
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


def _shortest(single: Struct, number: float) -> float:
    """The shortest decimal that reads as the same single-precision number; nine digits always do."""
    raw = single.pack(number)
    for digits in (7, 8):
        short = float(f"{number:.{digits}g}")
        if abs(short) <= _LARGEST_SINGLE and single.pack(short) == raw:
            return short
    return float(f"{number:.9g}")


class Literal(str):
    """A number in the digits of its sender: `1.50` stays so."""

    __slots__ = ()
