"""Encapsulated frames decoded to see what that does: in the sandboxed workers of a `DecoderPool`, and nowhere else.

A decoder that crashes, hangs or grows over a frame is a finding about the object. No more of it is decoded then.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final, Protocol

from leadglass.dicom import tags
from leadglass.dicom.frames import Span
from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, DecodingFailed
from leadglass.inspection.framing import Forward, Opened, Stored
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Finding, tag_text
from leadglass.model import DataSetLimits
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.failure import MESSAGES, Failure
from leadglass.pixels.pool import Checked

#: Bytes of one frame as it is stored that are held to be decoded.
LONGEST_FRAME: Final = 16 * 1024 * 1024
_PIXELS: Final = tag_text(tags.PIXEL_DATA)
_UNCHECKED: Final = frozenset({Failure.TOO_LARGE, Failure.UNSUPPORTED})


class Decoders(Protocol):
    """As `DecoderPool` is one."""

    def check(self, description: PixelDescription, frame: bytes) -> Checked:
        """Whether a frame decodes to what is declared. Raises NotAvailable where there is no sandbox."""


class PixelCheck:
    """Decodes every frame of encapsulated images, once each."""

    def __init__(self, decoders: Decoders, limits: DataSetLimits) -> None:
        self._decoders = decoders
        self._limits = limits

    def check(self, meta: FileMeta, length: int, opened: Opened) -> Iterator[Finding]:
        """What decoding the frames of a file says; nothing for native pixels, which no decoder sees. `length`: of the
        data set in bytes. Raises NotAvailable where there is no sandbox, and as `opened` does."""
        stored = Stored(meta, length, opened)
        try:
            described = self._describe(stored)
        except (DataSetError, DecodingFailed) as error:
            yield Finding(Reason.PIXELS_UNCHECKED, path=_PIXELS, detail=error.message)
            return
        if described is None:
            return
        description, frames = described
        failures: Counter[Failure] = Counter()
        first: dict[Failure, Finding] = {}
        file = stored.forward()
        for number, spans in enumerate(frames, 1):
            failure = self._decode(description, file, spans)
            if failure is None:
                continue
            failures[failure] += 1
            where = f"{_PIXELS} frame {number}"
            first.setdefault(failure, Finding(_reason_of(failure), spans[0][0] + meta.data_offset, where))
            if failure.hostile:
                break
        for failure, finding in first.items():
            more = f" So do {failures[failure] - 1} other frames." if failures[failure] > 1 else ""
            yield Finding(finding.reason, finding.offset, finding.path, detail=MESSAGES[failure] + more)

    def _decode(self, description: PixelDescription, file: Forward, spans: tuple[Span, ...]) -> Failure | None:
        if sum(length for _, length in spans) > LONGEST_FRAME:
            return Failure.TOO_LARGE
        frame = b"".join(file.read(start, length) for start, length in spans)
        return self._decoders.check(description, frame).failure

    def _describe(self, stored: Stored) -> tuple[PixelDescription, tuple[tuple[Span, ...], ...]] | None:
        """The description and the fragments of each frame. Raises DataSetError, DecodingFailed."""
        if not TRANSFER_SYNTAXES[stored.meta.transfer_syntax].encapsulated:
            return None
        scan = stored.scan(frozenset({tags.EXTENDED_OFFSET_TABLE}), self._limits)
        pixels = scan.pixel_data
        if pixels is None or pixels.length is not None:
            return None
        description = stored.describe(self._limits)
        return description, stored.encapsulated(scan, pixels, description)


def _reason_of(failure: Failure) -> Reason:
    if failure.hostile:
        return Reason.DECODER
    return Reason.PIXELS_UNCHECKED if failure in _UNCHECKED else Reason.PIXELS_BROKEN
