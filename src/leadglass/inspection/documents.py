"""Encapsulated documents (PS3.3 A.45, A.85): each must be what its SOP class and media type say, and nothing more."""

from collections.abc import Mapping
from typing import Final

from leadglass.inspection.cda import CdaReader
from leadglass.inspection.models import StlReader, WavefrontReader
from leadglass.inspection.pdf import PdfReader
from leadglass.inspection.reasons import Reason
from leadglass.inspection.text import MOST_NUMBERS, social_security_numbers
from leadglass.inspection.values import BLOCK, OpaqueStream, Receiver
from leadglass.inspection.verdict import Findings

ENCAPSULATED_DOCUMENT: Final = 0x00420011
MIME_TYPE: Final = 0x00420012
#: Bytes by which a document is recognised.
_SNIFFED: Final = 1024
#: A number and what must not stand beside it.
_AROUND_NUMBER: Final = 16

#: SOP class → the media type that its IOD fixes.
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
_SAME: Final = {"application/xml": "text/xml", "application/hl7-sda+xml": "text/xml", "application/sla": "model/stl"}


class DocumentStream:
    """Recognises a document by its first bytes and hands it to its reader. `media_type` is what it is; "" if nothing
    that is known."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._first = bytearray()
        self._readers: tuple[Receiver, ...] = ()
        self._ended = False
        self.media_type = ""

    def feed(self, part: memoryview) -> None:
        if self._readers:
            self._pass(part)
            return
        self._first += part
        if len(self._first) >= _SNIFFED:
            self._begin()

    def finish(self) -> None:
        if self._ended:
            return
        self._ended = True
        if not self._readers:
            self._begin()
        for reader in self._readers:
            reader.finish()

    def compare(self, sop_class: str, declared: str) -> None:
        """Bytes, media type and SOP class must agree; called when the data set has ended."""
        stated = declared.partition(";")[0].strip().lower()
        expected = {_SAME.get(each, each) for each in (stated, _MEDIA_TYPES.get(sop_class, "")) if each}
        if expected != {self.media_type} and not _agree(expected, self.media_type):
            found = self.media_type or "nothing known"
            self._findings.add(Reason.MEDIA_TYPE, self._offset, self._path, detail=f"it is {found}")

    def _begin(self) -> None:
        data = bytes(self._first)
        self.media_type = sniff(data)
        self._readers = tuple(self._make(self.media_type))
        self._pass(memoryview(data))

    def _pass(self, part: memoryview) -> None:
        for reader in self._readers:
            reader.feed(part)

    def _make(self, media_type: str) -> list[Receiver]:
        place = (self._findings, self._offset, self._path)
        # Programs and archives are looked for in each of them; its own kind of header is none.
        readers: list[Receiver] = [_Foreign(*place, own=media_type)]
        if media_type == "application/pdf":
            readers.append(PdfReader(*place))
        elif media_type == "text/xml":
            readers += (CdaReader(*place), _Identifiers(*place))
        elif media_type == "model/stl":
            readers.append(StlReader(*place))
        elif media_type in ("model/obj", "model/mtl"):
            readers.append(WavefrontReader(*place))
        return readers


def _agree(expected: set[str], found: str) -> bool:
    """OBJ and MTL are lines of the same kind: the bytes do not tell which."""
    lines = {"model/obj", "model/mtl"}
    return found in lines and len(expected) == 1 and expected <= lines


def sniff(data: bytes) -> str:
    """The media type of a document that begins with `data`, "" when it is none of those that DICOM encapsulates."""
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    head = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if (
        head.startswith((b"<?xml", b"\xff\xfe<\0", b"\xfe\xff\0<", b"\0<\0?", b"<\0?\0"))
        or b"<ClinicalDocument" in head[:512]
    ):
        return "text/xml"
    if head.startswith(b"<") and not head[:64].lower().startswith((b"<html", b"<!doctype html", b"<script", b"<svg")):
        return "text/xml"
    if len(data) >= 84 and b"\0" in data[80:]:
        return "model/stl"
    if b"\0" not in head.rstrip(b"\0 ") and _is_wavefront(head):
        return "model/mtl" if b"newmtl" in head else "model/obj"
    return ""


def _is_wavefront(head: bytes) -> bool:
    lines = [line.split() for line in head.splitlines() if line.strip() and not line.startswith(b"#")]
    known = (b"v", b"vn", b"vt", b"vp", b"f", b"l", b"p", b"o", b"g", b"s", b"usemtl", b"mtllib", b"newmtl")
    return bool(lines) and lines[0][0] in known


class _Identifiers:
    """Social Security numbers in a document that is text: an `id` of a CDA often is one."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._held = bytearray()
        self._left = MOST_NUMBERS
        self._seen = 0

    def feed(self, part: memoryview) -> None:
        self._held += part
        if len(self._held) >= BLOCK:
            self._look(keep=_AROUND_NUMBER)

    def finish(self) -> None:
        self._look(keep=0)

    def _look(self, *, keep: int) -> None:
        data = bytes(self._held)
        looked = len(data) - keep
        for remark in social_security_numbers(data) if self._left > 0 else ():
            if self._seen <= remark.at < looked:
                self._left -= 1
                self._findings.add(remark.reason, self._offset + remark.at, self._path)
        # A number that begins before the border has been seen as a whole; a byte of what stands before it is kept.
        self._seen = min(1, looked)
        self._offset += looked - self._seen
        del self._held[: looked - self._seen]


class _Foreign(OpaqueStream):
    """A document searched for what it should not hold: another kind of file after or inside it."""

    def __init__(self, findings: Findings, offset: int, path: str, *, own: str) -> None:
        super().__init__(findings, offset, path, private=False, start=not own)
        if own == "application/pdf":
            self._seen.add("PDF")
