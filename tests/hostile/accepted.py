"""What is accepted: texts that are reported, and look-alikes of hostile files that must pass without a word."""

from collections.abc import Callable, Iterator
from functools import partial

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from tests.dicom.builders import item
from tests.dicom.builders import nested as nested_items
from tests.hostile import samples as s
from tests.hostile.case import (
    CDA,
    DEFLATED_FRAMES,
    J2K,
    JPEG,
    MTL,
    OBJ,
    PDF,
    PIXELS,
    RLE,
    STL,
    Case,
    case_of,
    clean,
    document,
    element,
    encapsulated,
    encode,
    fragments,
    image,
    part10,
    pixels,
    private,
    whole,
)


def texts() -> Iterator[Case]:
    """What a text does to those who show it. Accepted: texts are shown safely; and reported."""
    for name, vr, value, reason in (
        ("script", b"LO", b"<script>alert(1)</script>", Reason.MARKUP),
        ("image handler", b"PN", b"<img src=x onerror=alert(1)>", Reason.MARKUP),
        ("javascript address", b"LO", b"javascript:alert(1)", Reason.MARKUP),
        ("SQL", b"LO", b"' OR '1'='1", Reason.SQL),
        ("SQL drop", b"SH", b"x'; DROP TABLE", Reason.SQL),
        ("SQL union", b"LO", b"1 UNION SELECT name", Reason.SQL),
        ("formula", b"LO", b'=HYPERLINK("http://x")', Reason.FORMULA),
        ("DDE", b"LO", b"=cmd|' /C calc'!A0", Reason.FORMULA),
        ("terminal title", b"LO", b"\x1b]0;owned\x07", Reason.ESCAPES),
        ("terminal clear", b"LO", b"head\x1b[2Jfoot", Reason.ESCAPES),
        ("forged log line", b"LO", b"name\r\nINFO login of root", Reason.LINE_FORGED),
        ("Social Security number", b"LO", b"536-90-4399", Reason.SSN),
    ):
        changed = {0x00081030: (vr, value)}
        yield case_of(f"text {name}", VerdictKind.ACCEPT, reason, partial(whole, changed))
    yield case_of(
        "text NULL inside", VerdictKind.ACCEPT, Reason.NULL, lambda: whole({0x00100010: (b"PN", b"Doe\0^John")})
    )
    yield case_of(
        "text SSN in a comment",
        VerdictKind.ACCEPT,
        Reason.SSN,
        lambda: whole({0x00104000: (b"LT", b"SSN 536-90-4399.")}),
    )
    for name, charset, value in (
        ("that is no UTF-8", b"ISO_IR 192", b"M\xfc\xffller^\xc0\xae"),
        ("in a character set that does not exist", b"ISO_IR 999", b"M\xfcller"),
        ("with half a character", b"ISO 2022 IR 6\\ISO 2022 IR 87", b"Yamada=\x1b$B;"),
    ):
        changed = {0x00080005: (b"CS", charset), 0x00100010: (b"PN", value)}
        yield case_of(f"text {name}", VerdictKind.ACCEPT, Reason.CHARSET, partial(whole, changed))
    nested = {0x0040A730: (b"SQ", item(element(0x0040A160, b"UT", b"His number is 536-90-4399.")))}
    yield case_of("text SSN in a report", VerdictKind.ACCEPT, Reason.SSN, lambda: whole(nested))
    yield case_of(
        "text SSN in a private UN", VerdictKind.ACCEPT, Reason.SSN, lambda: whole(private(b"536-90-4399 ", b"UN"))
    )
    number = s.cda(inside=b'<id root="2.16.840.1.113883.4.1" extension="536-90-4399"/>'.ljust(200_000))
    yield case_of("CDA with a SSN", VerdictKind.ACCEPT, Reason.SSN, lambda: document(CDA, "text/xml", number))
    yield case_of(
        "text spaces behind a quote",
        VerdictKind.ACCEPT,
        Reason.MARKUP,
        lambda: whole({0x0040A160: (b"UT", b"<script>'".ljust(60_000))}),
    )
    yield case_of(
        "text flood of SSNs",
        VerdictKind.ACCEPT,
        Reason.SSN,
        lambda: whole({0x0040A160: (b"UT", b"536-90-4399 " * 80_000)}),
    )
    yield case_of(
        "text bare SSN", VerdictKind.ACCEPT, Reason.SSN_BARE, lambda: whole({0x00100020: (b"LO", b"536904399")})
    )
    yield case_of(
        "text very long", VerdictKind.ACCEPT, Reason.VALUE_LENGTH, lambda: whole({0x00081030: (b"LO", b"x" * 8_000)})
    )
    yield case_of(
        "text in two values", VerdictKind.ACCEPT, Reason.MULTIPLICITY, lambda: whole({0x00100020: (b"LO", b"A\\B")})
    )
    yield case_of(
        "burned-in annotation", VerdictKind.ACCEPT, Reason.BURNED_IN, lambda: whole({0x00280301: (b"CS", b"YES")})
    )


def look_alikes() -> Iterator[Case]:
    """Clean files that hold bytes like those above."""

    def accepted(name: str, make: Callable[[], bytes], *reasons: Reason) -> Case:
        return case_of(f"clean: {name}", VerdictKind.ACCEPT, reasons, make)

    yield accepted("an image", whole)
    yield accepted("MZ without PE", lambda: whole(private(b"MZ measured" + bytes(200))))
    yield accepted("PE without MZ", lambda: whole(private(bytes(70) + b"PE\0\0" + bytes(80))))
    yield accepted("PK in a name", lambda: whole({0x00100010: (b"PN", b"PKarlsson^MZ")}))
    yield accepted("Latin-1 letters", lambda: whole({0x00100010: (b"PN", "Müller^Çağ".encode("latin_1", "replace"))}))
    yield accepted(
        "Japanese escapes",
        lambda: whole(
            {
                0x00080005: (b"CS", b"ISO 2022 IR 6\\ISO 2022 IR 87"),
                0x00100010: (b"PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B"),
            }
        ),
    )
    yield accepted("negative numbers", lambda: whole({0x00200032: (b"DS", b"-125.5\\-125.5\\+3.25")}))
    yield accepted("a phone number", lambda: whole({0x00102154: (b"SH", b"+1-555-0100")}))
    yield accepted("a number that is no SSN", lambda: whole({0x00100020: (b"LO", b"000-12-3456")}))
    yield accepted("an address", lambda: whole({0x00081030: (b"LO", b"CT Head/Neck w/o contrast")}))
    yield accepted("lines of a comment", lambda: whole({0x00104000: (b"LT", b"first line\r\nsecond line")}))
    yield accepted(
        "gzip in a private element", lambda: whole(private(b"\x1f\x8b\x08" + bytes(5000))), Reason.COMPRESSED
    )
    yield accepted("JPEG", lambda: encapsulated(fragments(s.jpeg()), JPEG))
    table = {0x7FE00001: (b"OV", bytes(8)), 0x7FE00002: (b"OV", len(s.jpeg()).to_bytes(8, "little"))}
    yield accepted("JPEG with an extended offset table", lambda: encapsulated(fragments(s.jpeg()), JPEG, extra=table))
    yield accepted("JPEG with PE in its coded data", lambda: encapsulated(fragments(s.jpeg(coded=s.pe())), JPEG))
    yield accepted("JPEG in two fragments", lambda: encapsulated(fragments(s.jpeg()[:100], s.jpeg()[100:]), JPEG))
    yield accepted("JPEG 2000", lambda: encapsulated(fragments(s.jpeg_2000()), J2K))
    yield accepted("deflated frame", lambda: encapsulated(fragments(s.deflated(pixels()[1])), DEFLATED_FRAMES))
    yield accepted("RLE", lambda: encapsulated(fragments(s.rle()), RLE))
    yield accepted("PDF", lambda: document(PDF, "application/pdf", s.pdf()))
    yield accepted(
        "PDF that opens on a page", lambda: document(PDF, "application/pdf", s.pdf(b"/OpenAction [3 0 R /Fit]"))
    )
    yield accepted(
        "PDF with a link", lambda: document(PDF, "application/pdf", s.pdf(b"", b"<< /S /URI >>")), Reason.PDF_LINK
    )
    yield accepted("CDA", lambda: document(CDA, "text/xml", s.cda()))
    for order in ("utf-16", "utf-16-be"):
        text = s.cda().decode().replace("UTF-8", "UTF-16").encode(order)
        yield accepted(f"CDA in {order}", partial(document, CDA, "text/xml", text))
    embedded = s.cda(inside=b'<text representation="B64">JVBERi0xLjcK<reference value="a.pdf"/></text>')
    yield accepted("CDA with a PDF", lambda: document(CDA, "text/xml", embedded))
    sheet = b'<?xml-stylesheet type="text/xsl" href="CDA.xsl"?>'
    yield accepted("CDA with a style sheet", lambda: document(CDA, "text/xml", s.cda(sheet)), Reason.STYLESHEET)
    yield accepted("STL", lambda: document(STL, "model/stl", s.stl()))
    yield accepted("OBJ", lambda: document(OBJ, "model/obj", b"# made here\nmtllib a.mtl\nv 0 0 0\nf 1 1 1\n"))
    yield accepted("MTL", lambda: document(MTL, "model/mtl", b"newmtl a\nKd 1 1 1\nmap_Kd skin.png\n"))
    yield accepted("TIFF", _tiff, Reason.TIFF)
    yield accepted(
        "nested 64 deep",
        lambda: part10(encode(clean()) + nested_items(64)[: -len(nested_items(0)) or None]),
        Reason.ELEMENT_ORDER,
    )


def _tiff() -> bytes:
    """A file that is a TIFF as well, its directory in Data Set Trailing Padding."""
    directory = (
        b"\x02\x00" + b"\x00\x01\x03\x00\x01\0\0\0\x10\0\0\0" + b"\x01\x01\x03\x00\x01\0\0\0\x10\0\0\0" + bytes(4)
    )
    body = encode(image() | {PIXELS: pixels(), 0xFFFCFFFC: (b"OB", directory)})
    data = part10(body)
    at = len(data) - len(directory)
    return b"II*\0" + at.to_bytes(4, "little") + data[8:]
