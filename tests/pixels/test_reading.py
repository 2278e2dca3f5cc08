"""Descriptions of pixels as they stand in data sets, in every encoding."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from leadglass.dicom.uids import DEFLATED, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.model import DataSetLimits
from leadglass.pixels.description import (
    GrayTransform,
    LookupTable,
    Palette,
    PixelDescription,
    Sample,
    VoiFunction,
    Window,
)
from leadglass.pixels.reading import describe
from tests.dicom.oracle import encode
from tests.pixels.images import plain

SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED)
LIMITS = DataSetLimits()


def dataset() -> Dataset:
    found = Dataset()
    found.Rows, found.Columns, found.SamplesPerPixel = 4, 6, 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 16, 12, 11, 1
    found.PixelData = bytes(48)
    found["PixelData"].VR = "OW"
    return found


def described(found: Dataset, syntax: str = EXPLICIT_LE, *, size: int = 1 << 20) -> PixelDescription:
    data = encode(found, TRANSFER_SYNTAXES[syntax])
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    return describe(chunks, TRANSFER_SYNTAXES[syntax], LIMITS)


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_plain(syntax: str, size: int) -> None:
    expected = plain(4, 6, bits=16, stored=12, signed=True, transfer_syntax=syntax)
    assert described(dataset(), syntax, size=size) == expected


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_gray(syntax: str) -> None:
    found = dataset()
    found.RescaleSlope, found.RescaleIntercept = "2.5", "-1024"
    found.WindowCenter, found.WindowWidth, found.VOILUTFunction = ["40", "300"], ["80", "1500"], "SIGMOID"
    found.PixelPaddingValue, found.PixelPaddingRangeLimit = -2000, -1990
    found["PixelPaddingValue"].VR = found["PixelPaddingRangeLimit"].VR = "SS"
    found.PresentationLUTShape = "INVERSE"
    found.PixelSpacing = ["0.5", "0.25"]
    found.VOILUTSequence = [_item(LUTDescriptor=[2, 5, 12], LUTData=[1, 4095])]
    found.ModalityLUTSequence = [_item(LUTDescriptor=[3, 0, 16], LUTData=[7, 8, 9])]
    for sequence in (found.VOILUTSequence, found.ModalityLUTSequence):
        sequence[0]["LUTDescriptor"].VR = sequence[0]["LUTData"].VR = "US"
    result = described(found, syntax)
    assert result.gray == GrayTransform(
        slope=2.5,
        intercept=-1024,
        modality_lut=LookupTable(0, 16, b"\7\0\10\0\11\0"),
        windows=(Window(40, 80, VoiFunction.SIGMOID), Window(300, 1500, VoiFunction.SIGMOID)),
        voi_luts=(LookupTable(5, 12, b"\1\0\xff\x0f"),),
    )
    assert (result.padding, result.inverse, result.aspect) == ((-2000, -1990), True, 2.0)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_frames_of_their_own(syntax: str) -> None:
    """PS3.3 C.7.6.16: shared functional groups, and those of each frame before them."""
    found = dataset()
    found.NumberOfFrames = 2
    shared = _item(
        PixelValueTransformationSequence=[_item(RescaleSlope="2", RescaleIntercept="5")],
        PixelMeasuresSequence=[_item(PixelSpacing=["1", "2"])],
        FrameVOILUTSequence=[_item(WindowCenter="1", WindowWidth="2")],
    )
    own = _item(FrameVOILUTSequence=[_item(WindowCenter="3", WindowWidth="4", VOILUTFunction="LINEAR_EXACT")])
    found.SharedFunctionalGroupsSequence, found.PerFrameFunctionalGroupsSequence = [shared], [Dataset(), own]
    result = described(found, syntax)
    first = result.of_frame(1)
    assert (first.gray.slope, first.gray.intercept, first.gray.windows) == (2, 5, (Window(1, 2),))
    assert result.of_frame(2).gray.windows == (Window(3, 4, VoiFunction.LINEAR_EXACT),)
    assert (result.aspect, first.frames, first.number_of_frames) == (0.5, (), 1)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("bits", [8, 16])
def test_palette(syntax: str, bits: int) -> None:
    found = dataset()
    found.PhotometricInterpretation, found.PixelRepresentation = "PALETTE COLOR", 0
    for index, colour in enumerate(("Red", "Green", "Blue")):
        setattr(found, f"{colour}PaletteColorLookupTableDescriptor", [4, 1, bits])
        found[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        data = bytes((index, 1, 2, 3)) if bits == 8 else bytes((index, 0, 1, 0, 2, 0, 3, 0))
        if syntax == EXPLICIT_BE:
            data = bytes(each for pair in zip(data[1::2], data[::2], strict=True) for each in pair)
        setattr(found, f"{colour}PaletteColorLookupTableData", data)
    tables = [LookupTable(1, bits, bytes((index, 0, 1, 0, 2, 0, 3, 0))) for index in range(3)]
    assert described(found, syntax).palette == Palette(*tables)


def test_segmented_palette() -> None:
    """PS3.3 C.7.9.2: discrete, linear, and both again by reference."""
    found = dataset()
    found.PhotometricInterpretation, found.PixelRepresentation = "PALETTE COLOR", 0
    words = [0, 2, 5, 10, 1, 3, 40, 2, 2, 0, 0]
    for colour in ("Red", "Green", "Blue"):
        setattr(found, f"{colour}PaletteColorLookupTableDescriptor", [10, 0, 16])
        found[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        data = b"".join(each.to_bytes(2, "little") for each in words)
        setattr(found, f"Segmented{colour}PaletteColorLookupTableData", data)
    palette = described(found).palette
    assert palette is not None
    values = [int.from_bytes(palette.red.words[at : at + 2], "little") for at in range(0, 20, 2)]
    assert values == [5, 10, 20, 30, 40] * 2


@pytest.mark.parametrize(
    "words",
    [
        [],
        [0],
        [0, 0],
        [0, 11, *range(11)],
        [1, 4, 7],
        [3, 1, 1],
        [0, 1, 1, 2, 65535, 0, 0],
        [0, 1, 1, 2, 5, 6, 0],
        [0, 1, 1, 1, 9],
        [0, 5, 1, 2],
        [0, 1, 1, 2, 2, 6, 0, 2, 1, 0, 0],
    ],
)
def test_segments_that_make_no_table(words: list[int]) -> None:
    found = dataset()
    found.PhotometricInterpretation = "PALETTE COLOR"
    found.RedPaletteColorLookupTableDescriptor = [10, 0, 16]
    found["RedPaletteColorLookupTableDescriptor"].VR = "US"
    found.SegmentedRedPaletteColorLookupTableData = b"".join(each.to_bytes(2, "little") for each in words)
    with pytest.raises(DataSetError):
        described(found)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, EXPLICIT_BE])
@pytest.mark.parametrize(
    ("keyword", "bits", "sample"), [("Float", 32, Sample.FLOAT), ("DoubleFloat", 64, Sample.DOUBLE)]
)
def test_floats(syntax: str, keyword: str, bits: int, sample: Sample) -> None:
    found = dataset()
    del found.PixelData, found.BitsStored, found.HighBit, found.PixelRepresentation
    found.BitsAllocated = bits
    setattr(found, f"{keyword}PixelData", bytes(24 * bits // 8))
    expected = plain(4, 6, bits=bits, transfer_syntax=syntax)
    assert described(found, syntax) == replace(expected, sample=sample)


def test_bytes_in_words_are_told_by_the_vr() -> None:
    found = dataset()
    found.BitsAllocated, found.BitsStored, found.HighBit = 8, 8, 7
    found.PixelData = bytes(24)
    for syntax, vr, swapped in ((EXPLICIT_BE, "OW", True), (EXPLICIT_BE, "OB", False), (EXPLICIT_LE, "OW", False)):
        found["PixelData"].VR = vr
        assert described(found, syntax).word_swapped is swapped


def _changed(**values: object) -> Callable[[Dataset], None]:
    def change(found: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(found, keyword)
            else:
                setattr(found, keyword, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _changed(Rows=None),
        _changed(Rows=0),
        _changed(Columns=0),
        _changed(BitsAllocated=None),
        _changed(BitsStored=None),
        _changed(BitsStored=0),
        _changed(BitsStored=17),
        _changed(HighBit=16),
        _changed(HighBit=3),
        _changed(NumberOfFrames="-1"),
        _changed(NumberOfFrames="9999999999"),
    ],
)
def test_what_is_no_image(change: Callable[[Dataset], None]) -> None:
    found = dataset()
    change(found)
    with pytest.raises(DataSetError):
        described(found)


@pytest.mark.parametrize("change", [_changed(PixelData=None), _changed(BitsAllocated=12), _changed(SamplesPerPixel=4)])
def test_images_that_are_not_read(change: Callable[[Dataset], None]) -> None:
    found = dataset()
    change(found)
    with pytest.raises(DecodingFailed) as failed:
        described(found)
    assert failed.value.reason == "UNSUPPORTED"


def test_values_that_help_nobody_are_passed_over() -> None:
    found = dataset()
    found.WindowCenter, found.WindowWidth = ["1", "2"], ["0", "1"]
    found.RescaleSlope = "0"
    found.PixelSpacing = ["0.0001", "10"]
    result = described(found)
    assert (result.gray.windows, result.gray.slope, result.aspect) == ((Window(2, 1),), 1.0, 1.0)
    for wrong in ("nan", "1e400", "one"):
        found.RescaleIntercept = None
        found.add_new(0x00281052, "LO", wrong)
        found[0x00281052].VR = "DS"
        with pytest.raises(DataSetError):
            described(found)


@pytest.mark.parametrize("syntax", [EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE])
def test_bent_headers_are_refused_or_read(syntax: str) -> None:
    found = dataset()
    found.PhotometricInterpretation = "PALETTE COLOR"
    found.RescaleSlope, found.RescaleIntercept, found.PixelSpacing = "2.5", "-1024", ["0.5", "0.25"]
    found.WindowCenter, found.WindowWidth = ["40", "300"], ["80", "1500"]
    found.VOILUTSequence = [_item(LUTDescriptor=[2, 5, 12], LUTData=[1, 4095])]
    found.VOILUTSequence[0]["LUTDescriptor"].VR = found.VOILUTSequence[0]["LUTData"].VR = "US"
    for colour in ("Red", "Green", "Blue"):
        setattr(found, f"{colour}PaletteColorLookupTableDescriptor", [4, 1, 8])
        found[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(found, f"{colour}PaletteColorLookupTableData", b"\0\1\2\3")
    data = encode(found, TRANSFER_SYNTAXES[syntax])
    dice = random.Random(syntax)
    for _ in range(3000):
        bent = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 5))):
            bent[dice.randrange(len(bent))] = dice.choice((dice.randrange(256), 0, 255, 48))
        try:
            description = describe([bytes(bent)], TRANSFER_SYNTAXES[syntax], LIMITS)
        except (DataSetError, DecodingFailed):
            continue
        assert 0 < description.rows * description.columns < 2**32
        assert description.frame_bytes > 0
