"""The preamble, PS3.10 7.1: zeros, the header of a TIFF that the file also is, or something that nobody needs."""

from struct import Struct
from typing import Final

from leadglass.inspection.payloads import find_payloads
from leadglass.inspection.reasons import Reason
from leadglass.inspection.values import report_payload
from leadglass.inspection.verdict import Findings, excerpt

PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
#: Bytes of a file in which what it begins with is looked for.
HEAD: Final = 192 * 1024
#: PE format, 3.1: where the DOS header says where the PE header is, and the bytes that tell that it is one.
_DOS_POINTER: Final = 0x3C
_PE_HEADER: Final = 64
_CLASSIC: Final = {b"II*\0": "<", b"MM\0*": ">"}
_BIG: Final = {b"II+\0": "<", b"MM\0+": ">"}
_MOST_ENTRIES: Final = 512
#: TIFF 6.0 section 2 and BigTIFF: field types.
_MOST_TYPE: Final = 18


def is_empty(preamble: bytes) -> bool:
    return not preamble.strip(b"\0")


def report_programs(findings: Findings, head: bytes) -> None:
    """`head`: the first bytes of a file. What it would be to whoever looks at its beginning and not at its name."""
    for payload in find_payloads(head, start=True):
        if payload.at < PREAMBLE or (payload.name == "PE" and head.startswith(b"MZ")):
            report_payload(findings, payload, head, 0, "preamble", private=False)


class HeadCheck:
    """What precedes a data set in a file, of which only the data set is kept. `head`: preamble and File Meta
    Information; a program in them may go on in the data set, whose first bytes are fed."""

    def __init__(self, findings: Findings, head: bytes) -> None:
        self._findings = findings
        self._held = bytearray(head)
        self._wanted = head[PREAMBLE : PREAMBLE + len(_PREFIX)] == _PREFIX and not is_empty(head[:PREAMBLE])

    def feed(self, data: memoryview) -> None:
        if self._wanted:
            self._held += data[: HEAD - len(self._held)]
            if len(self._held) >= HEAD:
                self.finish()

    def finish(self) -> None:
        if not self._wanted:
            return
        self._wanted = False
        head = bytes(self._held)
        preamble = head[:PREAMBLE]
        if TiffCheck.of(preamble, self._findings) is None:
            self._findings.add(Reason.PREAMBLE, 0, "preamble", excerpt(preamble, 0, 4))
        report_programs(self._findings, head)


class _Place:
    """So many bytes at one place of a file, kept as it streams past."""

    def __init__(self, at: int, wanted: int) -> None:
        self._at = at
        self._wanted = wanted
        self._position = 0
        self.held = bytearray()

    def feed(self, piece: memoryview) -> None:
        start = self._at + len(self.held) - self._position
        if 0 <= start < len(piece) and len(self.held) < self._wanted:
            self.held += piece[start : start + self._wanted - len(self.held)]
        self._position += len(piece)


class DosCheck:
    """Whether a DOS header in the preamble points to a program further on than `report_programs` looks."""

    def __init__(self, findings: Findings, preamble: bytes) -> None:
        self._findings = findings
        self._preamble = preamble
        self._at = Struct("<I").unpack_from(preamble, _DOS_POINTER)[0]
        self._place = _Place(self._at, _PE_HEADER)

    @classmethod
    def of(cls, preamble: bytes, findings: Findings) -> "DosCheck | None":
        check = cls(findings, preamble) if preamble.startswith(b"MZ") else None
        return check if check is not None and check._at >= HEAD - _PE_HEADER else None

    def feed(self, piece: memoryview) -> None:
        self._place.feed(piece)

    def finish(self, _octets: int) -> None:
        if any(each.name == "PE" and each.at == 0 for each in find_payloads(bytes(self._place.held), start=False)):
            self._findings.add(Reason.EXECUTABLE, 0, "preamble", excerpt(self._preamble, 0, 2), "PE")


class TiffCheck:
    """Whether the directory that a TIFF header points to is there: captured as the file streams past."""

    def __init__(self, findings: Findings, preamble: bytes, order: str, at: int, *, big: bool) -> None:
        self._findings = findings
        self._preamble = preamble
        self._at = at
        self._count = Struct(order + ("Q" if big else "H"))
        self._entry = Struct(order + ("HHQQ" if big else "HHII"))
        self._place = _Place(at, self._count.size + _MOST_ENTRIES * self._entry.size)

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
        self._place.feed(piece)

    def finish(self, octets: int) -> None:
        if self._at >= 8 and self._at < octets and self._is_directory():
            self._findings.add(Reason.TIFF, 0, "preamble")
        else:
            self._findings.add(Reason.PREAMBLE, 0, "preamble", excerpt(self._preamble, 0, 8), "TIFF without directory")

    def _is_directory(self) -> bool:
        held = self._place.held
        if len(held) < self._count.size:
            return False
        count = self._count.unpack_from(held)[0]
        if not 1 <= count <= _MOST_ENTRIES or len(held) < self._count.size + count * self._entry.size:
            return False
        rows = [self._entry.unpack_from(held, self._count.size + i * self._entry.size) for i in range(count)]
        tags = [row[0] for row in rows]
        return tags == sorted(set(tags)) and all(1 <= row[1] <= _MOST_TYPE for row in rows)
