"""PDF without opening it: the names that make a reader act, in plain sight, spelled with escapes, or in object streams.

Names count wherever they stand (ISO 32000-1 7.3.5): a reader that repairs a broken file believes any object it finds.
"""

import re
import zlib
from typing import Final

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings

#: Bytes of object streams inflated in one document, and of names looked at across a border.
_INFLATED: Final = 16 * 1024 * 1024
_OVERLAP: Final = 2048
_BLOCK: Final = 64 * 1024
_STEP: Final = 256 * 1024

_NAMES: Final = {
    b"JavaScript": Reason.PDF_ACTIVE,
    b"JS": Reason.PDF_ACTIVE,
    b"Launch": Reason.PDF_ACTIVE,
    b"AA": Reason.PDF_ACTIVE,
    b"RichMedia": Reason.PDF_ACTIVE,
    b"ImportData": Reason.PDF_ACTIVE,
    b"EmbeddedFile": Reason.PDF_EMBEDDED,
    b"EmbeddedFiles": Reason.PDF_EMBEDDED,
    b"Encrypt": Reason.PDF_OPAQUE,
    b"SubmitForm": Reason.PDF_LINK,
    b"GoToR": Reason.PDF_LINK,
    b"GoToE": Reason.PDF_LINK,
    b"URI": Reason.PDF_LINK,
    b"XFA": Reason.PDF_ACTIVE,
}
#: What /OpenAction may do harmlessly: show a page (ISO 32000-1 12.3.2); other actions are found by their own names.
_NAME: Final = re.compile(rb"/(" + b"|".join(sorted(_NAMES, reverse=True)) + rb")(?=[\x00-\x20/<>\[\](){}%]|$)")
_ESCAPED: Final = re.compile(
    rb"/((?:[^\x00-\x20/<>\[\](){}%#]{0,32}#[0-9A-Fa-f]{2}){1,32}[^\x00-\x20/<>\[\](){}%#]{0,32})"
)
_ESCAPE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM: Final = re.compile(rb">>[\x00\t\n\f\r ]*stream(?:\r\n|\n|\r)")
_OPEN_ACTION: Final = re.compile(rb"/OpenAction[\x00\t\n\f\r ]*(<<|\[|[0-9])")


class PdfReader:
    """Takes a PDF as it streams past."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._held = bytearray()
        self._inflater: zlib._Decompress | None = None
        self._inflated = 0
        self._carry = b""

    def feed(self, part: memoryview) -> None:
        if self._inflater is not None:
            part = self._inflate(part)
        self._held += part
        while self._inflater is None and len(self._held) >= _BLOCK:
            self._look(keep=_OVERLAP)

    def finish(self) -> None:
        while self._held:
            self._look(keep=0)
            if self._inflater is not None:
                self._inflater = None  # a stream that the document cuts short

    def _look(self, *, keep: int) -> None:
        """Looks at what is held, up to the data of the next object stream, which are inflated and looked at too."""
        data = bytes(self._held)
        for match in _STREAM.finditer(data):
            dictionary = data[max(0, match.start() - _OVERLAP) : match.start()]
            if b"ObjStm" in _plain(dictionary[dictionary.rfind(b" obj") + 1 :]):
                self._names(data[: match.start() + 2], self._offset)
                self._drop(match.end())
                self._inflater = zlib.decompressobj()
                self._carry = b""
                rest = self._inflate(memoryview(bytes(self._held)))
                self._drop(len(self._held) - len(rest))
                return
        self._names(data, self._offset)
        self._drop(max(0, len(data) - keep))

    def _drop(self, count: int) -> None:
        self._offset += count
        del self._held[:count]

    def _inflate(self, part: memoryview) -> memoryview:
        """Inflates an object stream in bounded steps. Returns the bytes after its end."""
        inflater = self._inflater
        data: bytes | memoryview = part
        while inflater is not None:
            try:
                plain = inflater.decompress(data, _STEP)
            except zlib.error:
                self._findings.add(Reason.PDF_OPAQUE, self._offset, self._path, detail="object stream")
                self._inflater = None
                return part
            self._inflated += len(plain)
            if self._inflated > _INFLATED:
                self._findings.add(Reason.PDF_OPAQUE, self._offset, self._path, detail="object streams are too long")
                self._inflater = None
                return memoryview(b"")
            self._names(self._carry + plain, self._offset)
            self._carry = plain[-64:]
            data = inflater.unconsumed_tail
            if inflater.eof:
                self._inflater = None
                rest = inflater.unused_data
                return memoryview(rest)
            if not data and len(plain) < _STEP:
                break
        return memoryview(b"")

    def _names(self, data: bytes, offset: int) -> None:
        if b"/" not in data:
            return
        for match in _NAME.finditer(data):
            self._say(match[1], offset + match.start())
        if b"#" in data:
            for match in _ESCAPED.finditer(data):
                self._say(_plain(match[1]), offset + match.start())
        match_action = _OPEN_ACTION.search(data)
        if (
            match_action
            and match_action[1] == b"<<"
            and b"/GoTo" not in data[match_action.end() : match_action.end() + 256]
        ):
            self._findings.add(Reason.PDF_ACTIVE, offset + match_action.start(), self._path, detail="/OpenAction")

    def _say(self, name: bytes, offset: int) -> None:
        reason = _NAMES.get(name)
        if reason is not None:
            self._findings.add(reason, offset, self._path, detail=f"/{name.decode('ascii')}")


def _plain(name: bytes) -> bytes:
    """ISO 32000-1 7.3.5: `#4A` stands for `J`."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), name)
