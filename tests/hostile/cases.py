"""Every hostile file, by class, with the verdict it must get."""

import base64
import zlib
from collections.abc import Iterator
from functools import partial

from leadglass.dicom.uids import DEFLATED, IMPLICIT_LE
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from tests.dicom.builders import END_OF_ITEM, END_OF_SEQUENCE, UNDEFINED, implicit, item, long, nested, short
from tests.hostile import samples as s
from tests.hostile.accepted import look_alikes, texts
from tests.hostile.case import (
    CDA,
    MTL,
    OBJ,
    PDF,
    PIXELS,
    STL,
    Case,
    case_of,
    clean,
    document,
    encode,
    fragments,
    image,
    part10,
    pixels,
    private,
    whole,
)
from tests.hostile.evasions import evasions, passing
from tests.hostile.pixels import pixel_data


def preambles() -> Iterator[Case]:
    """Files that are something else too (CVE-2019-11687)."""
    data = whole()
    offset = (len(data) + 15) // 16 * 16

    def pe_behind() -> bytes:
        return whole(preamble=s.pe(0x200)[:128], after=bytes(0x200)) if offset else data

    def pe_inside() -> bytes:
        # The PE header lies in a private element, where the DOS header in the preamble points to.
        body = part10(encode(image() | private(bytes(400)) | {PIXELS: pixels()}))
        at = body.index(bytes(400)) + 100
        header = s.pe(at)
        return header[:128] + body[128:at] + header[at : at + 26] + body[at + 26 :]

    yield case_of(
        "preamble PE, header in a private element",
        VerdictKind.QUARANTINE,
        (Reason.PREAMBLE, Reason.EXECUTABLE),
        pe_inside,
    )
    yield case_of(
        "preamble DOS header that points nowhere", VerdictKind.DISARM, (Reason.PREAMBLE, Reason.TRAILING), pe_behind
    )
    for name, value in (("ELF", s.ELF), ("Mach-O", s.MACH_O), ("script", s.SCRIPT), ("Java class", s.JAVA_CLASS)):
        yield case_of(
            f"preamble {name}",
            VerdictKind.QUARANTINE,
            (Reason.PREAMBLE, Reason.EXECUTABLE),
            partial(whole, preamble=value),
        )
    for name, value in (("HTML", s.HTML), ("PDF", b"%PDF-1.7\n"), ("RAR", s.RAR), ("7z", s.SEVEN_ZIP)):
        yield case_of(
            f"preamble {name}",
            VerdictKind.QUARANTINE,
            (Reason.PREAMBLE, Reason.PAYLOAD),
            partial(whole, preamble=value),
        )
    yield case_of(
        "preamble text", VerdictKind.DISARM, Reason.PREAMBLE, lambda: whole(preamble=b"made by an old workstation")
    )
    yield case_of(
        "preamble TIFF without directory",
        VerdictKind.DISARM,
        Reason.PREAMBLE,
        lambda: whole(preamble=b"II*\0\xff\xff\xff\0"),
    )


def behind() -> Iterator[Case]:
    """Bytes after the last element."""
    for name, value, reason in (
        ("ZIP", s.zipped(), Reason.PAYLOAD),
        ("PE", s.pe(), Reason.EXECUTABLE),
        ("EICAR", s.EICAR_FILE, Reason.TEST_VIRUS),
        ("RAR", s.RAR, Reason.PAYLOAD),
        ("PDF", s.pdf(), Reason.PAYLOAD),
    ):
        yield case_of(
            f"trailing {name}", VerdictKind.QUARANTINE, (Reason.TRAILING, reason), partial(whole, after=value)
        )
    yield case_of("trailing zeros", VerdictKind.DISARM, Reason.TRAILING, lambda: whole(after=bytes(512)))
    yield case_of(
        "trailing noise", VerdictKind.DISARM, Reason.TRAILING, lambda: whole(after=b"\x01\x02\x03\x04\x05" * 40)
    )
    yield case_of("trailing few bytes", VerdictKind.DISARM, Reason.TRAILING, lambda: whole(after=b"\0\0\0"))
    yield case_of(
        "payload in Data Set Trailing Padding",
        VerdictKind.QUARANTINE,
        Reason.EXECUTABLE,
        lambda: whole({0xFFFCFFFC: (b"OB", bytes(64) + s.pe())}),
    )


def elements() -> Iterator[Case]:
    """Payloads in private and opaque elements."""
    for name, value, reason in (
        ("PE", s.pe(), Reason.EXECUTABLE),
        ("PE far inside", bytes(100_000) + s.pe(), Reason.EXECUTABLE),
        ("PE across a block", bytes(65_500) + s.pe(0x400), Reason.EXECUTABLE),
        ("ELF", s.ELF, Reason.EXECUTABLE),
        ("Mach-O", s.MACH_O, Reason.EXECUTABLE),
        ("universal Mach-O", s.MACH_O_FAT, Reason.EXECUTABLE),
        ("shortcut", s.SHORTCUT, Reason.EXECUTABLE),
        ("script", s.SCRIPT, Reason.EXECUTABLE),
        ("PHP", s.PHP, Reason.EXECUTABLE),
        ("HTML with script", s.HTML_SCRIPT, Reason.EXECUTABLE),
        ("EICAR", s.EICAR_FILE, Reason.TEST_VIRUS),
        ("OLE with macros", s.OLE_MACROS, Reason.MACROS),
        ("OOXML with macros", s.zipped("word/vbaProject.bin"), Reason.MACROS),
    ):
        yield case_of(f"private OB {name}", VerdictKind.QUARANTINE, reason, partial(whole, private(value)))
    for name, value in (
        ("ZIP", s.zipped()),
        ("RAR", s.RAR),
        ("7z", s.SEVEN_ZIP),
        ("cabinet", s.CABINET),
        ("OLE", s.OLE),
        ("PDF", s.pdf()),
        ("HTML", s.HTML),
    ):
        yield case_of(f"private OB {name}", VerdictKind.DISARM, Reason.PRIVATE_PAYLOAD, partial(whole, private(value)))
    yield case_of(
        "private UN EICAR", VerdictKind.QUARANTINE, Reason.TEST_VIRUS, lambda: whole(private(s.EICAR_FILE, b"UN"))
    )
    yield case_of(
        "text EICAR", VerdictKind.QUARANTINE, Reason.TEST_VIRUS, lambda: whole({0x00204000: (b"LT", s.EICAR_FILE)})
    )
    yield case_of(
        "ICC profile PE", VerdictKind.QUARANTINE, Reason.EXECUTABLE, lambda: whole({0x00282000: (b"OB", s.pe())})
    )
    yield case_of(
        "ICC profile ZIP", VerdictKind.QUARANTINE, Reason.PAYLOAD, lambda: whole({0x00282000: (b"OB", s.zipped())})
    )
    yield case_of("private PE in implicit VR", VerdictKind.QUARANTINE, Reason.EXECUTABLE, _implicit)
    yield case_of("private PE in a nested item", VerdictKind.QUARANTINE, Reason.EXECUTABLE, _in_item)


def _implicit() -> bytes:
    values = clean() | {0x00090010: (b"LO", b"LEADGLASS TEST"), 0x00091010: (b"UN", s.pe())}
    padded = {tag: value + b"\0" if len(value) & 1 else value for tag, (_, value) in values.items()}
    return part10(b"".join(implicit(tag, padded[tag]) for tag in sorted(padded)), syntax=IMPLICIT_LE)


def _in_item() -> bytes:
    inner = item(short(0x00090010, b"LO", b"LEADGLASS TEST") + long(0x00091010, b"OB", s.pe()))
    return part10(encode(clean() | {0x00081140: (b"SQ", inner)}))


def documents() -> Iterator[Case]:
    """Encapsulated documents."""
    pdf = "application/pdf"
    for name, value, reason in (
        (
            "JavaScript",
            s.pdf(b"/Names << /JavaScript 4 0 R >>", b"<< /S /JavaScript /JS (void 0) >>"),
            Reason.PDF_ACTIVE,
        ),
        ("escaped JavaScript", s.pdf(b"", b"<< /S /J#61vaScr#69pt /J#53 (void 0) >>"), Reason.PDF_ACTIVE),
        ("Launch", s.pdf(b"/OpenAction << /S /Launch /F (nothing) >>"), Reason.PDF_ACTIVE),
        ("OpenAction", s.pdf(b"/OpenAction << /S /SubmitForm >>"), Reason.PDF_ACTIVE),
        ("JavaScript in an object stream", s.pdf(b"", s.object_stream(b"4 0 << /S /JavaScript >>")), Reason.PDF_ACTIVE),
        ("embedded file", s.pdf(b"", b"<< /Type /EmbeddedFile /Length 0 >>"), Reason.PDF_EMBEDDED),
        ("encrypted", s.pdf() + b"trailer << /Encrypt 9 0 R >>", Reason.PDF_OPAQUE),
        ("object stream bomb", s.pdf(b"", s.object_stream(bytes(64 << 20))), Reason.PDF_OPAQUE),
        ("followed by a ZIP", s.pdf() + s.zipped(), Reason.PAYLOAD),
    ):
        yield case_of(f"PDF {name}", VerdictKind.QUARANTINE, reason, partial(document, PDF, pdf, value))
    yield case_of(
        "PDF that is a PE",
        VerdictKind.QUARANTINE,
        (Reason.MEDIA_TYPE, Reason.EXECUTABLE),
        lambda: document(PDF, pdf, s.pe()),
    )
    yield case_of("PDF that is HTML", VerdictKind.QUARANTINE, Reason.MEDIA_TYPE, lambda: document(PDF, pdf, s.HTML))
    yield case_of(
        "PDF said to be a CDA", VerdictKind.QUARANTINE, Reason.MEDIA_TYPE, lambda: document(CDA, "text/xml", s.pdf())
    )
    doctype = b'<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    laughs = b'<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    for name, value, reason in (
        ("external entity", s.cda(doctype), Reason.CDA_DTD),
        ("entity bomb", s.cda(laughs), Reason.CDA_DTD),
        ("script", s.cda(inside=b"<script>void 0</script>"), Reason.CDA_ACTIVE),
        ("handler", s.cda(inside=b'<p onclick="void(0)"/>'), Reason.CDA_ACTIVE),
        ("embedded PE", s.cda(inside=_base64(s.pe())), Reason.EXECUTABLE),
        ("PE around an empty element", s.cda(inside=_base64(s.pe(), child=b"<x/>")), Reason.EXECUTABLE),
        ("PE behind a child element", s.cda(inside=_base64(s.pe(), before=b"<x>A</x>")), Reason.EXECUTABLE),
        ("PE in a child element", s.cda(inside=_base64(s.pe(), before=b"<x>", after=b"</x>")), Reason.EXECUTABLE),
        ("PE around a child element", s.cda(inside=_base64(s.pe(), child=b"<x>A</x>")), Reason.EXECUTABLE),
        ("EICAR after 5 MiB", s.cda(inside=_base64(bytes(5 << 20) + s.EICAR_FILE)), Reason.TEST_VIRUS),
        ("EICAR after padding", s.cda(inside=_base64(s.EICAR_FILE, before=b"QQ==")), Reason.TEST_VIRUS),
        ("PDF with JavaScript", s.cda(inside=_base64(s.pdf(b"/OpenAction << /S /JavaScript >>"))), Reason.PDF_ACTIVE),
        ("thousands of documents", s.cda(inside=2000 * _base64(b"text")), Reason.DOCUMENT_BOUND),
        ("documents in documents", s.cda(inside=3 * b'<x representation="B64">'), Reason.DOCUMENT_BOUND),
        ("flood of tags", s.cda(inside=b"<a/>" * 262_144), Reason.DOCUMENT_BOUND),
        ("script in UTF-16", _utf_16(b"<script>void 0</script>"), Reason.CDA_ACTIVE),
        ("embedded PE in UTF-16", _utf_16(_base64(s.pe())), Reason.EXECUTABLE),
        ("not well-formed", s.cda(inside=b"<p>"), Reason.DOCUMENT_BROKEN),
        ("unknown encoding", s.cda().replace(b"UTF-8", b"UTF-6"), Reason.DOCUMENT_BROKEN),
    ):
        yield case_of(f"CDA {name}", VerdictKind.QUARANTINE, reason, partial(document, CDA, "text/xml", value))
    lying = s.stl(2, declared=50_000_000)
    yield case_of(
        "STL that lies", VerdictKind.QUARANTINE, Reason.DOCUMENT_BROKEN, lambda: document(STL, "model/stl", lying)
    )
    remote = b"mtllib \\\\server\\share\\a.mtl\nv 0 0 0\n"
    yield case_of(
        "OBJ from a server", VerdictKind.QUARANTINE, Reason.DOCUMENT_REMOTE, lambda: document(OBJ, "model/obj", remote)
    )
    command = b"v 0 0 0\ncsh rm\n"
    yield case_of(
        "OBJ with a command",
        VerdictKind.QUARANTINE,
        Reason.DOCUMENT_REMOTE,
        lambda: document(OBJ, "model/obj", command),
    )
    climbing = b"newmtl a\nmap_Kd ../../../etc/passwd\n"
    yield case_of(
        "MTL that climbs", VerdictKind.QUARANTINE, Reason.DOCUMENT_REMOTE, lambda: document(MTL, "model/mtl", climbing)
    )


def _base64(data: bytes, *, before: bytes = b"", child: bytes = b"", after: bytes = b"") -> bytes:
    """An embedded document with something else among its letters."""
    letters = base64.b64encode(data)
    start = b'<text mediaType="application/pdf" representation="B64">' + before
    return start + letters[:5] + child + letters[5:] + after + b"</text>"


def _utf_16(inside: bytes) -> bytes:
    text = s.cda(inside=inside).decode().replace("UTF-8", "UTF-16")
    return text.encode("utf-16")


def structure() -> Iterator[Case]:
    """What no reader may believe."""
    body = encode(clean())
    for depth in (65, 1000, 100_000):
        yield case_of(
            f"nested {depth} deep", VerdictKind.REJECT, Reason.BEYOND_LIMIT, partial(part10, body + nested(depth))
        )
    private_sequence = long(0x00091010, b"UN", b"", UNDEFINED)
    for name, value, reason in (
        ("length beyond the file", long(0x00420011, b"OB", b"abcd", 0x7FFFFFFF), Reason.MALFORMED),
        ("undefined length of OB", long(0x00420011, b"OB", b"abcd", UNDEFINED), Reason.MALFORMED),
        ("undefined length of UT", long(0x00420011, b"UT", b"abcd", UNDEFINED), Reason.MALFORMED),
        ("item longer than its sequence", long(0x00081140, b"SQ", item(b"", 400)), Reason.MALFORMED),
        ("sequence without end", long(0x00081140, b"SQ", item(b"", UNDEFINED), UNDEFINED), Reason.MALFORMED),
        ("no item in a sequence", long(0x00081140, b"SQ", short(0x00080060, b"CS", b"OT")), Reason.MALFORMED),
        ("delimiter out of place", END_OF_ITEM + END_OF_SEQUENCE, Reason.MALFORMED),
        ("UN sequence cut short", private_sequence + item(b"", UNDEFINED), Reason.MALFORMED),
        ("fragments without encapsulation", fragments(s.jpeg()), Reason.MALFORMED),
        ("SOP Instance UID twice", short(0x00080018, b"UI", b"1.2.3.4\0"), Reason.MALFORMED),
        ("file meta in the data set", short(0x00020010, b"UI", b"1.2\0"), Reason.MALFORMED),
    ):
        yield case_of(name, VerdictKind.REJECT, reason, partial(part10, body + value))
    for length in (0xFFFFFFF0, 64 << 20):
        bomb = partial(_deflate_bomb, length)
        yield case_of(f"deflated value of {length >> 20} MiB", VerdictKind.REJECT, Reason.BEYOND_LIMIT, bomb)
    yield case_of(
        "no UIDs", VerdictKind.REJECT, Reason.MISSING_SOP_INSTANCE, lambda: part10(short(0x00080060, b"CS", b"OT"))
    )
    for text in (b"../../../etc/passwd", b"1.2.3/4", b"C:\\Windows", b"1.2.3;rm -rf", b"1.2." + b"9" * 80):
        changed = clean() | {0x0020000D: (b"UI", text)}
        name = f"Study Instance UID {text[:12].decode()}"
        yield case_of(name, VerdictKind.REJECT, Reason.INVALID_STUDY, partial(part10, encode(changed)))
    referenced = {0x00081140: (b"SQ", item(short(0x00081155, b"UI", b"../../../../root")))}
    yield case_of(
        "referenced UID that climbs",
        VerdictKind.QUARANTINE,
        Reason.UID_PATH,
        lambda: part10(encode(clean() | referenced)),
    )


def _deflate_bomb(length: int) -> bytes:
    """64 MiB of zeros in 64 KiB, said to be `length` bytes."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    body = encode(clean()) + long(0x7FE10010, b"OB", b"", length)
    parts = [deflater.compress(body), *(deflater.compress(bytes(1 << 20)) for _ in range(64)), deflater.flush()]
    return part10(b"".join(parts), syntax=DEFLATED)


def all_cases() -> list[Case]:
    groups = (preambles, behind, elements, documents, pixel_data, structure, evasions, texts, look_alikes, passing)
    return [case for group in groups for case in group()]
