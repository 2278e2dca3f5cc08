"""Text burned into pixels is found by OCR in the sandbox; what it says is told to nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy
import pytest
from PIL import Image, ImageDraw, ImageFont

from leadglass.cli.tessdata import models
from leadglass.errors import NotAvailable
from leadglass.inspection.files import FileInspector
from leadglass.inspection.second import SecondLook
from leadglass.inspection.verdict import Finding
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool, reading_program
from tests.clients import packaged_files
from tests.hostile.case import JPEG, PIXELS, element, encode, fragments, image, part10

SIDE = 384
NUMBER = "536-90-4399"


@pytest.fixture(scope="module")
def readers() -> Iterator[DecoderPool]:
    try:
        program = reading_program(str(models()))
    except NotAvailable as missing:
        if os.environ.get("CI"):
            pytest.fail(f"CI installs it: {missing}")
        pytest.skip(str(missing))
    pool = DecoderPool(DecoderLimits(workers=1, job_seconds=120, start_seconds=120), program)
    yield pool
    pool.close()


def frame(text: str, *, dark: bool = False) -> bytes:
    """Gray noise with text at its top, as an ultrasound machine writes it; `dark`: black on white."""
    noise = numpy.random.default_rng(1).normal(60, 15, (SIDE, SIDE)).clip(0, 255).astype("u1")
    picture = Image.new("L", (SIDE, SIDE), 255) if dark else Image.fromarray(noise)
    font = ImageFont.load_default(16)
    ImageDraw.Draw(picture).text((12, 12), text, fill=0 if dark else 255, font=font)
    return picture.tobytes()


def native(*frames: bytes) -> bytes:
    described = image(SIDE, SIDE) | {0x00100030: (b"DA", b"19700203"), 0x00280008: (b"IS", b"%d" % len(frames))}
    return part10(encode(described) + element(PIXELS, b"OB", b"".join(frames)))


def found(data: bytes, readers: DecoderPool) -> tuple[Finding, ...]:
    report = FileInspector().inspect(BytesIO(data))
    return SecondLook(readers=readers).look(report, lambda: BytesIO(data)).findings


def told(data: bytes, readers: DecoderPool) -> set[tuple[str, str, str]]:
    return {(each.reason.code, each.path, each.detail) for each in found(data, readers)}


def test_who_is_named_in_the_pixels(readers: DecoderPool) -> None:
    one = "(7FE0,0010) frame 1"
    assert told(native(frame("")), readers) == set()
    seen = told(native(frame(f"HOSTILE TEST  02.03.1970\nSSN {NUMBER}")), readers)
    assert ("burned-in-identity", one, "the patient's name") in seen
    assert "ssn-formatted" in {code for code, _, _ in seen}
    scale = told(native(frame("Gain 60 Depth 12 cm\nLiver")), readers)
    assert {code for code, _, _ in scale} == {"burned-in-text"}
    born = told(native(frame("Born 1970-02-03", dark=True)), readers)
    assert ("burned-in-identity", one, "the date of birth") in born


def test_a_sample_of_frames_is_read(readers: DecoderPool) -> None:
    blank = frame("")
    data = native(blank, blank, frame("Hostile Test"), blank, blank)
    assert {path for _, path, _ in told(data, readers)} == {"(7FE0,0010) frame 3"}
    data = native(blank, frame("Hostile Test"), blank, blank, blank)
    assert told(data, readers) == set()


def test_encapsulated_frames_are_read_too(readers: DecoderPool) -> None:
    pixels = numpy.frombuffer(frame("Hostile Test"), "u1").reshape(SIDE, SIDE)
    coded = bytes(imagecodecs.jpeg8_encode(pixels))
    data = part10(encode(image(SIDE, SIDE)) + fragments(coded), syntax=JPEG)
    assert ("burned-in-identity", "(7FE0,0010) frame 1", "the patient's name") in told(data, readers)


def test_a_real_ultrasound_image_shows_its_number(readers: DecoderPool) -> None:
    """pydicom packages it: the machine wrote the patient's number into the picture."""
    (path,) = (each for each in packaged_files() if each.name == "examples_palette.dcm")
    assert ("burned-in-identity", "(7FE0,0010) frame 1", "the patient's number") in told(path.read_bytes(), readers)


def test_nothing_that_was_read_is_told(readers: DecoderPool) -> None:
    everything = repr(found(native(frame(f"HOSTILE TEST {NUMBER}")), readers)).casefold()
    assert "burned-in-identity" in everything
    assert "hostile" not in everything.replace("tests.hostile", "")
    assert NUMBER not in everything


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "leadglass.cli", "inspect", str(folder), "--jobs", "1", "--ocr"]
    return subprocess.run(
        [*command, "--json", str(folder / "log.json")],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, **environment},
    )


def test_as_a_user_asks_for_it(readers: DecoderPool, tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(native(frame("Hostile Test")))
    done = run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    record = json.loads((tmp_path / "log.json").read_text().splitlines()[0])
    assert record["counts"] == {"burned-in-text": 1, "burned-in-identity": 1}


def test_without_it_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadglass.cli.tessdata.find_spec", lambda _name: None)
    with pytest.raises(NotAvailable, match="not installed") as raised:
        models()
    assert "leadglass[ocr]" in raised.value.remedy
    monkeypatch.undo()
    monkeypatch.setattr("leadglass.cli.tessdata._FOLDERS", ())
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    with pytest.raises(NotAvailable, match=r"eng\.traineddata"):
        models()
