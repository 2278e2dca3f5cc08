"""The elements of a header that tell about pixels, collected with the sequences that hold some of them."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import keyword_of, vr_of
from leadglass.dicom.tags import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    NUMBER_OF_FRAMES,
    PHOTOMETRIC_INTERPRETATION,
    PIXEL_REPRESENTATION,
    ROWS,
    SAMPLES_PER_PIXEL,
)
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import PIXEL_TAGS, ElementWalker
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

IMAGER_PIXEL_SPACING: Final = 0x00181164
NOMINAL_SCANNED_PIXEL_SPACING: Final = 0x00182010
PLANAR_CONFIGURATION: Final = 0x00280006
PIXEL_SPACING: Final = 0x00280030
PIXEL_ASPECT_RATIO: Final = 0x00280034
HIGH_BIT: Final = 0x00280102
PIXEL_PADDING_VALUE: Final = 0x00280120
PIXEL_PADDING_RANGE_LIMIT: Final = 0x00280121
WINDOW_CENTER: Final = 0x00281050
WINDOW_WIDTH: Final = 0x00281051
RESCALE_INTERCEPT: Final = 0x00281052
RESCALE_SLOPE: Final = 0x00281053
VOI_LUT_FUNCTION: Final = 0x00281056
#: Red, green and blue: the descriptor, the data and the segmented data of each.
PALETTE_DESCRIPTORS: Final = (0x00281101, 0x00281102, 0x00281103)
PALETTE_DATA: Final = (0x00281201, 0x00281202, 0x00281203)
SEGMENTED_PALETTE_DATA: Final = (0x00281221, 0x00281222, 0x00281223)
LUT_DESCRIPTOR: Final = 0x00283002
LUT_DATA: Final = 0x00283006
PRESENTATION_LUT_SHAPE: Final = 0x20500020

MODALITY_LUT_SEQUENCE: Final = 0x00283000
VOI_LUT_SEQUENCE: Final = 0x00283010
PIXEL_MEASURES_SEQUENCE: Final = 0x00289110
FRAME_VOI_LUT_SEQUENCE: Final = 0x00289132
PIXEL_VALUE_TRANSFORMATION_SEQUENCE: Final = 0x00289145
SHARED_FUNCTIONAL_GROUPS: Final = 0x52009229
PER_FRAME_FUNCTIONAL_GROUPS: Final = 0x52009230

_ELEMENTS: Final = frozenset(
    {
        *(ROWS, COLUMNS, SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, NUMBER_OF_FRAMES, PLANAR_CONFIGURATION),
        *(BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION),
        *(PIXEL_SPACING, IMAGER_PIXEL_SPACING, NOMINAL_SCANNED_PIXEL_SPACING, PIXEL_ASPECT_RATIO),
        *(PIXEL_PADDING_VALUE, PIXEL_PADDING_RANGE_LIMIT, PRESENTATION_LUT_SHAPE),
        *(WINDOW_CENTER, WINDOW_WIDTH, VOI_LUT_FUNCTION, RESCALE_INTERCEPT, RESCALE_SLOPE),
        *(*PALETTE_DESCRIPTORS, *PALETTE_DATA, *SEGMENTED_PALETTE_DATA, LUT_DESCRIPTOR, LUT_DATA),
    }
)
_SEQUENCES: Final = frozenset(
    {
        *(MODALITY_LUT_SEQUENCE, VOI_LUT_SEQUENCE, PIXEL_MEASURES_SEQUENCE, FRAME_VOI_LUT_SEQUENCE),
        *(PIXEL_VALUE_TRANSFORMATION_SEQUENCE, SHARED_FUNCTIONAL_GROUPS, PER_FRAME_FUNCTIONAL_GROUPS),
    }
)
#: 65,536 entries of 16 bits, the longest of these values.
_LONGEST: Final = 2 * 65_536

_INTEGERS: Final = {"SS": "h", "US": "H", "OW": "H", "SL": "i", "UL": "I"}


class Group:
    """A data set or an item: its elements, and the items of its sequences."""

    __slots__ = ("_elements", "_order", "_sequences")

    def __init__(self, order: str) -> None:
        self._order = order
        self._elements: dict[int, Element] = {}
        self._sequences: dict[int, list[Group]] = {}

    def put(self, element: Element) -> None:
        earlier = self._elements.setdefault(element.tag, element)
        if earlier.value != element.value:
            raise DataSetError(f"{keyword_of(element.tag)} occurs twice (PS3.5 7.1).", element.offset)

    def open(self, tag: int) -> "list[Group]":
        if tag in self._sequences:
            raise DataSetError(f"{keyword_of(tag)} occurs twice (PS3.5 7.1).")
        return self._sequences.setdefault(tag, [])

    def item(self) -> "Group":
        return Group(self._order)

    def items(self, tag: int) -> "tuple[Group, ...]":
        return tuple(self._sequences.get(tag, ()))

    def first(self, tag: int) -> "Group | None":
        """The only item of a functional group macro, PS3.3 C.7.6.16.2."""
        return next(iter(self._sequences.get(tag, ())), None)

    def __contains__(self, tag: int) -> bool:
        return tag in self._elements and bool(self._elements[tag].value)

    def value(self, tag: int) -> bytes:
        element = self._elements.get(tag)
        return b"" if element is None else element.value

    def text(self, tag: int) -> str:
        return self.value(tag).decode("ascii", "replace").strip(" \0")

    def integers(self, tag: int, *, signed: bool = False) -> tuple[int, ...]:
        """The values of a binary or text integer. `signed`: what "US or SS" means where the VR leaves it open.

        Raises DataSetError.
        """
        element = self._elements.get(tag)
        if element is None:
            return ()
        vr = vr_of(tag) if element.vr == "UN" else element.vr
        order = "<" if element.vr == "UN" else self._order
        if vr in ("IS", "DS"):
            return tuple(_integer(each, tag) for each in _split(element.value))
        form = "h" if vr == "US" and signed else _INTEGERS.get(vr)
        if form is None:
            raise DataSetError(f"{keyword_of(tag)} is not an integer.", element.offset)
        one = Struct(order + form)
        whole = len(element.value) // one.size * one.size
        return tuple(value for (value,) in one.iter_unpack(element.value[:whole]))

    def decimals(self, tag: int) -> tuple[float, ...]:
        """The values of a decimal string. Raises DataSetError."""
        return tuple(_decimal(each, tag) for each in _split(self.value(tag)))

    def words(self, tag: int) -> bytes:
        """The value in little endian 16-bit words."""
        element = self._elements[tag]
        if self._order == "<" or element.vr == "UN":
            return element.value
        swapped = bytearray(len(element.value) // 2 * 2)
        swapped[0::2], swapped[1::2] = element.value[1::2], element.value[: len(swapped) : 2]
        return bytes(swapped)


def _split(value: bytes) -> Iterator[str]:
    return (each for part in value.decode("ascii", "replace").split("\\") if (each := part.strip(" \0")))


def _integer(text: str, tag: int) -> int:
    return int(_decimal(text, tag))


def _decimal(text: str, tag: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e300:
        raise DataSetError(f"{keyword_of(tag)} is not a number (PS3.5 6.2).")
    return value


class PixelHeader(ElementWalker):
    """Collects `root`; `pixels` becomes tag and VR of the pixel data once its header has been fed, and then no more
    needs to be. Raises DataSetError for what PS3.5 does not allow."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        super().__init__(syntax, limits)
        self.root = Group("<" if syntax.little_endian else ">")
        self.pixels: tuple[int, str] | None = None
        self._path: list[Group | list[Group] | None] = [self.root]

    def _choose(self, tag: int, length: int) -> Handling:
        wanted = tag in _ELEMENTS and length <= _LONGEST and isinstance(self._path[-1], Group)
        return Handling.KEEP if wanted else Handling.SKIP

    def _on_value(self, element: Element) -> None:
        group = self._path[-1]
        if isinstance(group, Group):
            self._held += len(element.value) + 256
            group.put(element)

    def _on_sequence(self, tag: int) -> None:
        group = self._path[-1]
        self._path.append(group.open(tag) if isinstance(group, Group) and tag in _SEQUENCES else None)

    def _on_item(self) -> None:
        items = self._path[-1]
        if isinstance(items, list):
            self._held += 256
            items.append(self.root.item())
            self._path.append(items[-1])
        else:
            self._path.append(None)

    def _on_end(self) -> None:
        self._path.pop()

    def _on_bulk(self, bulk: Bulk) -> None:
        if bulk.tag in PIXEL_TAGS and not self._stack:
            self.pixels = bulk.tag, bulk.vr

    def _on_fragments(self, bulk: Bulk) -> None:
        if len(self._stack) == 1:
            self.pixels = bulk.tag, bulk.vr
        self._path.append(None)
