"""Every sample's pixels are what other decoders make of them; what cannot be decoded is named here, with the reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leadglass.dicom.uids import EXPLICIT_LE
from leadglass.errors import DecodingFailed
from leadglass.pixels.description import PixelDescription, Sample
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.rendering import THUMBNAIL, Format, Rendering
from leadglass.pixels.syntaxes import DECODED, ENCODED, RLE, Family
from leadglass.pixels.transcoding import changes, native_form
from tests.dicom.oracle import sample_files
from tests.dicom.test_samples import broken
from tests.pixels.images import image
from tests.pixels.oracle import expected, samples_of
from tests.pixels.stored import Stored, stored

#: Name (or its end) → why its pixels cannot be read.
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "MISMATCH",  # its header was overwritten with a delimiter
    "SC_rgb_small_odd_big_endian.dcm": "UNSUPPORTED",  # a word of OW lies half outside the frame
}
#: Objects that say nothing of pixels that they hold, or nothing that makes sense.
NO_IMAGE = ("badVR.dcm", "nested_priv_SQ.dcm")


def _images() -> list[tuple[Path, Stored]]:
    found = []
    for path in sample_files():
        if not broken(path) and not path.name.endswith(NO_IMAGE):
            try:
                found.append((path, stored(path)))
            except DecodingFailed as error:
                assert error.message == "The object has no pixels to show."
    return found


@pytest.fixture(scope="module", params=_images(), ids=lambda each: each[0].name)
def sample(request: pytest.FixtureRequest) -> tuple[Path, Stored]:
    found: tuple[Path, Stored] = request.param
    return found


@pytest.fixture(scope="module")
def reason(sample: tuple[Path, Stored]) -> str:
    return REFUSED.get(sample[0].name.removeprefix("pydicom__"), "")


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_decoded_as_others_do(
    decoders: DecoderPool, sample: tuple[Path, Stored], reason: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, found = sample
    description, folder = found.description, tmp_path_factory.mktemp("native")
    for index in sorted({0, len(found.frames) - 1}):
        frame = found.frames[index]
        if reason:
            with pytest.raises(DecodingFailed) as failed:
                decoders.decode(description, frame, index + 1)
            assert failed.value.reason == decoders.check(description, frame).failure.name == reason  # type: ignore[union-attr]
            continue
        if path.name == "fo-dicom__multiframe.dcm" and index:  # tiles at its borders are smaller than declared
            checked = decoders.check(description, frame)
            assert checked.failure is not None
            assert (checked.failure.name, checked.codestream.rows, checked.codestream.columns) == ("MISMATCH", 121, 55)
            continue
        ours = samples_of(description, decoders.decode(description, frame, index + 1))
        theirs = expected(path, description, frame, index, folder)
        assert ours.shape == theirs.shape
        rounding = description.samples_per_pixel == 3 and description.photometric_interpretation.startswith("YBR_FULL")
        assert int(np.abs(ours.astype(np.float64) - theirs).max()) <= (1 if rounding else 0)


def test_rendered(decoders: DecoderPool, sample: tuple[Path, Stored], reason: str) -> None:
    description, frame = sample[1].description, sample[1].frames[0]
    if reason:
        return
    shown = image(decoders.render(description, frame, Rendering(Format.PNG)))
    assert shown.width >= description.columns
    assert shown.height >= description.rows
    small = image(decoders.render(description, frame, THUMBNAIL))
    assert max(small.size) == 128


@pytest.mark.parametrize("target", ENCODED)
def test_transcoded_without_loss(decoders: DecoderPool, sample: tuple[Path, Stored], reason: str, target: str) -> None:
    description, frame = sample[1].description, sample[1].frames[0]
    if reason:
        return
    if not _can_hold(target, description):
        with pytest.raises(DecodingFailed) as failed:
            decoders.transcode(description, frame, target)
        assert failed.value.reason == "UNSUPPORTED"
        return
    transcoded = decoders.transcode(description, frame, target)
    described = described_as(description, target)
    assert decoders.decode(described, transcoded) == decoders.decode(description, frame)


def described_as(description: PixelDescription, target: str) -> PixelDescription:
    """By the attributes that `changes` sets, in the data set that then holds the frame."""
    changed = changes(description)
    return replace(
        description,
        transfer_syntax=target,
        word_swapped=False,
        photometric_interpretation=str(changed.get(0x00280004, description.photometric_interpretation)),
        planar_configuration=int(changed.get(0x00280006, description.planar_configuration)),
    )


def _can_hold(target: str, description: PixelDescription) -> bool:
    if target == EXPLICIT_LE:
        return True
    if description.sample is not Sample.INTEGER or description.bits_allocated == 1:
        return False
    return target == RLE or description.bits_allocated <= 16


def test_the_samples_hold_these_families() -> None:
    """So that a missing sample folder does not pass unnoticed."""
    found = {DECODED[each.description.transfer_syntax] for _, each in _images()}
    assert found >= set(Family) - {Family.JPEG_XL, Family.HTJ2K, Family.DEFLATED}


def test_native_form_needs_no_decoding(decoders: DecoderPool, sample: tuple[Path, Stored], reason: str) -> None:
    description, frame = sample[1].description, sample[1].frames[0]
    if not reason:
        native = decoders.decode(description, frame)
        assert decoders.decode(native_form(description), native) == native
