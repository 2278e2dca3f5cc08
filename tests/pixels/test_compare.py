"""Two frames beside each other in the sandbox: which pixels differ, and a picture that shows where."""

import numpy as np
import pytest

from leadglass.errors import DecodingFailed
from leadglass.pixels.difference import Box, PixelDifference
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.rendering import Format, Rendering
from leadglass.pixels.syntaxes import JPEG_2000_LOSSLESS
from tests.pixels.images import image, noise, pixels, plain

PNG = Rendering(Format.PNG)
GRAY = plain(24, 40, bits=16, stored=12)


def test_frames_that_say_the_same(decoders: DecoderPool) -> None:
    frame = noise(GRAY)
    found = decoders.compare(GRAY, frame, GRAY, frame, PNG)
    assert (found.pixels, found.box, found.largest) == (0, None, 0)
    coded = decoders.transcode(GRAY, frame, JPEG_2000_LOSSLESS)
    compressed = plain(24, 40, bits=16, stored=12, transfer_syntax=JPEG_2000_LOSSLESS)
    assert decoders.compare(GRAY, frame, compressed, coded, PNG).pixels == 0


@pytest.mark.parametrize("samples", [1, 3])
def test_where_and_how_much_they_differ(decoders: DecoderPool, samples: int) -> None:
    description = plain(24, 40, bits=8, samples=samples)
    frame = noise(description)
    altered = pixels(description, frame).copy()
    for row, column in ((3, 7), (20, 31)):
        value = int(altered[row, column].max()) if samples == 3 else int(altered[row, column])
        altered[row, column] = value + 100 if value < 128 else value - 100
    found = decoders.compare(description, frame, description, altered.tobytes(), PNG)
    assert (found.pixels, found.box) == (2, Box(7, 3, 31, 20))
    apart = np.abs(pixels(description, frame).astype(int) - altered.astype(int)).max()
    assert found.largest == apart
    shown = np.asarray(image(found.picture).convert("RGB")).astype(int)
    assert shown.shape == (24, 40, 3)
    red = shown[..., 0] - shown[..., 2]
    for row, column in ((3, 7), (20, 31)):
        assert red[row, column] > 150


def test_a_mark_at_the_edge_is_seen(decoders: DecoderPool) -> None:
    frame = bytes(GRAY.frame_bytes)
    altered = b"\xff\x0f" + frame[2:]
    found = decoders.compare(GRAY, frame, GRAY, altered, PNG)
    assert (found.pixels, found.box, found.largest) == (1, Box(0, 0, 0, 0), 4095)
    assert image(found.picture).convert("RGB").getpixel((0, 0)) == (255, 92, 70)


def test_frames_of_two_sizes_are_not_compared(decoders: DecoderPool) -> None:
    with pytest.raises(DecodingFailed) as failed:
        decoders.compare(GRAY, noise(GRAY), plain(40, 24, bits=16, stored=12), noise(GRAY), PNG)
    assert failed.value.reason == "MISMATCH"


@pytest.mark.parametrize(
    "answer",
    [
        b"short",
        PixelDifference(1, Box(5, 5, 40, 6), 1, b"").encode(),
        PixelDifference(1, Box(5, 7, 6, 6), 1, b"").encode(),
        PixelDifference(5, Box(5, 5, 6, 6), 1, b"").encode(),
        PixelDifference(1, Box(5, 5, 6, 6), float("nan"), b"").encode(),
    ],
)
def test_a_worker_is_not_believed(answer: bytes) -> None:
    with pytest.raises(DecodingFailed) as failed:
        PixelDifference.decode(answer, GRAY)
    assert failed.value.reason == "NONSENSE"
