"""The form in which a data set is signed, PS3.3 C.12.1.1.3.1.2: as it is encoded, without what may change unnoticed.

Sequences, items and fragments have no lengths, a sequence always ends with its delimiter, and an item never does.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from struct import Struct
from typing import Final

from leadglass.dicom.container import Bulk, Element, Handling, Mode
from leadglass.dicom.explicit import element_header, explicit_little_endian
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.dicom.walker import ElementWalker
from leadglass.inspection.verdict import tag_text
from leadglass.model import DataSetLimits

Pieces = Iterable[bytes | bytearray]

MAC_PARAMETERS_SEQUENCE: Final = 0x4FFE0001
DIGITAL_SIGNATURES_SEQUENCE: Final = 0xFFFAFFFA
_LENGTH_TO_END: Final = 0x00080001
_PADDING: Final = 0xFFFCFFFC
_TAG: Final = Struct("<HH")
_ITEM: Final = _TAG.pack(0xFFFE, 0xE000)
_END_OF_SEQUENCE: Final = _TAG.pack(0xFFFE, 0xE0DD)


def is_signable(tag: int) -> bool:
    """C.12.1.1.3.1.1: lengths, signatures and padding are never signed."""
    group = tag >> 16
    return (
        group >= 0x0008
        and group != DIGITAL_SIGNATURES_SEQUENCE >> 16
        and bool(tag & 0xFFFF)
        and tag not in (_LENGTH_TO_END, MAC_PARAMETERS_SEQUENCE, _PADDING)
    )


class SignedForm(ElementWalker, ABC):
    """Reads a data set and passes on what of it could be signed. A subclass is told of each element before its bytes.

    `number`: of the item being read, counted from 1 through the whole data set; 0 for the data set itself.
    """

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        # C.12.1.1.3: a MAC is calculated in Explicit VR Little Endian, whatever the data set is stored in.
        self._is_converted = syntax.deflated or not syntax.explicit_vr or not syntax.little_endian
        super().__init__(TRANSFER_SYNTAXES[EXPLICIT_LE] if self._is_converted else syntax, limits)
        self._stored = syntax
        self._path: list[tuple[int, int]] = []
        self._numbers = [0]
        self._items_read = 0

    def read(self, pieces: Pieces) -> None:
        """The whole data set. Raises DataSetError."""
        whole = explicit_little_endian(pieces, self._stored, self._limits) if self._is_converted else pieces
        for piece in whole:
            self.feed(piece)
        self._finish()

    @property
    def number(self) -> int:
        return self._numbers[-1]

    @property
    def place(self) -> str:
        """The sequences and items that are open."""
        return "".join(f"{tag_text(tag)}[{item}]" for tag, item in self._path)

    # What a subclass decides and receives.

    @abstractmethod
    def _is_kept(self, tag: int, length: int) -> bool:
        """Whether `_on_value` is to get the value as a whole, too."""

    @abstractmethod
    def _opened(self, tag: int, vr: str, depth: int, *, is_encapsulated: bool) -> None:
        """An element begins, `depth` containers below the data set."""

    def _over(self, depth: int) -> None:
        """Whatever was open deeper than `depth` is over."""

    @abstractmethod
    def _emit(self, data: bytes | memoryview) -> None:
        """Bytes of the element that was opened last, or of one around it."""

    @abstractmethod
    def _item_begins(self, sequence: int) -> None:
        """An item begins in the sequence of this tag."""

    @abstractmethod
    def _item_ended(self) -> None:
        """The item of `number` has ended."""

    # What is read.

    def _choose(self, tag: int, length: int) -> Handling:
        return Handling.KEEP if self._is_kept(tag, length) else Handling.STREAM

    def _on_value(self, element: Element) -> None:
        self._opened(element.tag, element.vr, len(self._stack), is_encapsulated=False)
        self._emit(element_header(element.tag, element.vr, len(element.value)))
        self._emit(element.value)

    def _on_bulk(self, bulk: Bulk) -> None:
        self._opened(bulk.tag, bulk.vr, len(self._stack), is_encapsulated=False)
        self._emit(element_header(bulk.tag, bulk.vr, bulk.length))

    def _on_stream(self, part: memoryview) -> None:
        self._emit(part)

    def _on_sequence(self, tag: int) -> None:
        # PS3.5 6.2.2: what is inside a UN of undefined length is in Implicit VR.
        vr = "SQ" if self._frame.explicit else "UN"
        self._path.append((tag, 0))
        self._opened(tag, vr, len(self._stack) - 1, is_encapsulated=False)
        self._emit(_without_length(tag, vr))

    def _on_item(self) -> None:
        tag, item = self._path[-1]
        self._path[-1] = tag, item + 1
        self._over(len(self._stack) - 2)
        self._emit(_ITEM)
        self._items_read += 1
        self._numbers.append(self._items_read)
        self._item_begins(tag)

    def _on_end(self) -> None:
        if self._frame.mode is Mode.ITEMS:
            self._item_ended()
            self._numbers.pop()
            self._over(len(self._stack) - 1)
            return
        self._path.pop()
        self._over(len(self._stack))
        self._emit(_END_OF_SEQUENCE)

    def _on_fragments(self, bulk: Bulk) -> None:
        self._path.append((bulk.tag, 0))
        self._opened(bulk.tag, bulk.vr, len(self._stack) - 1, is_encapsulated=True)
        self._emit(_without_length(bulk.tag, bulk.vr))

    def _choose_fragment(self, first: bool) -> Handling:  # noqa: ARG002 - the base class asks
        return Handling.STREAM

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:  # noqa: ARG002
        self._emit(_ITEM)


def _without_length(tag: int, vr: str) -> bytes:
    """Tag, VR and what is reserved."""
    return element_header(tag, vr, 0)[:8]
