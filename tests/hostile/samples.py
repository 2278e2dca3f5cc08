"""Headers of programs, archives and documents, short enough that a scanner knows them and no machine runs them."""

import struct
import zlib
from io import BytesIO
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile

from leadglass.inspection.payloads import EICAR

EICAR_FILE: Final = EICAR + b"!$H+H*"
ELF: Final = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(40)
MACH_O: Final = struct.pack("<IIIIIII", 0xFEEDFACF, 0x01000007, 3, 2, 0, 0, 0) + bytes(32)
MACH_O_FAT: Final = struct.pack(">IIIIIII", 0xCAFEBABE, 2, 0x01000007, 3, 4096, 4096, 12) + bytes(32)
JAVA_CLASS: Final = struct.pack(">IHH", 0xCAFEBABE, 0, 52) + bytes(32)
SHORTCUT: Final = struct.pack("<I", 0x4C) + bytes.fromhex("0114020000000000c000000000000046") + bytes(56)
SCRIPT: Final = b"#!/bin/sh\nexit 0\n"
HTML: Final = b"<!DOCTYPE html><html><body><p>nothing</p></body></html>"
HTML_SCRIPT: Final = b"<script>void 0</script>"
PHP: Final = b"<?php exit; ?>"
RAR: Final = b"Rar!\x1a\x07\x01\x00" + bytes(32)
SEVEN_ZIP: Final = b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(32)
CABINET: Final = b"MSCF" + bytes(4) + struct.pack("<IIII", 64, 0, 44, 0) + b"\x03\x01" + bytes(32)
OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
OLE_MACROS: Final = OLE + "_VBA_PROJECT".encode("utf-16-le") + bytes(104)
PE_OFFSET: Final = 0x60


def pe(offset: int = PE_OFFSET) -> bytes:
    """A PE whose COFF header says one section, and whose sections are not there."""
    dos = bytearray(b"MZ\x90\0" + bytes(offset - 4))
    struct.pack_into("<I", dos, 0x3C, offset)
    header = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x22)
    return bytes(dos) + header + struct.pack("<H", 0x20B) + bytes(62)


def zipped(name: str = "a.txt", data: bytes = b"nothing", *, names: tuple[str, ...] = ()) -> bytes:
    held = BytesIO()
    with ZipFile(held, "w", ZIP_DEFLATED) as archive:
        for each in (name, *names):
            archive.writestr(each, data)
    return held.getvalue()


def pdf(catalogue: bytes = b"", *objects: bytes) -> bytes:
    """A PDF of one empty page, with `catalogue` in its catalogue and further objects."""
    head = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R " + catalogue + b" >>\nendobj\n"
    pages = b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
    page = b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>\nendobj\n"
    more = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, each) for number, each in enumerate(objects, 4))
    return head + pages + page + more + b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"


def object_stream(plain: bytes) -> bytes:
    data = zlib.compress(plain)
    head = b"<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d >>" % len(data)
    return head + b"\nstream\n" + data + b"\nendstream"


def cda(before: bytes = b"", inside: bytes = b"<title>Report</title>") -> bytes:
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + before + b'<ClinicalDocument xmlns="urn:hl7-org:v3">' + inside + b"</ClinicalDocument>"


def stl(triangles: int = 2, declared: int | None = None) -> bytes:
    count = triangles if declared is None else declared
    return b"binary".ljust(80, b"\0") + struct.pack("<I", count) + bytes(50 * triangles)


def jpeg(rows: int = 16, columns: int = 16, *, comment: bytes = b"", coded: bytes = b"\x12\x34") -> bytes:
    """A baseline JPEG whose coded data decode to nothing."""
    parts = [b"\xff\xd8", b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"]
    if comment:
        parts.append(b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment)
    parts.append(b"\xff\xdb\x00\x43\x00" + bytes(range(1, 65)))
    parts.append(b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", rows, columns) + b"\x01\x01\x11\x00")
    parts.append(b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + coded)
    return b"".join(parts) + b"\xff\xd9"


def jpeg_2000(rows: int = 16, columns: int = 16, *, coded: bytes = b"\x12\x34") -> bytes:
    size = struct.pack(">HHIIIIIIIIHBBB", 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 7, 1, 1)
    tile = b"\xff\x90\x00\x0a" + struct.pack(">HIBB", 0, 0, 0, 1) + b"\xff\x93" + coded
    return b"\xff\x4f\xff\x51" + size + tile + b"\xff\xd9"


def rle(segments: int = 1, offset: int = 64, data: bytes = b"\x0f" + bytes(range(16)) * 1) -> bytes:
    return struct.pack("<16I", segments, offset, *([0] * 14)) + data * 16


def deflated(data: bytes) -> bytes:
    """A raw deflate stream (RFC 1951)."""
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()
