"""Pixel data that is not what it says: lengths, fragments, offset tables, codestreams and bombs."""

from collections.abc import Iterator
from functools import partial

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import VerdictKind
from tests.dicom.builders import item, long, short
from tests.hostile import case as c
from tests.hostile import samples as s


def pixel_data() -> Iterator[c.Case]:
    """Lengths, c.fragments, codestreams and bombs."""
    big = c.image(40_000, 40_000)
    yield c.case_of(
        "pixels too short",
        VerdictKind.QUARANTINE,
        Reason.PIXELS_SHORT,
        lambda: c.part10(c.encode(big | {c.PIXELS: c.pixels()})),
    )
    more = (b"OB", c.pixels()[1] + s.pe())
    yield c.case_of(
        "PE after the pixels",
        VerdictKind.QUARANTINE,
        (Reason.PIXELS_LONG, Reason.EXECUTABLE),
        lambda: c.whole({c.PIXELS: more}),
    )
    instead = (b"OB", s.pe().ljust(256, b"\0"))
    yield c.case_of(
        "PE in place of pixels", VerdictKind.QUARANTINE, Reason.EXECUTABLE, lambda: c.whole({c.PIXELS: instead})
    )
    short_overlay = {0x60000010: c.us(512), 0x60000011: c.us(512), 0x60003000: (b"OW", bytes(8))}
    yield c.case_of("overlay too short", VerdictKind.QUARANTINE, Reason.PIXELS_SHORT, lambda: c.whole(short_overlay))
    overlay = {0x60000010: c.us(8), 0x60000011: c.us(8), 0x60003000: (b"OW", s.EICAR_FILE)}
    yield c.case_of(
        "EICAR in an overlay", VerdictKind.QUARANTINE, (Reason.PIXELS_LONG, Reason.TEST_VIRUS), lambda: c.whole(overlay)
    )
    yield c.case_of("icon too short", VerdictKind.QUARANTINE, Reason.PIXELS_SHORT, _icon)
    for name, value, syntax, reason in (
        ("EICAR in a fragment", s.EICAR_FILE, c.JPEG, (Reason.CODESTREAM, Reason.TEST_VIRUS)),
        ("PE in a fragment", s.pe(), c.J2K, (Reason.CODESTREAM, Reason.EXECUTABLE)),
        ("PE after a JPEG", s.jpeg() + s.pe(), c.JPEG, (Reason.CODESTREAM_TAIL, Reason.EXECUTABLE)),
        ("ZIP after a c.JPEG 2000", s.jpeg_2000() + s.zipped(), c.J2K, (Reason.CODESTREAM_TAIL, Reason.PAYLOAD)),
        ("EICAR in a c.JPEG comment", s.jpeg(comment=s.EICAR_FILE), c.JPEG, Reason.TEST_VIRUS),
        ("JPEG of other size", s.jpeg(4096, 4096), c.JPEG, Reason.CODESTREAM_SIZE),
        ("JPEG bomb", s.jpeg(65_000, 65_000), c.JPEG, Reason.FRAME_BOUND),
        (
            "JPEG-LS bomb",
            s.jpeg(65_000, 65_000).replace(b"\xff\xc0", b"\xff\xf7"),
            "1.2.840.10008.1.2.4.80",
            Reason.FRAME_BOUND,
        ),
        ("JPEG 2000 bomb", s.jpeg_2000(1 << 30, 1 << 30), c.J2K, Reason.FRAME_BOUND),
        ("JPEG under c.JPEG 2000", s.jpeg(), c.J2K, Reason.CODESTREAM),
        ("RLE of 16 segments", s.rle(16), c.RLE, Reason.CODESTREAM),
        ("deflated frame bomb", s.deflated(bytes(64 << 20)), c.DEFLATED_FRAMES, Reason.FRAME_BOUND),
        ("deflated frame that is none", b"\xff" * 64, c.DEFLATED_FRAMES, Reason.CODESTREAM),
        ("RLE segment out of range", s.rle(1, 1 << 20), c.RLE, Reason.CODESTREAM),
    ):
        yield c.case_of(name, VerdictKind.QUARANTINE, reason, partial(c.encapsulated, c.fragments(value), syntax))
    yield c.case_of(
        "RLE bomb",
        VerdictKind.QUARANTINE,
        Reason.PIXELS_SHORT,
        lambda: c.encapsulated(c.fragments(s.rle()), c.RLE, extra={0x00280010: c.us(20_000), 0x00280011: c.us(20_000)}),
    )
    table = (1 << 30).to_bytes(4, "little")
    yield c.case_of(
        "offset table that points away",
        VerdictKind.QUARANTINE,
        Reason.OFFSET_TABLE,
        lambda: c.encapsulated(c.fragments(s.jpeg(), table=table), c.JPEG),
    )
    for name, offsets, lengths in (
        ("points away", [1 << 40], [len(s.jpeg())]),
        ("is too long", [0, 0], [len(s.jpeg())] * 2),
        ("claims more bytes", [0], [1 << 40]),
        ("claims fewer bytes", [0], [8]),
        ("has no lengths", [0], []),
        ("has lengths only", [], [len(s.jpeg())]),
    ):
        tables = _extended_tables(offsets, lengths)
        made = partial(c.encapsulated, c.fragments(s.jpeg()), c.JPEG, extra=tables)
        yield c.case_of(f"extended offset table that {name}", VerdictKind.QUARANTINE, Reason.OFFSET_TABLE, made)
    many = c.fragments(*([b""] * 50_000))
    yield c.case_of(
        "flood of fragments", VerdictKind.REJECT, Reason.BEYOND_LIMIT, partial(c.encapsulated, many, c.JPEG)
    )
    strange = c.fragments(*([bytes(64)] * 8000), table=b"".join(n.to_bytes(4, "little") for n in range(0, 576_000, 72)))
    yield c.case_of(
        "flood of no codestreams", VerdictKind.QUARANTINE, Reason.CODESTREAM, partial(c.encapsulated, strange, c.JPEG)
    )
    vast = {0x00280010: c.us(60_000), 0x00280011: c.us(60_000)}
    for name, frames, extra in (("a vast frame", b"1 ", vast), ("a billion frames", b"1000000000", {})):
        declared = extra | {0x00280008: (b"IS", frames)}
        bomb = c.fragments(s.deflated(bytes(1 << 20)))
        yield c.case_of(
            f"deflated frames of {name}",
            VerdictKind.QUARANTINE,
            Reason.FRAME_BOUND,
            partial(c.encapsulated, bomb, c.DEFLATED_FRAMES, extra=declared),
        )
        native = partial(c.whole, declared)
        yield c.case_of(f"native pixels of {name}", VerdictKind.QUARANTINE, Reason.FRAME_BOUND, native)
    yield c.case_of(
        "no fragments",
        VerdictKind.QUARANTINE,
        Reason.PIXELS_SHORT,
        lambda: c.encapsulated(c.fragments(), c.JPEG),
    )


def _extended_tables(offsets: list[int], lengths: list[int]) -> dict[int, tuple[bytes, bytes]]:
    tables = {0x7FE00001: offsets, 0x7FE00002: lengths}
    packed = {tag: b"".join(each.to_bytes(8, "little") for each in values) for tag, values in tables.items() if values}
    return {tag: (b"OV", value) for tag, value in packed.items()}


def _icon() -> bytes:
    inner = b"".join(
        (short(0x00280010, *c.us(512)), short(0x00280011, *c.us(512)), short(0x00280100, *c.us(8)))
    ) + long(c.PIXELS, b"OB", bytes(16))
    return c.whole({0x00880200: (b"SQ", item(inner))})
