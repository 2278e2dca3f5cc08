"""One value at a time, whole or as it streams past: what its bytes are beside what its VR says."""

import zlib
from collections.abc import Callable
from typing import Final, Protocol

from leadglass.dicom.encoding import TEXT_VRS
from leadglass.inspection.payloads import REACH, Family, Payload, find_payloads
from leadglass.inspection.reasons import Reason
from leadglass.inspection.text import remarks, suspicious
from leadglass.inspection.verdict import Findings, excerpt

#: Bytes looked at in one go; the end of a block is looked at again with the next.
BLOCK: Final = 64 * 1024
#: Entropy is judged from this much of a value, compressed.
_SAMPLE: Final = 4096
#: What is looked for in texts is shorter.
_TEXT_OVERLAP: Final = 128
#: To look at a text closely costs as much as so many bytes of it, however short it is.
_LOOK: Final = 256

#: PS3.5 6.1.3: of the control characters a text has these five.
_OF_TEXT: Final = bytes(each for each in range(256) if each >= 0x20 or each in b"\t\n\f\r\x1b")

_REASONS: Final = {
    Family.EXECUTABLE: Reason.EXECUTABLE,
    Family.MACROS: Reason.MACROS,
    Family.TEST: Reason.TEST_VIRUS,
}


class Receiver(Protocol):
    """Takes the bytes of one value, fragment or tail as they stream past."""

    def feed(self, part: memoryview) -> None:
        """The next bytes, of which nothing may be kept but a copy."""

    def finish(self) -> None:
        """No more come."""


def report_payload(findings: Findings, payload: Payload, data: bytes, offset: int, path: str, *, private: bool) -> None:
    reason = _REASONS.get(payload.family) or (Reason.PRIVATE_PAYLOAD if private else Reason.PAYLOAD)
    findings.add(reason, offset + payload.at, path, excerpt(data, payload.at, payload.length), payload.name)


class OpaqueStream:
    """Bytes that no viewer interprets: searched for programs, archives and documents."""

    def __init__(self, findings: Findings, offset: int, path: str, *, private: bool, start: bool = True) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._private = private
        self._start = start
        self._held = bytearray()
        self._seen: set[str] = set()

    def feed(self, part: memoryview) -> None:
        self._held += part
        if len(self._held) >= BLOCK + REACH:
            self._look(last=False)

    def finish(self) -> None:
        if self._held:
            self._look(last=True)

    def _look(self, *, last: bool) -> None:
        data = bytes(self._held)
        for payload in find_payloads(data, start=self._start):
            if payload.name not in self._seen:
                self._seen.add(payload.name)
                report_payload(self._findings, payload, data, self._offset, self._path, private=self._private)
        if self._start and self._private and len(data) >= _SAMPLE:
            self._judge_entropy(data)
        self._start = False
        kept = 0 if last else REACH
        self._offset += len(data) - kept
        self._held = self._held[len(data) - kept :]

    def _judge_entropy(self, data: bytes) -> None:
        if data.startswith(b"\x1f\x8b\x08"):
            self._findings.add(Reason.COMPRESSED, self._offset, self._path)
        elif len(zlib.compress(data[:_SAMPLE], 1)) >= _SAMPLE:
            self._findings.add(Reason.HIGH_ENTROPY, self._offset, self._path)


class UnknownStream(OpaqueStream):
    """A value of VR UN: searched as any opaque one, and read if it is a text. Values that went through Implicit VR have
    no other VR (PS3.5 6.2.2)."""

    def finish(self) -> None:
        text = bytes(self._held)
        # All of it is still there when nothing has been looked at.
        if self._start and not text.rstrip(b"\0").translate(None, _OF_TEXT) and suspicious(text, explicit=False):
            examine_text(self._findings, text, "UN", self._offset, self._path)
        super().finish()


class TextStream:
    """A text that is too long to be held, or comes in pieces."""

    def __init__(self, findings: Findings, offset: int, path: str, vr: str) -> None:
        self._findings = findings
        self._offset = offset
        self._path = path
        self._vr = vr
        self._held = bytearray()

    def feed(self, part: memoryview) -> None:
        self._held += part
        if len(self._held) >= BLOCK:
            self._look(keep=_TEXT_OVERLAP)

    def finish(self) -> None:
        self._look(keep=0)

    def _look(self, *, keep: int) -> None:
        data = bytes(self._held)
        if suspicious(data, explicit=False) or self._vr == "UI":
            examine(self._findings, data, self._vr, self._offset, self._path, private=False)
        self._offset += len(data) - keep
        self._held = self._held[len(data) - keep :]


class Window:
    """Passes on what lies past the first `skip` bytes, and gives the first ones to `head` once."""

    def __init__(self, skip: int, head: Callable[[bytes], None], tail: Callable[[], Receiver]) -> None:
        self._skip = skip
        self._head: Callable[[bytes], None] | None = head
        self._first = bytearray()
        self._make = tail
        self._tail: Receiver | None = None

    def feed(self, part: memoryview) -> None:
        if self._head is not None:
            self._first += part[: _SAMPLE - len(self._first)]
            if len(self._first) == _SAMPLE:
                self._show()
        if self._skip >= len(part):
            self._skip -= len(part)
            return
        if self._tail is None:
            self._tail = self._make()
        self._tail.feed(part[self._skip :])
        self._skip = 0

    def finish(self) -> None:
        self._show()
        if self._tail is not None:
            self._tail.finish()

    def _show(self) -> None:
        if self._head is not None:
            self._head(bytes(self._first))
            self._head = None


def examine_text(findings: Findings, value: bytes, vr: str, offset: int, path: str, *, is_code: bool = False) -> None:
    """`is_code`: a code of a terminology, many of which have nine digits (SNOMED CT)."""
    if not findings.may_read(len(value) + _LOOK):
        return
    for remark in remarks(value, vr):
        if is_code and remark.reason is Reason.SSN_BARE:
            continue
        shown = excerpt(value, remark.at, remark.length) if remark.length else ""
        findings.add(remark.reason, offset + remark.at, path, shown, remark.detail)


def examine(
    findings: Findings, value: bytes, vr: str, offset: int, path: str, *, private: bool, is_code: bool = False
) -> None:
    """A value that is there as a whole."""
    if vr in TEXT_VRS:
        examine_text(findings, value, vr, offset, path, is_code=is_code)
        for payload in find_payloads(value, start=False):
            report_payload(findings, payload, value, offset, path, private=private)
        return
    stream = OpaqueStream(findings, offset, path, private=private)
    stream.feed(memoryview(value))
    stream.finish()
    if vr == "UN":  # its text, if that is what it is
        examine_text(findings, value, "UN", offset, path)
