"""Memory is bounded whatever an object declares: measured while values far larger than the bound stream past."""

import tracemalloc
from collections.abc import Iterator

import pytest

from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES
from leadglass.inspection.inspector import Inspector
from leadglass.model import DataSetLimits
from tests.dicom.builders import UNDEFINED, implicit, item, long
from tests.hostile.case import JPEG, PDF, clean, encode, image
from tests.hostile.samples import pdf

MEBIBYTE = 1024 * 1024
SIZE = 48 * MEBIBYTE
#: Of 64 MiB for a worker; the interpreter and the libraries take the rest.
MOST = 12 * MEBIBYTE
NOISE = bytes(i * 167 % 256 for i in range(65_536)) * 16
TEXT = b"measured, nothing more; " * 43_690


def value(piece: bytes) -> Iterator[bytes]:
    return (piece[:MEBIBYTE].ljust(MEBIBYTE, b" ") for _ in range(SIZE // MEBIBYTE))


def opaque() -> Iterator[bytes]:
    yield encode(clean()) + long(0x00291010, b"OB", b"", SIZE)
    yield from value(NOISE)


def text() -> Iterator[bytes]:
    yield encode(clean()) + long(0x0040A160, b"UT", b"", SIZE)
    yield from value(TEXT)


def hostile_text() -> Iterator[bytes]:
    yield encode(clean()) + long(0x0040A160, b"UT", b"", SIZE)
    yield from value(b"' OR '1'='1 <script> \x1b[2J " * 43_690)


def document() -> Iterator[bytes]:
    yield encode(clean(PDF)) + long(0x00420011, b"OB", b"", SIZE + len(pdf()))
    yield pdf()
    yield from value(NOISE)


def cda() -> Iterator[bytes]:
    """An attribute that does not end."""
    yield encode(clean(PDF)) + long(0x00420011, b"OB", b"", SIZE + 20)
    yield b"<?xml version='1.0'?>"[:18] + b"\n "
    yield b"<a b='".ljust(MEBIBYTE, b"x")
    yield from (b"x" * MEBIBYTE for _ in range(SIZE // MEBIBYTE - 1))


def pixels() -> Iterator[bytes]:
    yield encode(image()) + long(0x7FE00010, b"OW", b"", SIZE)
    yield from value(NOISE)


def tail() -> Iterator[bytes]:
    yield encode(image()) + long(0x7FE00010, b"OW", bytes(256))
    yield from value(b"\x01\x02\x03" * 400_000)


CASES = {each.__name__: each for each in (opaque, text, hostile_text, document, cda, pixels, tail)}


@pytest.mark.parametrize("name", CASES)
def test_values_stream_past(name: str) -> None:
    assert peak(CASES[name](), EXPLICIT_LE) < MOST


def test_fragments_stream_past() -> None:
    def pieces() -> Iterator[bytes]:
        yield encode(image()) + long(0x7FE00010, b"OB", b"", UNDEFINED) + item(b"") + implicit(0xFFFEE000, b"", SIZE)
        yield from value(b"\xff\xd8\xff" + NOISE)

    assert peak(pieces(), JPEG) < MOST


def peak(pieces: Iterator[bytes], syntax: str) -> int:
    """Bytes held at most while an object is read."""
    inspector = Inspector(TRANSFER_SYNTAXES[syntax], DataSetLimits(), wanted=frozenset(), may_disarm=True)
    first = next(pieces)
    inspector.feed(first)
    tracemalloc.start()
    try:
        for piece in pieces:
            inspector.feed(piece)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
