"""What one pass over a file cannot tell: whether its signatures hold."""

from collections.abc import Callable, Iterator
from typing import Final

from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.inspection.files import FileReport, Source, fill, with_finding
from leadglass.inspection.reasons import Reason
from leadglass.inspection.signatures import check_signatures
from leadglass.inspection.verdict import Finding, VerdictKind
from leadglass.model import DataSetLimits

_PIECE: Final = 256 * 1024


class SecondLook:
    """Reads again what was accepted by then, where there is reason to. For one thread at a time."""

    def __init__(self, limits: DataSetLimits | None = None) -> None:
        self._limits = limits or DataSetLimits()

    def look(self, report: FileReport, opened: Callable[[], Source]) -> FileReport:
        """`report` with what was found. `opened` gives the file from its beginning each time; it raises what it may."""
        if report.kind is VerdictKind.REJECT or report.meta is None:
            return report
        if Reason.SIGNATURE.code in report.reasons:
            for finding in self._signatures(report.meta, report.data_length, opened):
                report = with_finding(report, finding)
        return report

    def _signatures(self, meta: FileMeta, length: int, opened: Callable[[], Source]) -> list[Finding]:
        syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
        # What follows the last element is no part of the data set; where it is deflated, nothing follows it.
        stored = None if syntax.deflated else length
        try:
            return list(check_signatures(lambda: pieces_of(opened(), meta.data_offset, stored), syntax, self._limits))
        except DataSetError as error:
            return [Finding(Reason.SIGNATURE_UNCHECKED, detail=error.message)]


def pieces_of(file: Source, start: int, length: int | None) -> Iterator[bytes]:
    """`length` bytes of a file that is read from its beginning, from `start` on; None: all that follows."""
    buffer = memoryview(bytearray(_PIECE))
    position = 0
    while size := fill(file, buffer):
        first = max(0, start - position)
        last = size if length is None else min(size, start + length - position)
        if first < last:
            yield bytes(buffer[first:last])
        position += size
        if length is not None and position >= start + length:
            return
