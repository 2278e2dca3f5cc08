"""Ways around a look that is too quick: each hid something from an earlier version, or held back what is clean."""

import io
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from random import Random
from typing import Final

from leadglass.dicom.uids import IMPLICIT_LE
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from tests.dicom.builders import implicit, item, long, short
from tests.hostile import case as c
from tests.hostile import samples as s

_DOCTYPE: Final = b'<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
_ICON: Final = b"".join((short(0x00280010, *c.us(16)), short(0x00280011, *c.us(16)), short(0x00280100, *c.us(8))))


def evasions() -> Iterator[c.Case]:
    """Hidden from the screening, in places that nobody reads, or behind headers that nobody ends."""
    yield from _quick()
    yield from _in_codestreams()
    yield from _containers()


def _quick() -> Iterator[c.Case]:
    marker = {0x00081030: (b"LO", b"a\xe0\x7f\x10\0b"), 0x00102000: (b"LO", s.zipped())}
    yield _held("ZIP in a text behind the tag of pixels", Reason.PAYLOAD, partial(c.whole, marker))
    for name, sop_class, kind, value, reason in (
        ("CDA", c.CDA, "text/xml", s.cda(_DOCTYPE), Reason.CDA_DTD),
        ("STL", c.STL, "model/stl", s.stl(2, declared=5000), Reason.DOCUMENT_BROKEN),
        ("PDF", c.PDF, "application/pdf", s.pdf(b"/AA << /O 4 0 R >>"), Reason.PDF_ACTIVE),
    ):
        yield _held(f"{name} in Implicit VR", reason, partial(_implicit_document, sop_class, kind, value))
        told = _document(sop_class, kind, value) | {c.DOCUMENT: (b"LT", value)}
        yield _held(f"{name} said to be LT", reason, partial(c.part10, c.encode(told), sop_class=sop_class))
    overlay = {0x60000010: c.us(512), 0x60000011: c.us(512), 0x60003000: (b"OW", bytes(8))}
    body = _implicit(c.image() | overlay | {c.PIXELS: c.pixels()})
    short_overlay = partial(c.part10, body, syntax=IMPLICIT_LE)
    yield _held("overlay too short in Implicit VR", Reason.PIXELS_SHORT, short_overlay)
    twice = c.encode(_document(c.CDA, "text/xml", s.cda(_DOCTYPE))) + c.element(c.DOCUMENT, b"OB", s.cda())
    made = partial(c.part10, twice, sop_class=c.CDA)
    yield c.case_of("encapsulated document twice", VerdictKind.REJECT, Reason.MALFORMED, made)
    nowhere = {tag: value for tag, value in c.image().items() if tag not in (0x00280010, 0x00280011)}
    nowhere[c.PIXELS] = (b"OB", bytes(8192) + s.pe())
    pixels = partial(c.part10, c.encode(nowhere))
    yield _held("PE in pixels of no image", Reason.EXECUTABLE, pixels)


def _in_codestreams() -> Iterator[c.Case]:
    jpeg, jpeg_2000 = s.jpeg(), s.jpeg_2000()
    far = _comment(bytes(60_000)) * 2
    boxed = (12).to_bytes(4, "big") + b"jP  \r\n\x87\n" + _box(b"uuid", bytes(70_000) + s.pe())
    comment_2000 = b"\xff\x64" + (len(s.pe()) + 4).to_bytes(2, "big") + b"\0\0" + s.pe()
    between = b"\xff\x90\x00\x0a" + bytes(8) + comment_2000 + b"\xff\x93\x01"
    large = s.jpeg(4096, 4096)
    for name, value, syntax, reason in (
        ("PE before a long JPEG header", jpeg[:2] + _comment(s.pe()) + far + jpeg[2:], c.JPEG, Reason.EXECUTABLE),
        (
            "PE at the end of a long JPEG header",
            jpeg[:2] + far + _comment(s.pe()) + jpeg[2:],
            c.JPEG,
            Reason.EXECUTABLE,
        ),
        ("size behind a long JPEG header", large[:2] + far + large[2:], c.JPEG, Reason.CODESTREAM_SIZE),
        ("PE between scans of a JPEG", jpeg[:-2] + _comment(s.pe()) + jpeg[-2:], c.JPEG, Reason.EXECUTABLE),
        ("PE between the segments of a JPEG", jpeg[:2] + s.pe() + jpeg[2:], c.JPEG, Reason.EXECUTABLE),
        ("PE in a JPEG of a million markers", jpeg[:-2] + b"\xff\xd8" * 50_000 + s.pe(), c.JPEG, Reason.EXECUTABLE),
        ("PE between tile-parts", jpeg_2000[:-2] + between + jpeg_2000[-2:], c.J2K, Reason.EXECUTABLE),
        ("PE in a box of a JP2", boxed + _box(b"jp2c", jpeg_2000), c.J2K, Reason.EXECUTABLE),
        ("PE after RLE", s.rle() + s.pe(), c.RLE, Reason.EXECUTABLE),
        ("PE in place of a video", s.pe(), "1.2.840.10008.1.2.4.102", Reason.EXECUTABLE),
        ("PE after a deflated frame", s.deflated(c.pixels()[1]) + s.pe(), c.DEFLATED_FRAMES, Reason.EXECUTABLE),
    ):
        yield _held(name, reason, partial(c.encapsulated, c.fragments(value), syntax))
    second = c.fragments(jpeg[:-2], s.pe() + jpeg[-2:])
    yield _held("PE in the second fragment of a frame", Reason.EXECUTABLE, partial(c.encapsulated, second, c.JPEG))
    table = s.pe() + bytes(-len(s.pe()) % 4)
    for name, icon, reason in (
        ("PE in an icon's offset table", c.fragments(jpeg, table=table), Reason.EXECUTABLE),
        ("icon that is no JPEG", c.fragments(bytes(100)), Reason.CODESTREAM),
    ):
        inside = {0x00880200: (b"SQ", item(_ICON + icon))}
        yield _held(name, reason, partial(c.encapsulated, c.fragments(jpeg), c.JPEG, extra=inside))


def _containers() -> Iterator[c.Case]:
    yield _held("private OB PE far behind its DOS header", Reason.EXECUTABLE, partial(c.whole, c.private(s.pe(8192))))
    preamble = b"MZ".ljust(0x3C, b"\0") + (300_000).to_bytes(4, "little")
    yield _held("preamble DOS header that points far", Reason.EXECUTABLE, partial(_pe_at, preamble, 300_000))
    archive = bytearray(s.zipped())
    end = archive.index(b"PK\x05\x06")
    archive[4], archive[8] = 0xFF, 0x77
    cut = c.private(bytes(archive))
    yield _cut("ZIP whose local headers are garbage", partial(c.whole, cut))
    archive[end + 4 : end + 8] = b"\xff\xff\xff\xff"
    yield _cut("ZIP64", partial(c.whole, c.private(bytes(archive))))
    yield _cut("tar", partial(c.whole, c.private(_tar())))
    programs = partial(c.whole, c.private(b"PE\0\0\x64\x86\x01\0MZ" * (1 << 17)))
    yield _held("private OB flood of senseless PE headers", Reason.EXECUTABLE, programs)
    yield _cut("flood of senseless ZIP headers", partial(c.whole, c.private(b"PK\x03\x04" * (1 << 17))))
    zeros = c.fragments(s.jpeg(), table=bytes(3_900_000))
    yield _held("offset table of a million zeros", Reason.OFFSET_TABLE, partial(c.encapsulated, zeros, c.JPEG))
    spaced = c.private(b" " * 300 + s.HTML_SCRIPT)
    yield _held("private OB HTML after spaces", Reason.EXECUTABLE, partial(c.whole, spaced))


def passing() -> Iterator[c.Case]:
    """Clean files that an earlier version held back."""
    noise = Random(7)
    picture = b"".join(noise.randbytes(2048) + name for name in (b"/AA \x9c", b"/JS\n\x80") for _ in range(200))
    for name, value in (
        ("PDF in Implicit VR", _implicit_document(c.PDF, "application/pdf", s.pdf())),
        (
            "PDF with pictures",
            c.document(c.PDF, "application/pdf", s.pdf(b"", b"<< >>\nstream\n" + picture + b"\nendstream")),
        ),
        ("picture in a private sequence after the image's size", _private_picture()),
        ("progressive JPEG", c.encapsulated(c.fragments(s.jpeg()[:-2] + s.jpeg()[2:]), c.JPEG)),
    ):
        yield c.case_of(f"clean: {name}", VerdictKind.ACCEPT, (), partial(bytes, value))


def _held(name: str, reason: Reason, make: partial[bytes]) -> c.Case:
    return c.case_of(name, VerdictKind.QUARANTINE, reason, make)


def _cut(name: str, make: partial[bytes]) -> c.Case:
    return c.case_of(f"private OB {name}", VerdictKind.DISARM, Reason.PRIVATE_PAYLOAD, make)


def _document(sop_class: str, kind: str, value: bytes) -> dict[int, tuple[bytes, bytes]]:
    return c.clean(sop_class) | {c.DOCUMENT: (b"OB", value), c.MEDIA_TYPE: (b"LO", kind.encode())}


def _implicit_document(sop_class: str, kind: str, value: bytes) -> bytes:
    return c.part10(_implicit(_document(sop_class, kind, value)), syntax=IMPLICIT_LE, sop_class=sop_class)


def _implicit(elements: Mapping[int, tuple[bytes, bytes]]) -> bytes:
    padded = {tag: value + b"\0" * (len(value) & 1) for tag, (_, value) in elements.items()}
    return b"".join(implicit(tag, padded[tag]) for tag in sorted(padded))


def _comment(data: bytes) -> bytes:
    return b"\xff\xfe" + (len(data) + 2).to_bytes(2, "big") + data


def _box(kind: bytes, data: bytes) -> bytes:
    return (len(data) + 8).to_bytes(4, "big") + kind + data


def _tar() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        entry = tarfile.TarInfo("a.txt")
        entry.size = 7
        archive.addfile(entry, io.BytesIO(b"nothing"))
    return held.getvalue()


def _pe_at(preamble: bytes, at: int) -> bytes:
    """The program lies in the pixels."""
    data = c.part10(c.encode(c.image(600, 600)) + c.element(c.PIXELS, b"OB", bytes(360_000)), preamble=preamble)
    header = s.pe()[s.PE_OFFSET :]
    return data[:at] + header + data[at + len(header) :]


def _private_picture() -> bytes:
    inner = item(long(c.PIXELS, b"OB", bytes(64)))
    elements = c.image(512, 512) | {0x00290010: (b"LO", b"LEADGLASS TEST"), 0x00291010: (b"SQ", inner)}
    return c.part10(c.encode(elements) + c.element(c.PIXELS, b"OB", bytes(512 * 512)))
