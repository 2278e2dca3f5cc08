"""The preamble, PS3.10 7.1: zeros, the header of a TIFF that the file also is, or something that nobody needs."""

from struct import Struct
from typing import Final

from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings, excerpt

_CLASSIC: Final = {b"II*\0": "<", b"MM\0*": ">"}
_BIG: Final = {b"II+\0": "<", b"MM\0+": ">"}
_MOST_ENTRIES: Final = 512
#: TIFF 6.0 section 2 and BigTIFF: field types.
_MOST_TYPE: Final = 18


def is_empty(preamble: bytes) -> bool:
    return not preamble.strip(b"\0")


class TiffCheck:
    """Whether the directory that a TIFF header points to is there: captured as the file streams past."""

    def __init__(self, findings: Findings, preamble: bytes, order: str, at: int, *, big: bool) -> None:
        self._findings = findings
        self._preamble = preamble
        self._at = at
        self._count = Struct(order + ("Q" if big else "H"))
        self._entry = Struct(order + ("HHQQ" if big else "HHII"))
        self._position = 0
        self._held = bytearray()

    @classmethod
    def of(cls, preamble: bytes, findings: Findings) -> "TiffCheck | None":
        """None unless the preamble begins as a TIFF and holds nothing after its header."""
        order = _CLASSIC.get(preamble[:4])
        if order is not None:
            return cls(findings, preamble, order, Struct(order + "I").unpack_from(preamble, 4)[0], big=False)
        order = _BIG.get(preamble[:4])
        if order is not None and Struct(order + "HH").unpack_from(preamble, 4) == (8, 0):
            return cls(findings, preamble, order, Struct(order + "Q").unpack_from(preamble, 8)[0], big=True)
        return None

    def feed(self, piece: memoryview) -> None:
        wanted = self._count.size + _MOST_ENTRIES * self._entry.size
        start = self._at + len(self._held) - self._position
        if 0 <= start < len(piece) and len(self._held) < wanted:
            self._held += piece[start : start + wanted - len(self._held)]
        self._position += len(piece)

    def finish(self, octets: int) -> None:
        if self._at >= 8 and self._at < octets and self._is_directory():
            self._findings.add(Reason.TIFF, 0, "preamble")
        else:
            self._findings.add(Reason.PREAMBLE, 0, "preamble", excerpt(self._preamble, 0, 8), "TIFF without directory")

    def _is_directory(self) -> bool:
        if len(self._held) < self._count.size:
            return False
        count = self._count.unpack_from(self._held)[0]
        if not 1 <= count <= _MOST_ENTRIES or len(self._held) < self._count.size + count * self._entry.size:
            return False
        rows = [self._entry.unpack_from(self._held, self._count.size + i * self._entry.size) for i in range(count)]
        tags = [row[0] for row in rows]
        return tags == sorted(set(tags)) and all(1 <= row[1] <= _MOST_TYPE for row in rows)
