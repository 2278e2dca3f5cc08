"""What one pass over a file cannot tell: whether its signatures hold, whether its frames decode, what can be read in
them."""

from collections.abc import Iterator

from leadglass.dicom.part10 import FileMeta
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.inspection.burned import BurnedInCheck, Readers
from leadglass.inspection.decoding import Decoders, PixelCheck
from leadglass.inspection.files import FileReport, pieces_of, with_finding
from leadglass.inspection.framing import Opened
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Finding, VerdictKind
from leadglass.model import DataSetLimits


class SecondLook:
    """Reads again what was accepted by then, where there is reason to. `decoders`: to decode every encapsulated frame
    with; `readers`: to read the text in a sample of them; without them none is. For one thread at a time."""

    def __init__(
        self,
        decoders: Decoders | None = None,
        limits: DataSetLimits | None = None,
        readers: Readers | None = None,
    ) -> None:
        self._limits = limits or DataSetLimits()
        self._pixels = PixelCheck(decoders, self._limits) if decoders is not None else None
        self._burned = BurnedInCheck(readers, self._limits) if readers is not None else None

    def look(self, report: FileReport, opened: Opened) -> FileReport:
        """`report` with what was found. `opened` gives the file from its beginning each time. Raises what that raises,
        and NotAvailable where frames are to be decoded and there is no sandbox."""
        for finding in self._findings(report, opened):
            report = with_finding(report, finding)
        return report

    def _findings(self, report: FileReport, opened: Opened) -> Iterator[Finding]:
        if report.kind is VerdictKind.REJECT or report.meta is None:
            return
        if Reason.SIGNATURE.code in report.reasons:
            yield from self._signatures(report.meta, report.data_length, opened)
        # What declares more than any image has is not given to a decoder.
        if Reason.FRAME_BOUND.code in report.reasons:
            return
        if self._pixels is not None:
            yield from self._pixels.check(report.meta, report.data_length, opened)
        if self._burned is not None:
            yield from self._burned.check(report.meta, report.data_length, opened)

    def _signatures(self, meta: FileMeta, length: int, opened: Opened) -> list[Finding]:
        # Loaded when there is a signature: certificates are a third of what a worker would take.
        from leadglass.inspection.signatures import check_signatures

        syntax = TRANSFER_SYNTAXES[meta.transfer_syntax]
        # What follows the last element is no part of the data set; where it is deflated, nothing follows it.
        stored = None if syntax.deflated else length
        try:
            return list(check_signatures(lambda: pieces_of(opened(), meta.data_offset, stored), syntax, self._limits))
        except DataSetError as error:
            return [Finding(Reason.SIGNATURE_UNCHECKED, detail=error.message)]
