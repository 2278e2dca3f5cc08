"""Frames that were made to do harm: bombs, codestreams cut short or bent, and noise. The pool answers, and goes on."""

import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from struct import pack

import imagecodecs
import pytest

from leadglass.errors import DecodingFailed
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import Codestream, Failure
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.syntaxes import (
    HTJ2K_LOSSLESS,
    JPEG_2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    JPEG_XL_LOSSLESS,
    RLE,
)
from tests.pixels.images import noise, pixels, plain

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
LOSSLESS_JPEG = "1.2.840.10008.1.2.4.70"
SMALL = plain(32, 32, bits=8)


def _deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


def _jpeg(description: PixelDescription) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(pixels(description, noise(description))))


def _lossless(description: PixelDescription) -> bytes:
    values, bits = pixels(description, noise(description)), description.bits_stored
    return bytes(imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=bits))


def _jpeg_xl(description: PixelDescription) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(pixels(description, noise(description)), lossless=True))


ENCODERS: dict[str, Callable[[DecoderPool, PixelDescription], bytes]] = {
    JPEG_BASELINE: lambda _, description: _jpeg(description),
    LOSSLESS_JPEG: lambda _, description: _lossless(description),
    JPEG_XL_LOSSLESS: lambda _, description: _jpeg_xl(description),
    DEFLATED_FRAMES: lambda _, description: _deflated(noise(description)),
    **{
        syntax: lambda pool, description, syntax=syntax: pool.transcode(description, noise(description), syntax)  # type: ignore[misc]
        for syntax in (RLE, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS)
    },
}


def _encoded(pool: DecoderPool, syntax: str, description: PixelDescription) -> tuple[PixelDescription, bytes]:
    return replace(description, transfer_syntax=syntax), ENCODERS[syntax](pool, description)


def _refusals(syntax: str) -> set[str]:
    """What a codec may say of a frame that is bent. OpenJPH divides by zero now and then; nobody else may crash."""
    return {"", "BROKEN", "MISMATCH"} | ({"CRASHED"} if syntax == HTJ2K_LOSSLESS else set())


def _answer(pool: DecoderPool, description: PixelDescription, frame: bytes) -> str:
    """ "" or the reason of the failure."""
    try:
        decoded = pool.decode(description, frame)
    except DecodingFailed as error:
        return error.reason
    assert len(decoded) == description.frame_bytes
    return ""


# Sizes.


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("declared", [(31, 32), (32, 31), (2, 2), (4096, 4096), (32, 33)])
def test_declared_is_not_actual(decoders: DecoderPool, syntax: str, declared: tuple[int, int]) -> None:
    description, frame = _encoded(decoders, syntax, SMALL)
    wrong = replace(description, rows=declared[0], columns=declared[1])
    checked = decoders.check(wrong, frame)
    assert checked.failure in (Failure.MISMATCH, Failure.BROKEN)
    if checked.codestream != Codestream():
        assert (checked.codestream.rows, checked.codestream.columns) == (32, 32)
    assert _answer(decoders, description, frame) == ""


@pytest.mark.parametrize("syntax", [JPEG_BASELINE, LOSSLESS_JPEG, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS])
def test_other_samples_than_declared(decoders: DecoderPool, syntax: str) -> None:
    _, frame = _encoded(decoders, syntax, plain(32, 32, bits=8, samples=3))
    checked = decoders.check(replace(SMALL, transfer_syntax=syntax), frame)
    assert checked.failure is Failure.MISMATCH
    assert checked.codestream == Codestream(32, 32, 3, 8)


@pytest.mark.parametrize(
    "syntax", [LOSSLESS_JPEG, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS, HTJ2K_LOSSLESS, JPEG_XL_LOSSLESS]
)
def test_deeper_than_declared(decoders: DecoderPool, syntax: str) -> None:
    _, frame = _encoded(decoders, syntax, plain(32, 32, bits=16))
    checked = decoders.check(replace(SMALL, transfer_syntax=syntax), frame)
    assert checked.failure is Failure.MISMATCH
    assert checked.codestream == Codestream(32, 32, 1, 16)


def test_a_small_jpeg_that_says_65500_by_65500(decoders: DecoderPool) -> None:
    frame = bytearray(_jpeg(SMALL))
    at = frame.index(b"\xff\xc0")
    frame[at + 5 : at + 9] = pack(">HH", 65500, 65500)
    checked = decoders.check(replace(SMALL, transfer_syntax=JPEG_BASELINE), frame)
    assert checked == type(checked)(Failure.MISMATCH, Codestream(65500, 65500, 1, 8))
    huge = plain(65500, 65500, bits=8, transfer_syntax=JPEG_BASELINE)
    assert decoders.check(huge, frame).failure is Failure.TOO_LARGE


def test_a_small_jpeg_2000_that_says_4_gigapixels(decoders: DecoderPool) -> None:
    description, encoded = _encoded(decoders, JPEG_2000_LOSSLESS, SMALL)
    frame = bytearray(encoded)
    frame[8:16] = pack(">II", 65535, 65535)
    assert decoders.check(description, frame).failure is Failure.MISMATCH
    assert decoders.check(replace(description, rows=65535, columns=65535), frame).failure is Failure.TOO_LARGE
    # Within the limits, but of tiles that are not there.
    frame[8:16] = pack(">II", 4096, 4096)
    large = replace(description, rows=4096, columns=4096)
    assert _answer(decoders, large, bytes(frame)) in ("", "BROKEN", "MEMORY")


def test_a_second_header_that_says_more(decoders: DecoderPool) -> None:
    """What is checked must be what is decoded."""
    frame = _jpeg(SMALL)
    at = frame.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    second = bytearray(frame[at:end])
    second[5:9] = pack(">HH", 60000, 60000)
    bent = frame[:end] + bytes(second) + frame[end:]
    assert _answer(decoders, replace(SMALL, transfer_syntax=JPEG_BASELINE), bent) in ("", "BROKEN")


def test_deflate_bombs(decoders: DecoderPool) -> None:
    description = replace(SMALL, transfer_syntax=DEFLATED_FRAMES)
    bomb = _deflated(bytes(200 * 1024**2))
    assert len(bomb) < 250_000
    assert _answer(decoders, description, bomb) == "MISMATCH"


def test_run_length_bombs(decoders: DecoderPool) -> None:
    description = replace(SMALL, transfer_syntax=RLE)
    runs = b"\x81\0" * 2_000_000
    frame = pack("<16I", 1, 64, *(0,) * 14) + runs
    assert _answer(decoders, description, frame) in ("BROKEN", "MISMATCH")


@pytest.mark.parametrize(
    "header",
    [
        pack("<16I", 0, *(0,) * 15),
        pack("<16I", 16, *(64,) * 15),
        pack("<16I", 2, 64, 64, *(0,) * 13),
        pack("<16I", 1, 63, *(0,) * 14),
        pack("<16I", 1, 2**32 - 1, *(0,) * 14),
        pack("<16I", 1, 66, *(0,) * 14),
        b"\1",
        b"",
    ],
)
def test_run_length_headers_that_lie(decoders: DecoderPool, header: bytes) -> None:
    assert _answer(decoders, replace(SMALL, transfer_syntax=RLE), header) in ("BROKEN", "MISMATCH")


def test_what_is_declared_has_a_bound() -> None:
    limits = DecoderLimits(workers=1, encoded_bytes=100, decoded_bytes=200, object_bytes=1000)
    pool = DecoderPool(limits, ("-c", "raise SystemExit(1)"))  # No worker is ever asked.
    for description, length in (
        (plain(10, 10, bits=8), 101),
        (plain(10, 21, bits=8), 100),
        (plain(65535, 65535, bits=64, samples=3), 1),
        (replace(plain(10, 20, bits=8), number_of_frames=6), 100),
        (replace(plain(1, 1, bits=8), number_of_frames=2**31 - 1), 1),
    ):
        with pytest.raises(DecodingFailed) as failed:
            pool.decode(description, bytes(length))
        assert failed.value.reason == "TOO_LARGE"
        assert pool.check(description, bytes(length)).failure is Failure.TOO_LARGE
    pool.close()


# Bytes.


@pytest.mark.parametrize("syntax", ENCODERS)
def test_cut_short_anywhere(decoders: DecoderPool, syntax: str) -> None:
    description, frame = _encoded(decoders, syntax, SMALL)
    lengths = range(0, len(frame), max(1, len(frame) // 60))
    reasons = {_answer(decoders, description, frame[:length]) for length in lengths}
    assert "BROKEN" in reasons or "MISMATCH" in reasons
    assert reasons <= _refusals(syntax)
    assert _answer(decoders, description, frame) == ""


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("samples", [1, 3])
def test_bent_codestreams(decoders: DecoderPool, syntax: str, samples: int) -> None:
    """Whatever becomes of a frame, the next one is decoded."""
    description, frame = _encoded(decoders, syntax, plain(16, 16, bits=8, samples=samples))
    dice = random.Random(f"{syntax} {samples}")
    for _ in range(120):
        bent = bytearray(frame)
        for _ in range(dice.choice((1, 1, 2, 8))):
            at = dice.randrange(len(bent))
            bent[at] = dice.choice((dice.randrange(256), 0, 255))
        assert _answer(decoders, description, bytes(bent)) in _refusals(syntax)
    assert _answer(decoders, description, frame) == ""


@pytest.mark.parametrize("syntax", ENCODERS)
def test_noise(decoders: DecoderPool, syntax: str) -> None:
    description, frame = _encoded(decoders, syntax, SMALL)
    dice = random.Random(syntax)
    for _ in range(60):
        kept = dice.randrange(len(frame) // 2)
        assert _answer(decoders, description, frame[:kept] + dice.randbytes(dice.randrange(2000))) in _refusals(syntax)
    assert _answer(decoders, description, frame) == ""
