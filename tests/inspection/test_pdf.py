"""PDFs: names are found wherever a block ends, and no document makes the look at it long: a bound says so instead."""

import zlib
from random import Random

import pytest

from leadglass.inspection.pdf import PdfReader
from leadglass.inspection.verdict import Findings

HEAD = b"%PDF-1.7\n"
BLOCK = 64 * 1024
MEBIBYTE = 1024 * 1024


def told(document: bytes, size: int = MEBIBYTE) -> list[tuple[str, str]]:
    findings = Findings()
    reader = PdfReader(findings, 0, "")
    for at in range(0, len(document), size):
        reader.feed(memoryview(document)[at : at + size])
    reader.finish()
    return [(each.reason.code, each.detail) for each in findings.kept]


def object_stream(plain: bytes) -> bytes:
    return b"4 0 obj\n<< /Type /ObjStm >>\nstream\n" + zlib.compress(plain) + b"\nendstream\n"


def flood(part: bytes, octets: int = MEBIBYTE) -> bytes:
    return part * (octets // len(part))


@pytest.mark.parametrize(
    ("document", "detail"),
    [
        (flood(object_stream(b"4 0 << >>")), "more object streams than are looked into"),
        (flood(b"<</ObjStm>>stream\n"), "object stream"),
        (flood(b">>stream\n"), "more names than are looked at"),
        (flood(b"/#41"), "more escaped names than are looked at"),
        (object_stream(flood(b"/J", 4 * MEBIBYTE)), "more names than are looked at"),
        (object_stream(flood(b"/#4A", 4 * MEBIBYTE)), "more escaped names than are looked at"),
        (object_stream(bytes(32 * MEBIBYTE)), "object streams are too long"),
    ],
)
def test_a_flood_ends_at_a_bound(document: bytes, detail: str) -> None:
    assert ("pdf-opaque", detail) in told(HEAD + document)


def test_many_streams_are_no_flood() -> None:
    page = b"1 0 obj << /Length 9 >> stream\n0 0 m 1 1 l S\nendstream endobj\n".ljust(400, b" ")
    assert told(HEAD + flood(page, 8 * MEBIBYTE) + flood(object_stream(b"4 0 << >>".ljust(3000)), 100_000)) == []


@pytest.mark.parametrize("shift", range(24))
def test_names_end_where_they_end(shift: int) -> None:
    """Not where a block does: /AAPL:Keywords is what a common maker of PDFs writes, /AA acts."""
    before = HEAD.ljust(BLOCK - shift, b" ")
    harmless = b"<< /AAPL:Keywords 3 0 R /OpenAction << /S /GoTo /D 1 >> >> "
    assert told(before + harmless.ljust(3000)) == []
    assert told(before + b"<< /AA 3 0 R >> ".ljust(3000)) == [("pdf-active", "/AA")]
    assert told(before + b"<< /A#41 3 0 R >>".ljust(3000)) == [("pdf-active", "/AA")]
    stream = b"<< /Type /ObjStm >> stream\r\n" + zlib.compress(b"<< /JS 3 0 R >>") + b"\nendstream"
    assert told(before + stream) == [("pdf-active", "/JS")]
    assert told(HEAD + stream.replace(b"\r\n", b"\r"), 7) == [("pdf-active", "/JS")]


def test_pictures_are_no_actions() -> None:
    """What is compressed holds any three letters in some ten MiB; an action is what follows a name."""
    noise = Random(5)
    pieces = (noise.randbytes(4096) + name for name in (b"/AA \x9c", b"/JS\n\x80", b"/AA\0\1") for _ in range(256))
    assert told(HEAD + b"5 0 obj << /Length 9 >> stream\n" + b"".join(pieces) + b"\nendstream") == []


@pytest.mark.parametrize(
    ("between", "inside"),
    [
        (b"\nstream\n", b"/X ( obj)"),
        (b"\nstream\n", b"/X (" + b"y" * 5000 + b")"),
        (b"% more\nstream \n", b""),
        (b"\nstream\n", b"/Y /Obj#53tm"),
    ],
)
def test_object_streams_are_found_however_they_are_written(between: bytes, inside: bytes) -> None:
    kind = b"" if b"Obj#" in inside else b"/Type /ObjStm "
    document = (
        b"4 0 obj\n<< " + kind + inside + b" >>" + between + zlib.compress(b"<< /S /Rendition >>") + b"\nendstream"
    )
    for size in (7, MEBIBYTE):
        assert told(HEAD + document, size) == [("pdf-active", "/Rendition")]


def test_a_name_at_the_very_end() -> None:
    assert told(HEAD + b"<< /Launch") == [("pdf-active", "/Launch")]
    assert told(HEAD + b"/OpenAction <<") == [("pdf-active", "/OpenAction")]
