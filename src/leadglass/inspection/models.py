"""STL, OBJ and MTL (PS3.3 A.85): three-dimensional models, which are numbers and names and nothing else."""

import re
from struct import Struct
from typing import Final

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings

_HEADER: Final = 80
_TRIANGLE: Final = 50
_COUNT: Final = Struct("<I")
_LONGEST_LINE: Final = 64 * 1024
#: Statements of OBJ and MTL as their makers published them; `call` and `csh` run commands.
_STATEMENT: Final = re.compile(rb"^[A-Za-z_]{1,12}(?:\s|$)")
_COMMANDS: Final = frozenset({b"call", b"csh"})
_FILES: Final = frozenset(
    {b"mtllib", b"maplib", b"map_kd", b"map_ka", b"map_ks", b"map_ns", b"map_d", b"map_bump", b"bump"}
)
_FOREIGN: Final = re.compile(rb"(?:^|\s)(?:[A-Za-z][A-Za-z0-9+.-]+://|\\\\|//|/|[A-Za-z]:[\\/])|\.\.[\\/]")


class StlReader:
    """A binary STL is a header of 80 bytes, a count, and 50 bytes a triangle: its length follows."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._head = bytearray()
        self._length = 0

    def feed(self, part: memoryview) -> None:
        if len(self._head) < _HEADER + 4:
            self._head += part[: _HEADER + 4 - len(self._head)]
        self._length += len(part)

    def finish(self) -> None:
        if len(self._head) < _HEADER + 4:
            self._findings.add(Reason.DOCUMENT_BROKEN, self._offset, self._path, detail="STL")
            return
        expected = _HEADER + 4 + _TRIANGLE * _COUNT.unpack_from(self._head, _HEADER)[0]
        if not expected <= self._length <= expected + (expected & 1):
            detail = f"STL: {self._length} bytes of {expected}"
            self._findings.add(Reason.DOCUMENT_BROKEN, self._offset, self._path, detail=detail)


class WavefrontReader:
    """OBJ and MTL are lines; those that name a file may name one beside them, and nothing else."""

    def __init__(self, findings: Findings, offset: int, path: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._held = bytearray()

    def feed(self, part: memoryview) -> None:
        self._held += part
        end = max(self._held.rfind(b"\n"), self._held.rfind(b"\r")) + 1
        if end:
            self._lines(bytes(self._held[:end]))
            del self._held[:end]
        elif len(self._held) > _LONGEST_LINE:
            self._findings.add(Reason.DOCUMENT_BROKEN, self._offset, self._path, detail="a line too long")
            self._held.clear()

    def finish(self) -> None:
        self._lines(bytes(self._held).rstrip(b" \0"))

    def _lines(self, text: bytes) -> None:
        for line in text.splitlines():
            word = line.strip()
            if not word or word.startswith(b"#"):
                continue
            statement, _, rest = word.partition(b" ")
            if not _STATEMENT.match(word):
                self._findings.add(
                    Reason.DOCUMENT_BROKEN, self._offset, self._path, detail="no statement of OBJ or MTL"
                )
                return
            name = statement.lower()
            if name in _COMMANDS or (name in _FILES and _FOREIGN.search(rest)):
                detail = name.decode("ascii", "replace")
                self._findings.add(Reason.DOCUMENT_REMOTE, self._offset, self._path, detail=detail)
