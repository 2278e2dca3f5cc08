"""Stored objects from files: their description and their frames, read with the program's own readers."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from leadglass.dicom.frames import GEOMETRY_TAGS, Geometry, encapsulated_frames, native_frame
from leadglass.dicom.inflate import Inflater
from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.reader import DataSetScanner
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.reading import describe

LIMITS = DataSetLimits()


@dataclass(frozen=True)
class Stored:
    description: PixelDescription
    frames: tuple[bytes, ...]


def stored(path: Path) -> Stored:
    """Raises DataSetError and DecodingFailed as the readers do."""
    data = path.read_bytes()
    meta = read_file_meta(BytesIO(data))
    syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
    body = data[meta.data_offset :]
    description = describe([body], syntax, LIMITS)
    scanner = DataSetScanner(syntax, LIMITS, wanted=GEOMETRY_TAGS)
    scanner.feed(body)
    scan = scanner.finish()
    assert scan.pixel_data is not None
    if syntax.deflated:
        body = b"".join(Inflater(LIMITS).inflate(memoryview(body)))
    pixels, geometry = scan.pixel_data, Geometry.of(scan.elements, scan.little_endian, scan.pixel_data.tag)
    assert geometry.frames == description.number_of_frames
    if pixels.length is None:
        spans = encapsulated_frames(
            geometry.frames, pixels.fragments, pixels.offset_table, b"", lambda span: body[span[0] : span[0] + 8]
        )
        frames = [b"".join(body[start : start + length] for start, length in each) for each in spans]
        return Stored(description, tuple(frames))
    value = body[pixels.offset : pixels.offset + pixels.length]
    places = [native_frame(geometry, number, len(value)) for number in range(1, geometry.frames + 1)]
    return Stored(description, tuple(each.cut(value[each.start : each.start + each.length]) for each in places))
