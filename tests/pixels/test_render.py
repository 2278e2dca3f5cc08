"""What is shown: against pydicom's transformations where it has them, else against the standard's formula."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space

from leadglass.errors import DecodingFailed
from leadglass.pixels.description import (
    GrayTransform,
    LookupTable,
    Palette,
    PixelDescription,
    Sample,
    VoiFunction,
    Window,
)
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.rendering import THUMBNAIL, Format, Rendering, Viewport
from tests.pixels.images import image, noise, pixels, plain

SIGNED = plain(16, 16, bits=16, stored=12, signed=True)
PNG = Rendering(Format.PNG)


def shown(
    pool: DecoderPool, description: PixelDescription, frame: bytes, rendering: Rendering = PNG
) -> npt.NDArray[Any]:
    return np.asarray(image(pool.render(description, frame, rendering)))


def _table(first: int, bits: int, entries: list[int]) -> LookupTable:
    return LookupTable(first, bits, np.array(entries, "<u2").tobytes())


@pytest.mark.parametrize("function", list(VoiFunction))
@pytest.mark.parametrize(("center", "width"), [(40, 400), (0, 1), (-500.5, 37.25), (2000, 9000)])
@pytest.mark.parametrize("slope", [1.0, 0.5, -2.0])
def test_windows(decoders: DecoderPool, function: VoiFunction, center: float, width: float, slope: float) -> None:
    frame = noise(SIGNED)
    found = Dataset()
    found.RescaleSlope, found.RescaleIntercept = slope, -100
    found.WindowCenter, found.WindowWidth, found.VOILUTFunction = center, width, function.value
    found.PhotometricInterpretation, found.BitsStored, found.PixelRepresentation = "MONOCHROME2", 12, 1
    values = apply_modality_lut(pixels(SIGNED, frame), found)
    output = apply_voi_lut(values, found)
    # pydicom's output spans the range of its input, C.11.2.1.2.
    low, high = slope * -2048 - 100, slope * 2047 - 100
    expected = (output - low) / (high - low) * 255
    gray = GrayTransform(slope=slope, intercept=-100, windows=(Window(center, width, function),))
    ours = shown(decoders, replace(SIGNED, gray=gray), frame)
    assert np.abs(ours - expected).max() <= 0.51
    asked = Rendering(Format.PNG, Window(center, width, function))
    other = replace(gray, windows=(Window(7, 8),))
    assert (shown(decoders, replace(SIGNED, gray=other), frame, asked) == ours).all()


def test_lookup_tables(decoders: DecoderPool) -> None:
    description = plain(1, 8, bits=16, stored=8)
    frame = np.array([0, 1, 2, 3, 4, 5, 6, 255], "<u2").tobytes()
    gray = GrayTransform(
        modality_lut=_table(2, 16, [100, 101, 102, 104]), voi_luts=(_table(101, 10, [0, 1023, 500, 250]),)
    )
    ours = shown(decoders, replace(description, gray=gray), frame)
    # 0 … 2 → 100, 3 → 101, 4 → 102, 5 … → 104; → 0, 0, 0, 0, 1023, 250
    assert ours.tolist() == [[0, 0, 0, 0, 255, 62, 62, 62]]
    windowed = replace(gray, windows=(Window(102, 2),))
    assert shown(decoders, replace(description, gray=windowed), frame).tolist() == [[0, 0, 0, 0, 255, 255, 255, 255]]


def test_inverted(decoders: DecoderPool) -> None:
    frame = noise(SIGNED)
    description = replace(SIGNED, gray=GrayTransform(windows=(Window(0, 4096),)))
    plainly = shown(decoders, description, frame)
    for changed in (
        replace(description, photometric_interpretation="MONOCHROME1"),
        replace(description, inverse=True),
        replace(
            description, photometric_interpretation="MONOCHROME1", inverse=True
        ),  # PS3.3 C.8.11.3: one and the same
    ):
        assert (shown(decoders, changed, frame) == 255 - plainly).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_out_of_the_reckoning(decoders: DecoderPool, photometric: str) -> None:
    values = np.tile(np.arange(1000, 1256, dtype="<i2"), (256, 1))
    values[:, :200] = -2000
    description = replace(plain(256, 256, bits=16, signed=True, photometric=photometric), padding=(-2000, -1999))
    ours = shown(decoders, description, values.tobytes())
    assert (ours[:, :200] == 0).all()
    assert {0, 255} == {int(ours[0, 200]), int(ours[0, 255])}


def test_a_window_that_fits(decoders: DecoderPool) -> None:
    """Without one in the object, all but the outermost pixels are told apart; 8 bits are shown as they are."""
    ramp = np.repeat(np.arange(0, 4096, 16, dtype="<u2"), 16).reshape(64, 64).copy()
    ramp[0, 0], ramp[63, 63] = 0, 65535
    ours = shown(decoders, plain(64, 64, bits=16), ramp.tobytes())
    assert len(np.unique(ours)) > 240
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (shown(decoders, plain(16, 16, bits=8), eight.tobytes()) == eight).all()
    assert shown(decoders, plain(2, 2, bits=16), np.full(4, 77, "<u2").tobytes()).shape == (2, 2)
    assert shown(decoders, plain(1, 8, bits=1), b"\x0f").tolist() == [[255] * 4 + [0] * 4]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("sample", [Sample.INTEGER, Sample.FLOAT])
def test_wide_samples(decoders: DecoderPool, bits: int, sample: Sample) -> None:
    name = "f" if sample is Sample.FLOAT else "u"
    ramp = np.linspace(0, 3_000_000, 4096).astype(f"<{name}{bits // 8}").reshape(64, 64)
    sample = Sample.DOUBLE if sample is Sample.FLOAT and bits == 64 else sample
    ours = shown(decoders, replace(plain(64, 64, bits=bits), sample=sample), ramp.tobytes())
    assert ours[0, 0] == 0
    assert ours[63, 63] == 255
    assert (np.diff(ours.reshape(-1).astype(int)) >= 0).all()
    if sample is not Sample.INTEGER:
        ramp = ramp.copy()
        ramp[5, 5], ramp[6, 6] = np.nan, np.inf
        shown(decoders, replace(plain(64, 64, bits=bits), sample=sample), ramp.tobytes())


def test_bits_that_are_not_stored_do_not_show(decoders: DecoderPool) -> None:
    """PS3.5 8.1.1: overlays of old lie above High Bit."""
    frame = noise(plain(16, 16, bits=16, stored=12))
    gray = GrayTransform(windows=(Window(2048, 4096),))
    description = replace(plain(16, 16, bits=16, stored=12), gray=gray)
    overlaid = (np.frombuffer(frame, "<u2") | 0x5000).tobytes()
    assert (shown(decoders, description, overlaid) == shown(decoders, description, frame)).all()
    shifted = (np.frombuffer(frame, "<u2") << 4).tobytes()
    assert (shown(decoders, replace(description, high_bit=15), shifted) == shown(decoders, description, frame)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(decoders: DecoderPool, bits: int) -> None:
    found = Dataset()
    dice = np.random.default_rng(5)
    tables = []
    for colour in ("Red", "Green", "Blue"):
        entries = dice.integers(0, 1 << bits, 200).tolist()
        tables.append(_table(10, bits, entries))
        setattr(found, f"{colour}PaletteColorLookupTableDescriptor", [200, 10, bits])
        setattr(found, f"{colour}PaletteColorLookupTableData", np.array(entries, f"<u{bits // 8}").tobytes())
    description = plain(16, 16, bits=8, photometric="PALETTE COLOR")
    frame = noise(description)
    expected = apply_color_lut(pixels(description, frame), found) >> (bits - 8)
    ours = shown(decoders, replace(description, palette=Palette(*tables)), frame)
    assert (ours == expected).all()


def test_palette_that_declares_16_bits_and_holds_8(decoders: DecoderPool) -> None:
    table = _table(0, 16, [0, 100, 255])
    description = replace(plain(1, 3, bits=8, photometric="PALETTE COLOR"), palette=Palette(table, table, table))
    assert shown(decoders, description, b"\0\1\2").tolist() == [[[0] * 3, [100] * 3, [255] * 3]]


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour(decoders: DecoderPool, planar: int, photometric: str) -> None:
    description = replace(plain(16, 16, bits=8, samples=3, photometric=photometric), planar_configuration=planar)
    colours = pixels(description, noise(description))
    frame = colours.transpose(2, 0, 1).tobytes() if planar else colours.tobytes()
    expected = convert_color_space(colours, photometric, "RGB")
    assert np.abs(shown(decoders, description, frame).astype(int) - expected).max() <= 1


def test_deep_colour(decoders: DecoderPool) -> None:
    description = plain(8, 8, bits=16, stored=12, samples=3)
    frame = noise(description)
    assert (shown(decoders, description, frame) == pixels(description, frame) >> 4).all()


@pytest.mark.parametrize(
    "description",
    [
        plain(2, 2, bits=8, photometric="PALETTE COLOR"),
        plain(2, 2, bits=8, photometric="HSV"),
        plain(2, 2, bits=8, photometric="RGB"),
        plain(2, 2, bits=8, samples=3, photometric="YBR_RCT"),
        plain(2, 2, bits=8, samples=3, photometric="PALETTE COLOR"),
    ],
)
def test_what_cannot_be_shown(decoders: DecoderPool, description: PixelDescription) -> None:
    with pytest.raises(DecodingFailed) as failed:
        decoders.render(description, bytes(description.frame_bytes), PNG)
    assert failed.value.reason == "UNSUPPORTED"


# Place and size.


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        (Viewport(50, 50), (50, 25)),
        (Viewport(400, 100), (200, 100)),
        (Viewport(1, 1), (1, 1)),
        (Viewport(50, 50, 0, 0, 40, 40), (50, 50)),
        (Viewport(30, 60, 10, 10, -15, 30), (30, 60)),
        (Viewport(50, 50, 90, 0, 40, 40), (12, 50)),
        (Viewport(16384, 16384), (11585, 5793)),
    ],
)
def test_viewport(decoders: DecoderPool, viewport: Viewport, size: tuple[int, int]) -> None:
    description = plain(50, 100, bits=8)
    assert image(decoders.render(description, bytes(5000), Rendering(viewport=viewport))).size == size


def test_flipped(decoders: DecoderPool) -> None:
    description = plain(2, 2, bits=8)
    frame = bytes((0, 80, 160, 240))
    for width, height, expected in ((2, 2, [0, 80, 160, 240]), (-2, 2, [80, 0, 240, 160]), (2, -2, [160, 240, 0, 80])):
        rendering = Rendering(Format.PNG, viewport=Viewport(2, 2, 0, 0, width, height))
        assert shown(decoders, description, frame, rendering).reshape(-1).tolist() == expected


@pytest.mark.parametrize(("aspect", "size"), [(2.0, (10, 40)), (0.5, (20, 20)), (1.0, (10, 20)), (100.0, (10, 2000))])
def test_square_pixels(decoders: DecoderPool, aspect: float, size: tuple[int, int]) -> None:
    description = replace(plain(20, 10, bits=8), aspect=aspect)
    assert image(decoders.render(description, bytes(200), PNG)).size == size


def test_enlarging_has_a_bound(decoders: DecoderPool) -> None:
    description = replace(plain(8192, 64, bits=8), aspect=100.0)
    shape = image(decoders.render(description, bytes(description.frame_bytes), Rendering())).size
    assert shape[0] * shape[1] <= 65 * 1024**2


def test_formats(decoders: DecoderPool) -> None:
    description = plain(64, 64, bits=8, samples=3)
    frame = noise(description)
    sizes = [len(decoders.render(description, frame, Rendering(quality=quality))) for quality in (1, 50, 89, 90, 100)]
    assert sizes == sorted(sizes)
    for form, name in ((Format.JPEG, "JPEG"), (Format.PNG, "PNG")):
        opened = image(decoders.render(description, frame, Rendering(form)))
        assert (opened.format, opened.mode, opened.size) == (name, "RGB", (64, 64))
    assert image(decoders.render(plain(64, 64, bits=8), bytes(4096), THUMBNAIL)).mode == "L"
    assert max(image(decoders.render(description, frame, THUMBNAIL)).size) == 128
