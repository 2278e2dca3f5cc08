"""PDF without opening it: the names that make a reader act, in plain sight, spelled with escapes, or in object streams.

Names count wherever they stand (ISO 32000-1 7.3.5): a reader that repairs a broken file believes any object it finds.
"""

import re
import zlib
from typing import Final

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings

#: Bytes of object streams inflated in one document, how many there may be, and names spelled with escapes.
_INFLATED: Final = 16 * 1024 * 1024
_MOST_STREAMS: Final = 8192
_MOST_ESCAPES: Final = 16_384
#: Names of any kind, beside one for so many bytes of the document: what is compressed has a slash in 256.
_MOST_NAMES: Final = 1_000_000
_NAME_EACH: Final = 32
#: To look at what a stream is costs as much as so many names.
_NAMES_A_STREAM: Final = 16
#: Bytes looked at in one go, those that are looked at again with what follows, and those that follow /OpenAction.
_BLOCK: Final = 64 * 1024
_OVERLAP: Final = 2048
_ACTION: Final = 256
_STEP: Final = 256 * 1024
#: Fed to zlib at a time: what it leaves over is copied for each stream.
_SLICE: Final = 2048

_NAMES: Final = {
    b"JavaScript": Reason.PDF_ACTIVE,
    b"Launch": Reason.PDF_ACTIVE,
    b"Rendition": Reason.PDF_ACTIVE,
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
#: Names so short that they turn up in what is compressed: what follows must be what they are names of, an action in a
#: dictionary or a script in a string, there or in another object (ISO 32000-1 12.6.3, 12.6.4.16).
_BLANK: Final = rb"(?:[\x00\t\n\f\r ]|%[^\r\n]{0,128}[\r\n]){0,64}"
_REFERENCE: Final = rb"[0-9]{1,10}" + _BLANK + rb"[0-9]{1,5}" + _BLANK + rb"R"
_SHORT: Final = {
    b"AA": re.compile(rb"/AA" + _BLANK + rb"(?:<<|" + _REFERENCE + rb")"),
    b"JS": re.compile(rb"/JS" + _BLANK + rb"(?:\(|<[0-9A-Fa-f]|" + _REFERENCE + rb")"),
}
_END_OF_NAME: Final = rb"(?=[\x00-\x20/<>\[\](){}%])"
_ESCAPED: Final = re.compile(
    rb"/((?:[^\x00-\x20/<>\[\](){}%#]{0,32}#[0-9A-Fa-f]{2}){1,32}[^\x00-\x20/<>\[\](){}%#]{0,32})" + _END_OF_NAME
)
_ESCAPE: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
#: Readers are lenient about what stands around the word.
_STREAM: Final = re.compile(rb">>" + _BLANK + rb"stream[^\r\n]{0,128}(?:\r\n|\n|\r)")
#: What /OpenAction may do harmlessly: show a page (ISO 32000-1 12.3.2); other actions are found by their own names.
_OPEN_ACTION: Final = re.compile(rb"/OpenAction[\x00\t\n\f\r ]*<<")


class PdfReader:
    """Takes a PDF as it streams past. Each name is reported where it stands first."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._waiting = bytearray()
        self._held = b""
        self._inflater: zlib._Decompress | None = None
        self._inflated = 0
        self._carry = b""
        self._streams = 0
        self._escapes = 0
        self._names_left = _MOST_NAMES
        self._wanted = set(_NAMES)
        self._pattern = _pattern_of(self._wanted)
        self._short = dict(_SHORT)
        self._is_of_objects = False
        self._may_open = True
        self._done = False

    def feed(self, part: memoryview) -> None:
        if self._done:
            return
        self._waiting += part
        while len(self._waiting) >= _BLOCK and not self._done:
            self._take(bytes(self._waiting[:_BLOCK]))
            del self._waiting[:_BLOCK]

    def finish(self) -> None:
        if not self._done:
            # A delimiter ends the last name, and nothing more comes that an action could be of.
            self._take(bytes(self._waiting) + b"\n" * _ACTION)
        self._waiting.clear()

    def _take(self, block: bytes) -> None:
        """Looks at a block, of which object streams are inflated and looked at too. A stream may go on in the next."""
        self._names_left += len(block) // _NAME_EACH
        start = self._offset
        self._offset += len(block)
        at = self._inflate(block, 0, start) if self._inflater is not None else 0
        data = self._held + block[at:] if at or self._held else block
        start = self._offset - len(data)
        looked = at = 0
        while not self._done and self._inflater is None and (match := _STREAM.search(data, at)):
            dictionary = data[at : match.start()]
            at = match.end()
            if at == len(data) and data.endswith(b"\r"):
                break  # a line feed may follow
            self._count(_NAMES_A_STREAM, start + at)
            if self._is_of_objects or _names_objects(dictionary):
                self._is_of_objects = False
                self._look(data[looked : match.start() + 2], start + looked)
                looked = at = self._begin(data, at, start)
        if not self._done and self._inflater is None:
            self._is_of_objects = self._is_of_objects or _names_objects(data[at:])
            self._look(data[looked:], start + looked)
        self._held = data[looked:][-_OVERLAP:]

    def _begin(self, data: bytes, at: int, start: int) -> int:
        self._streams += 1
        if self._streams > _MOST_STREAMS:
            self._give_up("more object streams than are looked into", start + at)
            return at
        self._inflater = zlib.decompressobj()
        self._carry = b""
        return self._inflate(data, at, start)

    def _inflate(self, data: bytes, at: int, start: int) -> int:
        """Inflates an object stream that begins or goes on at `at`. Returns where it ends, or the end of `data`."""
        inflater = self._inflater
        with memoryview(data) as view:
            while inflater is not None and at < len(data) and not self._done:
                part = view[at : at + _SLICE]
                try:
                    self._inflate_slice(inflater, part, start + at)
                except zlib.error:
                    self._findings.add(Reason.PDF_OPAQUE, start + at, self._path, detail="object stream")
                    inflater = self._inflater = None
                    return at
                at += len(part)
                if inflater.eof:
                    at -= len(inflater.unused_data)
                    inflater = self._inflater = None
                    self._look(self._carry + b"\n", start + at)
        return at

    def _inflate_slice(self, inflater: "zlib._Decompress", part: memoryview, offset: int) -> None:
        rest: bytes | memoryview = part
        while not self._done:
            plain = inflater.decompress(rest, _STEP)
            self._inflated += len(plain)
            if self._inflated > _INFLATED:
                self._give_up("object streams are too long", offset)
                return
            self._look(self._carry + plain, offset)
            self._carry = (self._carry + plain)[-_OVERLAP:]
            rest = inflater.unconsumed_tail
            if inflater.eof or (not rest and len(plain) < _STEP):
                return

    def _count(self, names: int, offset: int) -> None:
        self._names_left -= names
        if self._names_left < 0:
            self._give_up("more names than are looked at", offset)

    def _give_up(self, detail: str, offset: int) -> None:
        self._findings.add(Reason.PDF_OPAQUE, offset, self._path, detail=detail)
        self._done = True
        self._inflater = None

    def _look(self, data: bytes, offset: int) -> None:
        """Finds the names in `data`. One that ends with it is not whole: it is looked at again with what follows."""
        names = data.count(b"/")
        self._count(names, offset)
        at = 0
        while names and self._wanted and (match := self._pattern.search(data, at)):
            self._say(match[1], offset + match.start())
            at = match.end()
        for name, pattern in list(self._short.items()) if names else ():
            if match := pattern.search(data):
                self._say(name, offset + match.start())
        if names and b"#" in data:
            self._look_at_escapes(data, offset)
        if names and self._may_open:
            self._look_at_actions(data, offset)

    def _look_at_escapes(self, data: bytes, offset: int) -> None:
        for match in _ESCAPED.finditer(data):
            self._escapes += 1
            if self._escapes > _MOST_ESCAPES:
                self._give_up("more escaped names than are looked at", offset + match.start())
                return
            self._say(_plain(match[1]), offset + match.start())

    def _look_at_actions(self, data: bytes, offset: int) -> None:
        for match in _OPEN_ACTION.finditer(data):
            action = data[match.end() : match.end() + _ACTION]
            if len(action) == _ACTION and b"/GoTo" not in action:
                self._findings.add(Reason.PDF_ACTIVE, offset + match.start(), self._path, detail="/OpenAction")
                self._may_open = False
                return

    def _say(self, name: bytes, offset: int) -> None:
        if self._short.pop(name, None) is not None:
            self._findings.add(Reason.PDF_ACTIVE, offset, self._path, detail=f"/{name.decode('ascii')}")
        elif name in self._wanted:
            self._wanted.discard(name)
            self._pattern = _pattern_of(self._wanted)
            self._findings.add(_NAMES[name], offset, self._path, detail=f"/{name.decode('ascii')}")


def _pattern_of(names: set[bytes]) -> re.Pattern[bytes]:
    # The longer of two that begin alike goes first.
    return re.compile(rb"/(" + b"|".join(sorted(names, reverse=True)) + rb")" + _END_OF_NAME)


def _names_objects(dictionary: bytes) -> bool:
    return b"ObjStm" in dictionary or (b"#" in dictionary and b"ObjStm" in _plain(dictionary))


def _plain(name: bytes) -> bytes:
    """ISO 32000-1 7.3.5: `#4A` stands for `J`."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), name)
