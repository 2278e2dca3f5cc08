"""HL7 CDA: well-formed XML without a document type declaration; nothing outside it is ever fetched."""

import base64
import binascii
import re
from typing import Final
from xml.parsers import expat

from leadglass.inspection.payloads import find_payloads
from leadglass.inspection.reasons import Reason
from leadglass.inspection.values import report_payload
from leadglass.inspection.verdict import Findings

#: Characters of one text node that are kept to look at what it embeds, in base64.
_EMBEDDED: Final = 4 * 1024 * 1024
#: Bytes of one token, such as an attribute, that expat may hold.
_LONGEST_TOKEN: Final = 1024 * 1024
_SCRIPT: Final = re.compile(r"^\s*(?:javascript|vbscript|data:text/html)\s*[:,;]", re.IGNORECASE)


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
        self._parser.CharacterDataHandler = self._text
        self._parser.EndElementHandler = self._end
        self._done = False
        self._pending = 0
        self._embedded: list[str] | None = None
        self._embedded_length = 0

    def feed(self, part: memoryview) -> None:
        if self._done:
            return
        before = self._parser.CurrentByteIndex
        self._parse(bytes(part), final=False)
        # expat doubles its buffer for a token that does not end: an attribute of gigabytes.
        self._pending = 0 if self._parser.CurrentByteIndex > before else self._pending + len(part)
        if self._pending > _LONGEST_TOKEN:
            self._add(Reason.DOCUMENT_BOUND)
            self._done = True

    def finish(self) -> None:
        if not self._done:
            self._parse(b"", final=True)

    def _parse(self, data: bytes, *, final: bool) -> None:
        # Padding to an even length (PS3.5 6.2) is no part of the document.
        data = data.replace(b"\0", b"") if data.endswith(b"\0") else data
        try:
            self._parser.Parse(data, final)
        except _StopError:
            self._done = True
        # The last two: an encoding is declared that does not exist, or is none that expat can take from Python.
        except (expat.ExpatError, LookupError, ValueError):
            self._add(Reason.DOCUMENT_BROKEN, detail="XML")
            self._done = True

    def _add(self, reason: Reason, detail: str = "") -> None:
        self._findings.add(reason, self._offset + max(0, self._parser.CurrentByteIndex), self._path, detail=detail)

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
        local = name.rpartition("}")[2].lower()
        if local in ("script", "iframe", "object", "embed") or any(
            (each.rpartition("}")[2].lower().startswith("on") and "(" in value) or _SCRIPT.match(value)
            for each, value in attributes.items()
        ):
            self._add(Reason.CDA_ACTIVE, detail=local)
        self._embedded = [] if attributes.get("representation") == "B64" else None
        self._embedded_length = 0

    def _text(self, text: str) -> None:
        if self._embedded is None:
            return
        self._embedded_length += len(text)
        if self._embedded_length <= _EMBEDDED:
            self._embedded.append(text)

    def _end(self, _name: str) -> None:
        if self._embedded is None:
            return
        text = "".join("".join(self._embedded).split())
        self._embedded = None
        try:
            data = base64.b64decode(text[: len(text) & ~3], validate=False)
        except (binascii.Error, ValueError):
            self._add(Reason.DOCUMENT_BROKEN, detail="base64")
            return
        for payload in find_payloads(data, start=True):
            if payload.name not in ("PDF", "RTF"):
                report_payload(self._findings, payload, data, self._offset, self._path, private=False)
