"""Reads a PixelDescription from the header of a stored data set."""

from collections.abc import Iterable
from typing import Final

from leadglass.dicom import tags
from leadglass.dicom.dictionary import keyword_of
from leadglass.dicom.tags import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA
from leadglass.dicom.uids import TransferSyntax
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.model import DataSetLimits
from leadglass.pixels import header
from leadglass.pixels.description import GrayTransform, PixelDescription, Sample, VoiFunction, Window
from leadglass.pixels.failure import Failure
from leadglass.pixels.header import Group, PixelHeader
from leadglass.pixels.tables import lookup_table, palette

_SAMPLES: Final = {FLOAT_PIXEL_DATA: (Sample.FLOAT, 32), DOUBLE_FLOAT_PIXEL_DATA: (Sample.DOUBLE, 64)}
_BITS_ALLOCATED: Final = (1, 8, 16, 32, 64)
_MOST_FRAMES: Final = 2**31 - 1
#: Rows and Columns are US.
_LARGEST: Final = 65_535
#: Beyond this the pixels are lines.
_MOST_ASPECT: Final = 100.0


def describe(
    chunks: Iterable[bytes | bytearray | memoryview], syntax: TransferSyntax, limits: DataSetLimits
) -> PixelDescription:
    """The description of an object, from its data set up to and including the header of its pixel data (bytes before
    `Layout.pixel_offset`); no more of `chunks` is taken than that.

    Raises DataSetError for what PS3.5 or PS3.3 C.7.6.3 do not allow, DecodingFailed for an object without pixels.
    """
    reader = PixelHeader(syntax, limits)
    for chunk in chunks:
        reader.feed(chunk)
        if reader.pixels is not None:
            break
    else:
        raise DecodingFailed("The object has no pixels to show.", reason=Failure.UNSUPPORTED.name)
    return _description(reader.root, syntax, *reader.pixels)


def _description(root: Group, syntax: TransferSyntax, tag: int, vr: str) -> PixelDescription:
    sample, bits_allocated = _SAMPLES.get(tag) or (Sample.INTEGER, _required(root, tags.BITS_ALLOCATED))
    if bits_allocated not in _BITS_ALLOCATED:
        raise DecodingFailed("Bits Allocated is none that is read here.", reason=Failure.UNSUPPORTED.name)
    bits_stored = bits_allocated if sample is not Sample.INTEGER else _required(root, tags.BITS_STORED)
    high_bit = _optional(root, header.HIGH_BIT, bits_stored - 1)
    if not 0 < bits_stored <= high_bit + 1 <= bits_allocated:
        raise DataSetError("Bits Allocated, Bits Stored and High Bit contradict each other (PS3.5 8.1.1).")
    rows, columns = _required(root, tags.ROWS), _required(root, tags.COLUMNS)
    frames = _optional(root, tags.NUMBER_OF_FRAMES, 1) or 1
    if not 0 < rows <= _LARGEST or not 0 < columns <= _LARGEST or not 0 < frames <= _MOST_FRAMES:
        raise DataSetError("Rows, Columns or Number of Frames is not a size (PS3.3 C.7.6.3).")
    signed = sample is Sample.INTEGER and bool(_optional(root, tags.PIXEL_REPRESENTATION, 0) & 1)
    shared = root.first(header.SHARED_FUNCTIONAL_GROUPS)
    gray = _gray(root, shared, None, signed)
    photometric = root.text(tags.PHOTOMETRIC_INTERPRETATION)
    return PixelDescription(
        transfer_syntax=syntax.uid,
        rows=rows,
        columns=columns,
        samples_per_pixel=_samples(root),
        photometric_interpretation=photometric,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=high_bit,
        signed=signed,
        planar_configuration=_optional(root, header.PLANAR_CONFIGURATION, 0) & 1,
        number_of_frames=frames,
        sample=sample,
        word_swapped=not syntax.little_endian and vr == "OW" and bits_allocated <= 8,
        aspect=_aspect(root, shared),
        padding=_padding(root, signed),
        gray=gray,
        frames=tuple(
            _gray(root, shared, group, signed) for group in root.items(header.PER_FRAME_FUNCTIONAL_GROUPS)[:frames]
        ),
        inverse=root.text(header.PRESENTATION_LUT_SHAPE) == "INVERSE",
        palette=palette(root, signed) if photometric == "PALETTE COLOR" else None,
    )


def _required(root: Group, tag: int) -> int:
    values = root.integers(tag)
    if not values:
        raise DataSetError(f"The image has no {keyword_of(tag)} (PS3.3 C.7.6.3).")
    return values[0]


def _optional(root: Group, tag: int, default: int) -> int:
    values = root.integers(tag)
    return values[0] if values else default


def _samples(root: Group) -> int:
    samples = _optional(root, tags.SAMPLES_PER_PIXEL, 1)
    if samples not in (1, 3):
        raise DecodingFailed("Samples per Pixel is none that is read here.", reason=Failure.UNSUPPORTED.name)
    return samples


def _gray(root: Group, shared: Group | None, frame: Group | None, signed: bool) -> GrayTransform:
    """PS3.3 C.7.6.16.2: a functional group of the frame, else the shared one, else the data set itself."""
    value = _holding(header.PIXEL_VALUE_TRANSFORMATION_SEQUENCE, frame, shared) or root
    voi = _holding(header.FRAME_VOI_LUT_SEQUENCE, frame, shared) or root
    slope = value.decimals(header.RESCALE_SLOPE)
    intercept = value.decimals(header.RESCALE_INTERCEPT)
    modality = root.first(header.MODALITY_LUT_SEQUENCE)
    return GrayTransform(
        slope=slope[0] if slope and slope[0] else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        modality_lut=None if modality is None else lookup_table(modality, signed),
        windows=_windows(voi),
        # Their input is what the modality transformation gives, so their sign is that (PS3.3 C.11.2.1.1).
        voi_luts=tuple(
            lookup_table(item, signed or (bool(intercept) and intercept[0] < 0))
            for item in root.items(header.VOI_LUT_SEQUENCE)
        ),
    )


def _holding(sequence: int, *groups: Group | None) -> Group | None:
    found = (group.first(sequence) for group in groups if group is not None)
    return next((group for group in found if group is not None), None)


def _windows(group: Group) -> tuple[Window, ...]:
    text = group.text(header.VOI_LUT_FUNCTION)
    function = VoiFunction(text) if text in VoiFunction.__members__ else VoiFunction.LINEAR
    pairs = zip(group.decimals(header.WINDOW_CENTER), group.decimals(header.WINDOW_WIDTH), strict=False)
    # LINEAR needs a width of at least 1, the others one above 0 (PS3.3 C.11.2.1.2, C.11.2.1.3.2).
    lowest = 1.0 if function is VoiFunction.LINEAR else 0.0
    return tuple(Window(center, width, function) for center, width in pairs if width >= lowest and width > 0)


def _padding(root: Group, signed: bool) -> tuple[int, int] | None:
    """PS3.3 C.7.5.1.1.2."""
    values = root.integers(header.PIXEL_PADDING_VALUE, signed=signed)
    if not values:
        return None
    limits = root.integers(header.PIXEL_PADDING_RANGE_LIMIT, signed=signed) or values
    return min(values[0], limits[0]), max(values[0], limits[0])


def _aspect(root: Group, shared: Group | None) -> float:
    """PS3.3 C.7.6.3.1.7 and 10.7.1: between rows first, then between columns."""
    measures = _holding(header.PIXEL_MEASURES_SEQUENCE, shared)
    stated = (
        (root, header.PIXEL_ASPECT_RATIO),
        (measures or root, header.PIXEL_SPACING),
        (root, header.IMAGER_PIXEL_SPACING),
        (root, header.NOMINAL_SCANNED_PIXEL_SPACING),
    )
    for group, tag in stated:
        values = group.decimals(tag)
        if len(values) == 2 and min(values) > 0:
            aspect = values[0] / values[1]
            return aspect if 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT else 1.0
    return 1.0
