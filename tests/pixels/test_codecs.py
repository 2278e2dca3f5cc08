"""Every family of transfer syntaxes, at every depth and sign that it can hold."""

import zlib
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest

from leadglass.dicom.uids import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.errors import DecodingFailed
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.syntaxes import DECODED, ENCODED, JPEG_BASELINE, JPEG_XL_LOSSLESS, RLE
from tests.pixels.images import noise, pixels, plain

ROOT = "1.2.840.10008.1.2."
DEFLATED_FRAMES = ROOT + "8.1"

SHAPES = [
    plain(17, 23, bits=8),
    plain(17, 23, bits=8, signed=True),
    plain(17, 23, bits=16, stored=12),
    plain(17, 23, bits=16, stored=12, signed=True),
    plain(17, 23, bits=16),
    plain(17, 23, bits=16, signed=True),
    plain(17, 23, bits=8, samples=3),
    plain(17, 23, bits=16, samples=3),
    plain(1, 1, bits=16),
    plain(1, 300, bits=8),
]


def _name(description: PixelDescription) -> str:
    sign = "signed" if description.signed else "unsigned"
    return f"{description.samples_per_pixel}x{description.bits_stored}{sign}{description.rows}x{description.columns}"


@pytest.mark.parametrize("description", SHAPES, ids=_name)
@pytest.mark.parametrize("target", ENCODED)
def test_round_trip(decoders: DecoderPool, description: PixelDescription, target: str) -> None:
    frame = noise(description)
    encoded = decoders.transcode(description, frame, target)
    there = replace(description, transfer_syntax=target)
    assert decoders.decode(there, encoded) == frame
    # And from there to every other, which shows that nothing hides in what only our decoder reads.
    for other in ENCODED:
        again = decoders.transcode(there, encoded, other)
        assert decoders.decode(replace(description, transfer_syntax=other), again) == frame


@pytest.mark.parametrize("target", [each for each in ENCODED if each != EXPLICIT_LE])
def test_frames_are_of_even_length(decoders: DecoderPool, target: str) -> None:
    for columns in range(1, 9):
        description = plain(3, columns, bits=8)
        assert len(decoders.transcode(description, noise(description), target)) % 2 == 0


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("signed", [False, True])
def test_wide_samples_go_into_rle(decoders: DecoderPool, bits: int, signed: bool) -> None:
    description = plain(9, 11, bits=bits, stored=40 if bits == 64 else 32, signed=signed)
    frame = noise(description)
    encoded = decoders.transcode(description, frame, RLE)
    assert decoders.decode(replace(description, transfer_syntax=RLE), encoded) == frame
    with pytest.raises(DecodingFailed) as failed:
        decoders.transcode(description, frame, ENCODED[-1])
    assert failed.value.reason == "UNSUPPORTED"


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_big_endian_becomes_little(decoders: DecoderPool, bits: int) -> None:
    description = plain(5, 6, bits=bits)
    frame = noise(description)
    swapped = pixels(description, frame).byteswap().tobytes()
    assert decoders.decode(replace(description, transfer_syntax=EXPLICIT_BE), swapped) == frame


def test_bytes_in_words_of_big_endian(decoders: DecoderPool) -> None:
    """PS3.5 8.1.1: 8-bit samples as OW are swapped in pairs."""
    description = plain(2, 2, bits=8, transfer_syntax=EXPLICIT_BE)
    assert decoders.decode(description, b"\1\2\3\4") == b"\1\2\3\4"
    assert decoders.decode(replace(description, word_swapped=True), b"\2\1\4\3") == b"\1\2\3\4"


def test_planes_become_pixels(decoders: DecoderPool) -> None:
    description = replace(plain(1, 2, bits=8, samples=3), planar_configuration=1)
    assert decoders.decode(description, b"\1\2\3\4\5\6") == b"\1\3\5\2\4\6"


def test_chroma_is_spread(decoders: DecoderPool) -> None:
    description = plain(1, 4, bits=8, samples=3, photometric="YBR_FULL_422")
    native = decoders.decode(description, b"\1\2\x80\x90\3\4\xa0\xb0")
    assert native == b"\1\x80\x90\2\x80\x90\3\xa0\xb0\4\xa0\xb0"


def test_single_bits(decoders: DecoderPool) -> None:
    description = plain(3, 7, bits=1)
    frame = noise(description)
    assert decoders.decode(description, frame) == frame
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflater.compress(frame) + deflater.flush()
    assert decoders.decode(replace(description, transfer_syntax=DEFLATED_FRAMES), deflated) == frame
    assert decoders.transcode(replace(description, transfer_syntax=DEFLATED_FRAMES), deflated, EXPLICIT_LE) == frame


@pytest.mark.parametrize("syntax", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_LE + ".98", EXPLICIT_LE + ".99"])
def test_native_frames_may_be_padded_to_even_length(decoders: DecoderPool, syntax: str) -> None:
    description = plain(3, 3, bits=8, transfer_syntax=syntax)
    assert decoders.decode(description, bytes(range(10))) == bytes(range(9))
    for wrong in (8, 11):
        with pytest.raises(DecodingFailed) as failed:
            decoders.decode(description, bytes(wrong))
        assert failed.value.reason == "MISMATCH"


# JPEG, of which nothing is written here.


@pytest.mark.parametrize(("syntax", "stored"), [("4.57", 8), ("4.57", 12), ("4.70", 12), ("4.70", 16), ("4.70", 8)])
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_jpeg(decoders: DecoderPool, syntax: str, stored: int, signed: bool) -> None:
    bits = 8 if stored == 8 else 16
    description = plain(19, 13, bits=bits, stored=stored, signed=signed, transfer_syntax=ROOT + syntax)
    frame = noise(description)
    # JPEG has no signs: only the bits are stored.
    unsigned = pixels(description, frame).view(f"<u{bits // 8}") & ((1 << stored) - 1)
    predictor = 1 if syntax == "4.70" else 6
    encoded = imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=predictor, bitspersample=stored)
    assert decoders.decode(description, encoded) == frame


@pytest.mark.parametrize("syntax", ["4.50", "4.51", "4.53", "4.55"])
def test_lossy_jpeg_gray(decoders: DecoderPool, syntax: str) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    encoded = imagecodecs.jpeg8_encode(ramp, level=95)
    description = plain(32, 64, bits=8, transfer_syntax=ROOT + syntax)
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - ramp).max() <= 2


def test_lossy_jpeg_of_12_bits(decoders: DecoderPool) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint16) * 64, (32, 1))
    encoded = imagecodecs.jpeg8_encode(ramp, level=98, bitspersample=12)
    description = plain(32, 64, bits=16, stored=12, transfer_syntax=ROOT + "4.51")
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - ramp).max() <= 16


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL", "RGB"])
@pytest.mark.parametrize("adobe", [None, 0, 1])
def test_colours_of_lossy_jpeg(decoders: DecoderPool, photometric: str, adobe: int | None) -> None:
    """PS3.5 8.2.1: the Photometric Interpretation says what is stored, unless an Adobe segment contradicts it."""
    stored_as_ybr = photometric != "RGB" if adobe is None else bool(adobe)
    red = np.zeros((16, 16, 3), np.uint8)
    red[...] = (200, 30, 40)
    space = "YCBCR" if stored_as_ybr else "RGB"
    encoded = _without_markers(bytes(imagecodecs.jpeg8_encode(red, 98, colorspace="RGB", outcolorspace=space)))
    if adobe is not None:
        encoded = encoded[:2] + b"\xff\xee\0\x0eAdobe\0d\0\0\0\0" + bytes([adobe]) + encoded[2:]
    description = plain(16, 16, bits=8, samples=3, photometric=photometric, transfer_syntax=JPEG_BASELINE)
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - red).max() <= 4


def _without_markers(jpeg: bytes) -> bytes:
    """Without JFIF and Adobe segments."""
    at, kept = 2, [jpeg[:2]]
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] not in (0xE0, 0xEE):
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]])


@pytest.mark.parametrize("interleaved", ["4.80", "4.81"])
def test_near_lossless_jpeg_ls(decoders: DecoderPool, interleaved: str) -> None:
    level = 0 if interleaved == "4.80" else 3
    description = plain(33, 21, bits=16, stored=12, transfer_syntax=ROOT + interleaved)
    values = pixels(description, noise(description))
    encoded = imagecodecs.jpegls_encode(values, level, out=4 * values.nbytes)
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - values).max() <= level


@pytest.mark.parametrize("level", [0, 40])
def test_lossy_jpeg_2000_with_its_colour_transform(decoders: DecoderPool, level: int) -> None:
    description = plain(32, 32, bits=8, samples=3, photometric="YBR_ICT" if level else "YBR_RCT")
    description = replace(description, transfer_syntax=ROOT + ("4.91" if level else "4.90"))
    colours = pixels(description, noise(description)).copy()
    colours[:] = colours[:1, :1]
    encoded = imagecodecs.jpeg2k_encode(colours, level, codecformat="J2K", reversible=not level, mct=True)
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - colours).max() <= (3 if level else 0)


def test_jpeg_2000_in_a_file_that_should_not_be_there(decoders: DecoderPool) -> None:
    description = plain(16, 16, bits=16, transfer_syntax=ROOT + "4.90")
    frame = noise(description)
    encoded = imagecodecs.jpeg2k_encode(pixels(description, frame), 0, codecformat="JP2", reversible=True)
    assert decoders.decode(description, encoded) == frame


@pytest.mark.parametrize(
    "description", [plain(17, 40, bits=8), plain(17, 40, bits=16), plain(24, 48, bits=8, samples=3)]
)
@pytest.mark.parametrize("container", [False, True])
def test_jpeg_xl(decoders: DecoderPool, description: PixelDescription, container: bool) -> None:
    frame = noise(description)
    encoded = imagecodecs.jpegxl_encode(pixels(description, frame), lossless=True, usecontainer=container)
    for syntax in (JPEG_XL_LOSSLESS, ROOT + "4.112"):
        assert decoders.decode(replace(description, transfer_syntax=syntax), encoded) == frame


def test_jpeg_recompressed_as_jpeg_xl(decoders: DecoderPool) -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    encoded = imagecodecs.jpegxl_encode_jpeg(imagecodecs.jpeg8_encode(ramp, level=95))
    description = plain(32, 64, bits=8, transfer_syntax=ROOT + "4.111")
    decoded = pixels(description, decoders.decode(description, encoded)).astype(int)
    assert abs(decoded - ramp).max() <= 3


@pytest.mark.parametrize("uid", sorted(set(TRANSFER_SYNTAXES) - set(DECODED)))
def test_what_no_codec_reads_is_refused(decoders: DecoderPool, uid: str) -> None:
    with pytest.raises(DecodingFailed) as failed:
        decoders.decode(plain(transfer_syntax=uid), bytes(128))
    assert failed.value.reason == "UNSUPPORTED"
    assert failed.value.http_status == 406
