"""A DICOM file as a whole: preamble, File Meta Information, data set, and what lies behind (PS3.10 7)."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, Protocol

from leadglass.dicom.part10 import FileMeta, read_file_meta
from leadglass.dicom.reader import Scan
from leadglass.dicom.tags import SOP_INSTANCE_UID
from leadglass.dicom.uids import DEFLATED, MEDIA_STORAGE_DIRECTORY, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError
from leadglass.inspection.engines import Engines, Scans
from leadglass.inspection.inspector import Inspector
from leadglass.inspection.payloads import Family, find_payloads
from leadglass.inspection.preamble import HEAD, PREAMBLE, DosCheck, TiffCheck, is_empty, report_programs
from leadglass.inspection.reasons import BY_CODE, Reason
from leadglass.inspection.text import suspicious
from leadglass.inspection.values import examine, report_payload
from leadglass.inspection.verdict import Finding, Findings, VerdictKind, excerpt, kind_of
from leadglass.model import DataSetLimits

PIECE: Final = 1024 * 1024
_AGAIN: Final = 256 * 1024
_PREFIX: Final = b"DICM"


#: PS3.3 F.3.2.2: the records of a DICOMDIR, and the file that one of them names.
DIRECTORY_RECORD_SEQUENCE: Final = 0x00041220
_REFERENCED_FILE_ID: Final = 0x00041500


class Source(Protocol):
    """Anything that can be read from beginning to end."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills `buffer` as far as there is something at hand; 0 or None at the end."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """The verdict on one file. Offsets of findings are from its start, unless its data set is deflated. `data_offset`
    and `data_length`: where its data set lies, in bytes; 0 when there is none. `references`: components of the file IDs
    that a DICOMDIR names, as they stand there."""

    kind: VerdictKind
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    counts: tuple[tuple[str, int], ...]
    octets: int
    meta: FileMeta | None = None
    data_length: int = 0
    is_directory: bool = False
    references: tuple[tuple[str, ...], ...] = ()


def with_finding(report: FileReport, finding: Finding) -> FileReport:
    """`report` with one finding more."""
    counts = dict(report.counts)
    counts[finding.reason.code] = counts.get(finding.reason.code, 0) + 1
    ranked = sorted(counts, key=lambda code: -BY_CODE[code].weight)
    return replace(
        report,
        kind=kind_of(max(BY_CODE[code].weight for code in counts)),
        reasons=tuple(ranked),
        findings=(*report.findings, finding),
        counts=tuple(counts.items()),
    )


class FileInspector:
    """Inspects files one after another, with one buffer for all. Not for several threads at once."""

    def __init__(
        self,
        *,
        engines: Engines | None = None,
        limits: DataSetLimits | None = None,
        wanted: Set[int] = frozenset(),
        thorough: bool = True,
    ) -> None:
        self._engines = engines or Engines()
        self._limits = limits or DataSetLimits()
        self._wanted = wanted
        self._thorough = thorough
        self._buffer = bytearray(PIECE)

    def inspect(self, file: Source) -> FileReport:
        """Reads `file` from where it stands to its end. Raises OSError as `file` does, and NotAvailable when an engine
        that is configured cannot say."""
        one = _OneFile(self._engines, self._limits, self._wanted, thorough=self._thorough)
        view = memoryview(self._buffer)
        try:
            while size := fill(file, view):
                one.feed(view[:size])
            return one.finish()
        finally:
            one.close()


def fill(file: Source, view: memoryview) -> int:
    """Reads until `view` is full or the file ends: a ZIP member gives little at a time."""
    size = 0
    while size < len(view) and (count := file.readinto(view[size:])):
        size += count
    return size


def pieces_of(file: Source, start: int, length: int | None) -> Iterator[bytes]:
    """`length` bytes of a file that is read from its beginning, from `start` on; None: all that follows."""
    buffer = memoryview(bytearray(_AGAIN))
    position = 0
    while size := fill(file, buffer):
        first = max(0, start - position)
        last = size if length is None else min(size, start + length - position)
        if first < last:
            yield bytes(buffer[first:last])
        position += size
        if length is not None and position >= start + length:
            return


class _OneFile:
    def __init__(self, engines: Engines, limits: DataSetLimits, wanted: Set[int], *, thorough: bool) -> None:
        self._limits = limits
        self._wanted = wanted
        self._thorough = thorough
        self._findings = Findings()
        self._scans: Scans = engines.start(self._findings)
        self._octets = 0
        self._meta: FileMeta | None = None
        self._pointed: TiffCheck | DosCheck | None = None
        self._inspector: Inspector | None = None
        self._failed = False

    def feed(self, piece: memoryview) -> None:
        # What is deflated goes past them as it is inflated.
        if not self._is_deflated:
            self._scans.feed(piece)
        if self._pointed is not None:
            self._pointed.feed(piece)
        try:
            if not self._octets:
                self._begin(piece)
            elif self._inspector is not None:
                self._inspector.feed(piece)
        except DataSetError as error:
            self._refuse(error, piece)
        self._octets += len(piece)

    def finish(self) -> FileReport:
        if not self._octets:
            self._findings.add(Reason.NOT_DICOM, detail="an empty file")
        scan, length = None, 0
        if self._inspector is not None and not self._failed:
            try:
                scan = self._inspector.finish().scan
                length = self._inspector.data_length
            except DataSetError as error:
                self._refuse(error, memoryview(b""))
        self._scans.finish()
        if self._pointed is not None:
            self._pointed.finish(self._octets)
        self._compare_meta(scan)
        offset = self._meta.data_offset if self._meta is not None else 0
        findings = self._findings
        moved = tuple(_moved(each, offset) for each in self._own()) + tuple(findings.kept)
        counts = self._counts()
        weight = max((BY_CODE[code].weight for code, _ in counts), default=findings.weight)
        ranked = sorted(counts, key=lambda each: -BY_CODE[each[0]].weight)
        return FileReport(
            kind_of(weight),
            tuple(code for code, _ in ranked),
            moved,
            tuple(counts),
            self._octets,
            self._meta,
            length,
            self._is_directory,
            tuple(_references(scan)) if scan is not None and self._is_directory else (),
        )

    def close(self) -> None:
        self._scans.close()

    @property
    def _is_deflated(self) -> bool:
        return self._meta is not None and self._meta.transfer_syntax == DEFLATED

    @property
    def _is_directory(self) -> bool:
        return self._meta is not None and self._meta.sop_class == MEDIA_STORAGE_DIRECTORY

    def _own(self) -> list[Finding]:
        return self._inspector.findings.kept if self._inspector is not None else []

    def _counts(self) -> list[tuple[str, int]]:
        total: dict[str, int] = {}
        own = self._inspector.findings.counts if self._inspector is not None else {}
        for counts in (own, self._findings.counts):
            for reason, count in counts.items():
                total[reason.code] = total.get(reason.code, 0) + count
        return list(total.items())

    def _begin(self, piece: memoryview) -> None:
        meta = self._meta = self._read_meta(piece)
        for note in meta.notes:
            self._findings.add(BY_CODE[note])
        if self._is_directory:
            self._findings.add(Reason.DIRECTORY)
        self._check_preamble(piece)
        self._check_meta(bytes(piece[: meta.data_offset]))
        syntax: TransferSyntax | None = TRANSFER_SYNTAXES.get(meta.transfer_syntax)
        if syntax is None:
            self._findings.add(Reason.UNKNOWN_SYNTAX)
            return
        sequences = frozenset({DIRECTORY_RECORD_SEQUENCE} if self._is_directory else ())
        self._inspector = Inspector(
            syntax,
            self._limits,
            wanted=self._wanted,
            wanted_sequences=sequences,
            thorough=self._thorough,
            may_disarm=True,
            is_directory=self._is_directory,
            keep_fragments=False,
            inflated=self._scans.feed,
        )
        self._inspector.feed(piece[meta.data_offset :])

    def _read_meta(self, piece: memoryview) -> FileMeta:
        try:
            return read_file_meta(BytesIO(bytes(piece[:HEAD])), directories=True)
        except DataSetError:
            if len(piece) > HEAD:
                return read_file_meta(BytesIO(bytes(piece)), directories=True)
            raise

    def _check_preamble(self, piece: memoryview) -> None:
        preamble = bytes(piece[:PREAMBLE])
        if bytes(piece[PREAMBLE : PREAMBLE + 4]) != _PREFIX or is_empty(preamble):
            return
        tiff = TiffCheck.of(preamble, self._findings)
        if tiff is None:
            self._findings.add(Reason.PREAMBLE, 0, "preamble", excerpt(preamble, 0, 4))
        self._pointed = tiff or DosCheck.of(preamble, self._findings)
        if self._pointed is not None:
            self._pointed.feed(piece)
        report_programs(self._findings, bytes(piece[:HEAD]))

    def _check_meta(self, head: bytes) -> None:
        """Group 0002 is regenerated on the way out, but a file is passed on as it is by others."""
        meta = head[PREAMBLE + 4 :] if head[PREAMBLE : PREAMBLE + 4] == _PREFIX else head
        if suspicious(meta, explicit=True) or len(meta) > 4096:
            examine(self._findings, meta, "UN", len(head) - len(meta), "file meta information", private=False)

    def _compare_meta(self, scan: Scan | None) -> None:
        meta = self._meta
        if scan is None or meta is None or not meta.sop_instance or self._is_directory:
            return
        element = scan.elements.get(SOP_INSTANCE_UID)
        if element is not None and element.value.rstrip(b"\0 ") != meta.sop_instance.encode("ascii"):
            self._findings.add(Reason.META_DIFFERS)

    def _refuse(self, error: DataSetError, piece: memoryview) -> None:
        """What is wrong with it, once; what was found before stays."""
        if self._failed:
            return
        self._failed = True
        if self._meta is not None:
            reason = Reason.BEYOND_LIMIT if "the limit" in error.message else Reason.MALFORMED
            self._findings.add(reason, error.offset + self._meta.data_offset, detail=error.message)
            return
        is_dicom = bytes(piece[PREAMBLE : PREAMBLE + 4]) == _PREFIX
        self._findings.add(Reason.MALFORMED if is_dicom else Reason.NOT_DICOM, error.offset, detail=error.message)
        head = bytes(piece[:HEAD])
        for payload in find_payloads(head, start=True):
            # Something else than DICOM is no business of ours, unless it is a program among the images.
            if payload.family in (Family.EXECUTABLE, Family.TEST, Family.MACROS) or is_dicom:
                report_payload(self._findings, payload, head, 0, "", private=False)


def _references(scan: Scan) -> Iterator[tuple[str, ...]]:
    for record in scan.sequences.get(DIRECTORY_RECORD_SEQUENCE, ()):
        element = record.get(_REFERENCED_FILE_ID)
        if element is not None and element.value.strip(b" \0"):
            yield tuple(part.strip(" \0") for part in element.value.decode("latin_1").split("\\"))


def _moved(finding: Finding, offset: int) -> Finding:
    return Finding(finding.reason, finding.offset + offset, finding.path, finding.excerpt, finding.detail)
