"""HL7 CDA: well-formed XML without a document type declaration; nothing outside it is ever fetched."""

import binascii
import re
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from leadglass.inspection.pdf import PdfReader
from leadglass.inspection.reasons import Reason
from leadglass.inspection.values import BLOCK, OpaqueStream, Receiver
from leadglass.inspection.verdict import Findings

#: Bytes of one token, such as an attribute, that expat may hold.
_LONGEST_TOKEN: Final = 1024 * 1024
#: Tags and attributes beside one for so many bytes, and documents that one document embeds.
_MOST_MARKUP: Final = 65_536
_MARKUP_EACH: Final = 8
_MOST_EMBEDDED: Final = 1024
#: Names of elements that are looked at once, and characters of such a name.
_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 128
_SCRIPT: Final = re.compile(r"^\s*(?:javascript|vbscript|data:text/html)\s*[:,;]", re.IGNORECASE)
_ACTIVE: Final = frozenset({"script", "iframe", "object", "embed"})
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
_PDF: Final = b"%PDF-"
_FOREIGN: Final = bytes(each for each in range(256) if each not in _ALPHABET)
#: RFC 4648 5 has two other letters. What pads stands for zeros, so that something may follow it.
_LETTERS: Final = bytes.maketrans(b"-_=", b"+/A")


class _StopError(Exception):
    """Enough is known."""


class CdaReader:
    """Takes a CDA as it streams past. expat keeps no more of it than the token under way, which is bounded here."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.EntityDeclHandler = self._entity
        self._parser.ProcessingInstructionHandler = self._instruction
        self._parser.StartElementHandler = self._start
        self._done = False
        self._pending = 0
        self._begun = b""
        self._waiting = bytearray()
        self._nulls = 0
        self._markup_left = _MOST_MARKUP
        self._embedding: list[_Embedding] = []
        self._embedded = 0
        self._known: set[str] = set()

    def feed(self, part: memoryview) -> None:
        if self._done:
            return
        self._waiting += part
        while len(self._waiting) >= BLOCK and not self._done:
            self._take(bytes(self._waiting[:BLOCK]))
            del self._waiting[:BLOCK]

    def finish(self) -> None:
        if not self._done:
            self._take(bytes(self._waiting))
        self._waiting.clear()
        # A NULL at the very end makes the length even (PS3.5 6.2), but where characters are of two bytes.
        if not self._done and self._begun.startswith(_UTF_16):
            self._parse(bytes(self._nulls), final=False)
        if not self._done:
            self._parse(b"", final=True)

    def _take(self, block: bytes) -> None:
        self._markup_left += len(block) // _MARKUP_EACH
        before = self._parser.CurrentByteIndex
        self._parse_padded(block)
        # expat doubles its buffer for a token that does not end: an attribute of gigabytes.
        self._pending = 0 if self._parser.CurrentByteIndex > before else self._pending + len(block)
        if self._pending > _LONGEST_TOKEN:
            self._add(Reason.DOCUMENT_BOUND)
            self._done = True

    def _parse_padded(self, data: bytes) -> None:
        """Keeps NULLs back until something follows them."""
        self._begun = self._begun or data[:2]
        kept = data.rstrip(b"\0")
        if kept and self._nulls:
            # More than one stands in no document.
            kept = bytes(min(self._nulls, 3)) + kept
        if kept:
            self._nulls = 0
            self._parse(kept, final=False)
        self._nulls += len(data) - len(data.rstrip(b"\0"))

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except _StopError:
            self._done = True
        # The last two: an encoding is declared that does not exist, or is none that expat can take from Python.
        except (expat.ExpatError, LookupError, ValueError):
            self._add(Reason.DOCUMENT_BROKEN, detail="XML")
            self._done = True

    def _add(self, reason: Reason, detail: str = "") -> None:
        self._findings.add(reason, self._at(), self._path, detail=detail)

    def _at(self) -> int:
        return self._offset + max(0, self._parser.CurrentByteIndex)

    def _doctype(self, *_: object) -> None:
        self._add(Reason.CDA_DTD)
        raise _StopError

    def _entity(self, *_: object) -> None:
        self._add(Reason.CDA_DTD)
        raise _StopError

    def _instruction(self, target: str, _data: str) -> None:
        if target == "xml-stylesheet":
            self._add(Reason.STYLESHEET)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._markup_left -= 1 + len(attributes)
        if self._markup_left < 0:
            self._add(Reason.DOCUMENT_BOUND, detail="more tags and attributes than are looked at")
            raise _StopError
        if name not in self._known:
            self._learn(name)
        if attributes and self._is_active(attributes):
            self._add(Reason.CDA_ACTIVE, detail="an attribute")
        for embedding in self._embedding:
            embedding.depth += 1
        if attributes and attributes.get("representation", "").strip().upper() == "B64":
            self._embed()

    def _learn(self, name: str) -> None:
        """Says once what an element of this name does."""
        if len(self._known) < _MOST_KNOWN and len(name) <= _LONGEST_KNOWN:
            self._known.add(name)
        if _local(name) in _ACTIVE:
            self._add(Reason.CDA_ACTIVE, detail=_local(name))

    def _is_active(self, attributes: dict[str, str]) -> bool:
        return any(
            ("(" in value and _local(each).startswith("on")) or _SCRIPT.match(value)
            for each, value in attributes.items()
        )

    def _embed(self) -> None:
        """HL7 V3 data types, ED: the text of an element is a document in base64. Its children (a reference, a
        thumbnail) stand among it; readers differ in whether their text belongs to it, so both are looked at."""
        self._embedded += 1
        if self._embedded > _MOST_EMBEDDED or len(self._embedding) > 1:
            self._add(Reason.DOCUMENT_BOUND, detail="more embedded documents than are looked at")
            raise _StopError
        place = self._findings, self._at(), self._path
        own, whole = _Document(*place), _Document(*place)
        own.share(whole)
        self._embedding.append(_Embedding(_Base64(own, _PdfDocument(*place)), _Base64(whole)))
        self._parser.CharacterDataHandler = self._text
        self._parser.EndElementHandler = self._end

    def _text(self, text: str) -> None:
        for embedding in self._embedding:
            embedding.whole.feed(text)
            if not embedding.depth:
                embedding.own.feed(text)

    def _end(self, _name: str) -> None:
        for embedding in self._embedding:
            embedding.depth -= 1
        if self._embedding[-1].depth < 0:
            embedding = self._embedding.pop()
            embedding.own.finish()
            embedding.whole.finish()
        if not self._embedding:
            self._parser.CharacterDataHandler = None
            self._parser.EndElementHandler = None


def _local(name: str) -> str:
    """Without its namespace, which expat puts before it."""
    return name.rpartition("}")[2].lower()


@dataclass(slots=True)
class _Embedding:
    """An element whose text is a document. `own`: without the text of its children; `whole`: with it. `depth`: that of
    the element under way below it."""

    own: "_Base64"
    whole: "_Base64"
    depth: int = 0


class _Base64:
    """RFC 4648 4, decoded as it comes; what is not of the alphabet is passed over, as most decoders do."""

    def __init__(self, *receivers: Receiver) -> None:
        self._receivers = receivers
        self._rest = b""

    def feed(self, text: str) -> None:
        letters = self._rest + text.encode("ascii", "ignore").translate(_LETTERS, _FOREIGN)
        whole = len(letters) & ~3
        self._rest = letters[whole:]
        self._pass(letters[:whole])

    def finish(self) -> None:
        self._pass(self._rest.ljust(4, b"A") if len(self._rest) > 1 else b"")
        for receiver in self._receivers:
            receiver.finish()

    def _pass(self, letters: bytes) -> None:
        data = memoryview(binascii.a2b_base64(letters))
        for receiver in self._receivers:
            receiver.feed(data)


class _Document(OpaqueStream):
    """What is embedded, searched as any opaque value; a PDF or RTF is expected there."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        super().__init__(findings, offset, path, private=False)
        self._seen |= {"PDF", "RTF"}

    def share(self, other: "_Document") -> None:
        """What both find is reported once."""
        other._seen = self._seen


class _PdfDocument(PdfReader):
    """Reads what is embedded if it is a PDF."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        super().__init__(findings, offset, path)
        self._first = b""

    def feed(self, part: memoryview) -> None:
        self._first += part[: len(_PDF) - len(self._first)]
        if _PDF.startswith(self._first[: len(_PDF)]):
            super().feed(part)

    def finish(self) -> None:
        if self._first == _PDF:
            super().finish()
