"""What inspection says about an object: a verdict, and the findings that it follows from."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from leadglass.dicom.reader import Scan
from leadglass.inspection.reasons import BY_CODE, Reason, Weight

#: Findings kept of one object, and of one reason in it; the rest are counted.
_MOST: Final = 64
_MOST_ALIKE: Final = 8
#: Bytes of context on either side of what was found.
_CONTEXT: Final = 8
_SHOWN: Final = 32
#: Bytes of suspicious text that are read closely in one object: some hundred milliseconds' worth.
_MOST_TEXT: Final = 1024 * 1024


class VerdictKind(StrEnum):
    ACCEPT = "accept"
    DISARM = "disarm"
    QUARANTINE = "quarantine"
    REJECT = "reject"


_KINDS: Final = {
    Weight.NOTE: VerdictKind.ACCEPT,
    Weight.FINDING: VerdictKind.ACCEPT,
    Weight.DISARM: VerdictKind.DISARM,
    Weight.QUARANTINE: VerdictKind.QUARANTINE,
    Weight.REJECT: VerdictKind.REJECT,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `offset`: bytes from the start of the data set (inflated where it was deflated), or of the file
    for what lies before or after it. `path`: the element as `(0009,1010)`, with items as `(0088,0200)[1]`, or what
    else it lies in. `excerpt`: hexadecimal, with every byte blanked that could be text.
    """

    reason: Reason
    offset: int = 0
    path: str = ""
    excerpt: str = ""
    detail: str = ""


@dataclass(slots=True)
class Findings:
    """Collects findings within a bound, whatever the object; further ones of a reason are only counted."""

    kept: list[Finding] = field(default_factory=list)
    counts: dict[Reason, int] = field(default_factory=dict)
    _read: int = field(default=0, init=False)

    def add(self, reason: Reason, offset: int = 0, path: str = "", excerpt: str = "", detail: str = "") -> None:
        count = self.counts.get(reason, 0)
        self.counts[reason] = count + 1
        # What is to be removed must be known element by element.
        is_removed = reason is Reason.PRIVATE_PAYLOAD
        if not count or ((is_removed or count < _MOST_ALIKE) and len(self.kept) < _MOST):
            self.kept.append(Finding(reason, offset, path, excerpt, detail))
        elif is_removed:
            self.add(Reason.PAYLOAD, offset, path, excerpt, detail)

    def may_read(self, octets: int) -> bool:
        """Whether so much more text may be read closely. Once it may not, that is a finding."""
        if self._read >= _MOST_TEXT:
            if Reason.NOT_SCANNED not in self.counts:
                self.add(Reason.NOT_SCANNED, detail="more than 1 MiB of suspicious text")
            return False
        self._read += octets
        return True

    @property
    def weight(self) -> Weight:
        return max((reason.weight for reason in self.counts), default=Weight.NOTE)

    def codes(self) -> Iterator[str]:
        """Each code once, the heaviest first."""
        ranked = sorted(self.counts, key=lambda reason: -reason.weight)
        return (reason.code for reason in ranked)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons`: codes of `leadglass.inspection.reasons`, the heaviest first, without patient data. `scan`: what the
    reader kept. `findings`: each with its place, within a bound. `counts`: how often each reason was found.
    """

    kind: VerdictKind
    reasons: tuple[str, ...]
    scan: Scan
    findings: tuple[Finding, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()

    def heavy(self, kind: VerdictKind) -> frozenset[str]:
        """Codes of the reasons that lead to this kind of verdict."""
        return frozenset(code for code in self.reasons if kind_of(BY_CODE[code].weight) is kind)

    def reported(self) -> tuple[str, ...]:
        """Codes of what does not keep the object out and is reported."""
        return tuple(code for code in self.reasons if BY_CODE[code].weight in (Weight.FINDING, Weight.DISARM))


def kind_of(weight: Weight) -> VerdictKind:
    return _KINDS[weight]


def tag_text(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def excerpt(data: bytes, at: int = 0, length: int = 0) -> str:
    """Hexadecimal of `length` bytes at `at` and what lies around. Bytes that could be text in any character set are
    blanked outside of what was found, which is never a patient's own text.
    """
    first, last = max(0, at - _CONTEXT), min(len(data), at + length + _CONTEXT)
    shown = range(first, min(last, first + _SHOWN))
    found = range(at, at + length)
    return " ".join(f"{data[i]:02x}" if i in found or data[i] < 0x20 or data[i] == 0x7F else ".." for i in shown)
