"""Frames decoded in the sandbox: real ones decode, and a decoder that comes to grief over one tells of the object."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy
import pytest

from leadglass.errors import NotAvailable
from leadglass.inspection.files import FileInspector
from leadglass.inspection.media import MediaInspector, Subject
from leadglass.inspection.second import SecondLook
from leadglass.inspection.verdict import VerdictKind
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import Checked, DecoderPool
from tests.dicom.oracle import sample_files
from tests.hostile import samples as s
from tests.hostile.case import DEFLATED_FRAMES, J2K, JPEG, encapsulated, fragments, pixels, us, whole

SAMPLES = numpy.frombuffer(pixels()[1], "u1").reshape(16, 16)
PROGRAMS = Path(__file__).parents[1] / "pixels"


class Counting:
    """A pool that is asked, and how often."""

    def __init__(self, pool: DecoderPool) -> None:
        self._pool = pool
        self.count = 0

    def check(self, description: PixelDescription, frame: bytes) -> Checked:
        self.count += 1
        return self._pool.check(description, frame)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Counting]:
    # A machine that is busy with other tests takes its time.
    pool = DecoderPool(DecoderLimits(workers=1, job_seconds=60, start_seconds=120))
    yield Counting(pool)
    pool.close()


def told(data: bytes, folder: Path, decoders: Counting | DecoderPool) -> list[tuple[str, str]]:
    path = folder / "inspected.dcm"
    path.write_bytes(data)
    inspector = MediaInspector(FileInspector(), second=SecondLook(decoders))
    (inspected,) = inspector.inspect(Subject(path, len(data), 0))
    return [(each.reason.code, each.path) for each in inspected.report.findings]


def jpeg() -> bytes:
    return bytes(imagecodecs.jpeg8_encode(SAMPLES))


def jpeg_2000() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(SAMPLES, codecformat="j2k", reversible=True))


def test_real_files_decode(decoders: Counting, tmp_path: Path) -> None:
    inspector = MediaInspector(FileInspector(), second=SecondLook(decoders))
    for path in sample_files():
        for inspected in inspector.inspect(Subject(path, path.stat().st_size, 0)):
            codes = {each.reason.code for each in inspected.report.findings}
            assert not codes & {"decoder", "pixels-broken", "pixels-not-checked"}, path.name
    assert decoders.count > 100


def test_each_frame_is_decoded(decoders: Counting, tmp_path: Path) -> None:
    before = decoders.count
    assert told(whole(), tmp_path, decoders) == []
    assert decoders.count == before  # Native pixels need no decoder.
    three = {0x00280008: (b"IS", b"3 ")}
    good, halves = jpeg(), (jpeg()[:100], jpeg()[100:])
    assert told(encapsulated(fragments(good, good, good), JPEG, extra=three), tmp_path, decoders) == []
    assert told(encapsulated(fragments(good, *halves, good), JPEG, extra=three), tmp_path, decoders) == []
    assert decoders.count == before + 6
    image = jpeg_2000()
    broken = encapsulated(fragments(image, s.jpeg_2000(), image), J2K, extra=three)
    assert told(broken, tmp_path, decoders) == [("pixels-broken", "(7FE0,0010) frame 2")]
    # Four fragments for three frames, of which nothing tells where the second begins.
    confused = encapsulated(fragments(good, bytes(64), bytes(64), good), JPEG, extra=three)
    assert ("pixels-not-checked", "(7FE0,0010)") in told(confused, tmp_path, decoders)


def test_what_declares_too_much_is_not_decoded(decoders: Counting, tmp_path: Path) -> None:
    before = decoders.count
    vast = {0x00280010: us(60_000), 0x00280011: us(60_000)}
    data = encapsulated(fragments(s.deflated(bytes(1 << 20))), DEFLATED_FRAMES, extra=vast)
    assert "frame-beyond-limit" in {code for code, _ in told(data, tmp_path, decoders)}
    assert decoders.count == before


@pytest.mark.parametrize("attack", ["crash", "exit", "hang", "grow", "open a socket", "lie about the outcome"])
def test_a_decoder_that_comes_to_grief_tells_of_the_object(attack: str, tmp_path: Path) -> None:
    """In place of a codec stands one that does what the frame says; a JPEG's marker goes before it."""
    limits = DecoderLimits(workers=1, job_seconds=3, memory_bytes=256 * 1024**2, start_seconds=120)
    pool = DecoderPool(limits, (str(PROGRAMS / "hostile_worker.py"),))
    try:
        named = attack.encode() + bytes(len(attack) % 2)
        data = encapsulated(fragments(named, b"nothing\0"), JPEG, extra={0x00280008: (b"IS", b"2 ")})
        found = told(data, tmp_path, pool)
    finally:
        pool.close()
    # It is not tried again with the second frame.
    assert [path for code, path in found if code == "decoder"] == ["(7FE0,0010) frame 1"]


def test_no_sandbox_no_decoding(tmp_path: Path) -> None:
    words = (str(PROGRAMS / "confined_worker.py"), "landlock_create_ruleset", "refused")
    pool = DecoderPool(DecoderLimits(workers=1), words)
    with pytest.raises(NotAvailable, match="sandbox"):
        told(encapsulated(fragments(jpeg()), JPEG), tmp_path, pool)
    pool.close()


def test_as_a_user_asks_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "broken.dcm").write_bytes(encapsulated(fragments(s.jpeg_2000()), J2K))
    log = tmp_path / "log.json"
    for words, status in (((), 0), (("--decode",), 1)):
        command = [sys.executable, "-m", "leadglass.cli", "inspect", str(folder), "--jobs", "1", "--json", str(log)]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == status, done.stdout + done.stderr
    (record,) = map(json.loads, log.read_text().splitlines())
    assert (record["verdict"], record["counts"]) == (VerdictKind.ACCEPT, {"pixels-broken": 1})
