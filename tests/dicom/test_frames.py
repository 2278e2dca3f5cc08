"""Frames lie where pydicom's frame generator finds them."""

from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from leadglass.dicom import tags
from leadglass.dicom.container import Element
from leadglass.dicom.frames import GEOMETRY_TAGS, Geometry, Span, encapsulated_frames, native_frame
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.reader import PixelData
from leadglass.dicom.tags import PIXEL_DATA
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from tests.dicom.oracle import inflated, read, sample_files, scan
from tests.dicom.test_samples import broken

#: Video: many frames in one stream, which no fragment tells apart.
VIDEO = ("1.2.840.10008.1.2.4.10",)


def cut(data: bytes, spans: tuple[Span, ...]) -> bytes:
    return b"".join(data[start : start + length] for start, length in spans)


def frames_of(geometry: Geometry, pixels: PixelData, data: bytes, extended: bytes = b"") -> list[bytes]:
    table = encapsulated_frames(
        geometry.frames, pixels.fragments, pixels.offset_table, extended, lambda span: data[span[0] : span[0] + 8]
    )
    return [cut(data, spans) for spans in table]


def with_pixels() -> list[Path]:
    found = []
    for path in sample_files():
        if not broken(path):
            data = path.read_bytes()
            meta = read_file_meta(BytesIO(data))
            if not meta.transfer_syntax.startswith(VIDEO):
                scanned = scan(data[meta.data_offset :], TRANSFER_SYNTAXES[meta.transfer_syntax])
                if scanned.pixel_data is not None and tags.ROWS in scanned.elements:
                    found.append(path)
    return found


@pytest.mark.parametrize("path", with_pixels(), ids=lambda path: path.name)
def test_sample(path: Path) -> None:
    data = path.read_bytes()
    meta = read_file_meta(BytesIO(data))
    syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
    body = inflated(data[meta.data_offset :], syntax)
    scanned = scan(data[meta.data_offset :], syntax)
    pixels = scanned.pixel_data
    assert pixels is not None
    if path.name.endswith("badVR.dcm"):  # its Number of Frames is "1A"
        with pytest.raises(DataSetError, match="Number of Frames"):
            Geometry.of(scanned.elements, syntax.little_endian, pixels.tag)
        return
    geometry = Geometry.of(scanned.elements, syntax.little_endian, pixels.tag)
    dataset = read(data[meta.data_offset :], syntax)
    assert geometry.frames == int(dataset.get("NumberOfFrames") or 1)
    if pixels.length is None:
        expected = generate_frames(dataset.PixelData, number_of_frames=geometry.frames)
        assert [frame.rstrip(b"\0") for frame in frames_of(geometry, pixels, body)] == [
            frame.rstrip(b"\0") for frame in expected
        ]
        return
    value = body[pixels.offset : pixels.offset + pixels.length]
    if geometry.frames * geometry.bits > 8 * len(value):
        with pytest.raises(DataSetError, match="shorter"):
            native_frame(geometry, geometry.frames, len(value))
        return
    made = [native_frame(geometry, number + 1, len(value)) for number in range(geometry.frames)]
    cuts = [frame.cut(value[frame.start : frame.start + frame.length]) for frame in made]
    if not geometry.bits % 8:
        assert b"".join(cuts) == value[: sum(map(len, cuts))]
    else:
        bits = "".join(f"{byte:08b}"[::-1] for byte in value)
        for number, frame in enumerate(cuts):
            mine = "".join(f"{byte:08b}"[::-1] for byte in frame)
            assert mine[: geometry.bits] == bits[number * geometry.bits : (number + 1) * geometry.bits]
            assert "1" not in mine[geometry.bits :]


def geometry(frames: int) -> Geometry:
    return Geometry(frames, 2, 4, 64, 8)


def fragments_of(value: bytes) -> PixelData:
    """What lies in an encapsulated value, which begins at byte 0."""
    spans, at, table = [], 0, b""
    while at < len(value) and value[at : at + 4] != b"\xfe\xff\xdd\xe0":
        length = int.from_bytes(value[at + 4 : at + 8], "little")
        if at:
            spans.append((at + 8, length))
        else:
            table = value[8 : 8 + length]
        at += 8 + length
    return PixelData(PIXEL_DATA, 0, None, tuple(spans), table)


FRAMES = st.lists(st.binary(min_size=6, max_size=60).map(lambda data: b"\xff\xd8" + data[2:] + b"\xff\xd9"), min_size=1)


@given(FRAMES, st.integers(1, 5), st.booleans())
def test_any_fragmentation(frames: list[bytes], fragments: int, has_bot: bool) -> None:
    most = min(fragments, min(len(frame) // 2 for frame in frames))
    value = encapsulate(frames, fragments_per_frame=most, has_bot=has_bot)
    if not has_bot and any(frame.find(b"\xff\xd8", 1) > 0 for frame in frames):
        return
    found = frames_of(geometry(len(frames)), fragments_of(value), value)
    assert [frame.rstrip(b"\0") for frame in found] == [frame.rstrip(b"\0") for frame in frames]


@given(FRAMES)
def test_extended_offset_table(frames: list[bytes]) -> None:
    value, offsets, _ = encapsulate_extended(frames)
    pixels = fragments_of(value)
    assert [frame.rstrip(b"\0") for frame in frames_of(geometry(len(frames)), pixels, value, offsets)] == [
        frame.rstrip(b"\0") for frame in frames
    ]


@given(st.integers(1, 70), st.integers(1, 9), st.data())
def test_bits_are_shifted_to_a_byte(bits: int, frames: int, data: st.DataObject) -> None:
    every = data.draw(st.lists(st.booleans(), min_size=bits * frames, max_size=bits * frames))
    value = sum(1 << at for at, bit in enumerate(every) if bit).to_bytes((bits * frames + 7) // 8, "little")
    for number in range(frames):
        frame = native_frame(Geometry(frames, 1, bits, bits, 1), number + 1, len(value))
        made = int.from_bytes(frame.cut(value[frame.start : frame.start + frame.length]), "little")
        assert [bool(made >> at & 1) for at in range(bits)] == every[number * bits : (number + 1) * bits]
        assert made < 1 << bits


def test_frames_that_cannot_be_told_apart() -> None:
    fragments = ((8, 4), (20, 4), (32, 4))
    with pytest.raises(DataSetError, match="told apart"):
        encapsulated_frames(2, fragments, b"", b"", lambda _: b"nothing.")
    with pytest.raises(DataSetError, match="offset table"):
        encapsulated_frames(2, fragments, b"\0\0\0\0\5\0\0\0", b"", lambda _: b"\xff\xd8")
    assert encapsulated_frames(1, fragments, b"", b"", lambda _: b"") == (fragments,)


@pytest.mark.parametrize("text", [b"-1", b"1.5", b"9" * 12, b"two"])
def test_number_of_frames_is_bounded(text: bytes) -> None:
    elements = {tag: Element(tag, "US", b"\2\0", 0) for tag in GEOMETRY_TAGS}
    elements[tags.NUMBER_OF_FRAMES] = Element(tags.NUMBER_OF_FRAMES, "IS", text, 0)
    with pytest.raises(DataSetError, match="Number of Frames"):
        Geometry.of(elements, True, PIXEL_DATA)
