"""Folders, ZIP archives and DICOMDIR media: what there is to inspect, without extracting or following anything.

A ZIP is read entry by entry from its central directory, within bounds on entries, size, ratio and depth. Links are not
followed, and a file that a DICOMDIR names is looked for below the DICOMDIR's own folder only (PS3.10 8.2, 8.5).
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Final, cast

from leadglass.errors import UsageError
from leadglass.inspection.files import FileInspector, FileReport, Source
from leadglass.inspection.reasons import BY_CODE, Reason
from leadglass.inspection.verdict import Finding, kind_of

_ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds on a ZIP. `ratio`: of what an entry says it unpacks to and what it takes; deflate reaches 1032."""

    entries: int = 50_000
    directory_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 64 * 1024**3
    ratio: int = 1100
    depth: int = 2
    nested_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to be inspected, as found on disk. `size` in bytes, `modified` in ns since 1970."""

    path: Path
    size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Inspected:
    """`path` of a ZIP's entry is that of the ZIP, `!` and the entry's name."""

    path: str
    size: int
    modified: int
    report: FileReport


def subjects(paths: Sequence[Path]) -> Iterator[Subject]:
    """Files as named, and all regular files below folders in a stable order. Raises UsageError for what is neither;
    what cannot be looked at is a subject all the same, and unreadable when its turn comes."""
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path, onerror=_raise):
                folders.sort()
                for name in sorted(names):
                    yield from _regular(Path(folder, name))
        elif path.is_file():
            status = path.stat()
            yield Subject(path, status.st_size, status.st_mtime_ns)
        else:
            raise UsageError(f"{path} is not a file or folder.")


def _raise(error: OSError) -> None:
    raise UsageError(f"{error.filename} cannot be looked into: {error.strerror}.") from error


def _regular(path: Path) -> Iterator[Subject]:
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        yield Subject(path, status.st_size, status.st_mtime_ns)


class MediaInspector:
    """Inspects files on disk, the entries of those that are ZIPs, and what a DICOMDIR points to."""

    def __init__(self, files: FileInspector, limits: ArchiveLimits | None = None) -> None:
        self._files = files
        self._limits = limits or ArchiveLimits()

    def inspect(self, subject: Subject) -> Iterator[Inspected]:
        """What became of the file and of each entry in it. Raises NotAvailable as the engines do."""
        try:
            # Not through a link that took the file's place since it was found.
            descriptor = os.open(subject.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                magic = file.read(4)
                file.seek(0)
                if magic in _ZIP_MAGIC:
                    yield from self._archive(file, str(subject.path), subject, 1)
                    return
                report = self._files.inspect(file)
        except OSError as error:
            report = _failed(Reason.UNREADABLE, error.strerror or "")
        if report.is_directory:
            report = _with_references(report, subject.path.parent)
        yield Inspected(str(subject.path), subject.size, subject.modified, report)

    def _archive(self, file: IO[bytes], name: str, subject: Subject, depth: int) -> Iterator[Inspected]:
        def said(report: FileReport, entry: str = "") -> Inspected:
            return Inspected(f"{name}!{entry}" if entry else name, subject.size, subject.modified, report)

        try:
            archive, refusal = self._open(file, depth)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            yield said(_failed(Reason.MALFORMED, f"ZIP: {type(error).__name__}"))
            return
        if archive is None:
            yield said(_failed(Reason.ARCHIVE_BOUND, refusal))
            return
        with archive:
            for entry in archive.infolist():
                if entry.is_dir():
                    continue
                for each in self._entry(archive, entry, f"{name}!{entry.filename}", subject, depth):
                    yield replace(each, report=_checked_name(each.report, entry.filename))

    def _open(self, file: IO[bytes], depth: int) -> tuple[zipfile.ZipFile | None, str]:
        limits = self._limits
        if depth > limits.depth:
            return None, f"more than {limits.depth} ZIPs deep"
        entries, length = _directory_size(file)
        if entries > limits.entries or length > limits.directory_bytes:
            return None, f"{entries} entries"
        archive = zipfile.ZipFile(file)
        total = sum(entry.file_size for entry in archive.infolist())
        if len(archive.infolist()) > limits.entries or total > limits.total_bytes:
            archive.close()
            return None, f"{total} bytes in {len(archive.infolist())} entries"
        return archive, ""

    def _entry(
        self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, subject: Subject, depth: int
    ) -> Iterator[Inspected]:
        def said(report: FileReport) -> Inspected:
            return Inspected(name, subject.size, subject.modified, report)

        if entry.flag_bits & 1:
            yield said(_failed(Reason.NOT_SCANNED, "encrypted"))
            return
        if stat.S_ISLNK(entry.external_attr >> 16):
            yield said(_failed(Reason.ARCHIVE_PATH, "a link"))
            return
        if entry.file_size > self._limits.ratio * max(entry.compress_size, 1024):
            yield said(_failed(Reason.ARCHIVE_BOUND, f"{entry.compress_size} bytes unpack to {entry.file_size}"))
            return
        try:
            with archive.open(entry) as member:
                magic = member.read(4)
            if magic in _ZIP_MAGIC:
                yield from self._nested(archive, entry, name, subject, depth)
                return
            with archive.open(entry) as member:
                yield said(self._files.inspect(cast(Source, member)))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            yield said(_failed(Reason.MALFORMED, f"ZIP: {type(error).__name__}"))

    def _nested(
        self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, subject: Subject, depth: int
    ) -> Iterator[Inspected]:
        if entry.file_size > self._limits.nested_bytes:
            report = _failed(Reason.ARCHIVE_BOUND, f"a ZIP of {entry.file_size} bytes in a ZIP")
            yield Inspected(name, subject.size, subject.modified, report)
            return
        yield from self._archive(BytesIO(archive.read(entry)), name, subject, depth + 1)


def _directory_size(file: IO[bytes]) -> tuple[int, int]:
    """Entries and bytes of the central directory, as the end of the archive says (APPNOTE 4.3.16), before any of it is
    read into memory. Zeros when it is not found, which zipfile then says."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 65557))
    tail = file.read(65557)
    file.seek(0)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + 22 > len(tail):
        return 0, 0
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if length == 0xFFFFFFFF or entries == 0xFFFF:
        record = tail.rfind(b"PK\x06\x06", 0, at)
        if record >= 0 and record + 48 <= len(tail):
            entries = int.from_bytes(tail[record + 32 : record + 40], "little")
            length = int.from_bytes(tail[record + 40 : record + 48], "little")
    return entries, length


def _failed(reason: Reason, detail: str) -> FileReport:
    finding = Finding(reason, detail=detail)
    return FileReport(kind_of(reason.weight), (reason.code,), (finding,), ((reason.code, 1),), 0)


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


def _checked_name(report: FileReport, name: str) -> FileReport:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":"):
        return with_finding(report, Finding(Reason.ARCHIVE_PATH))
    return report


def _with_references(report: FileReport, folder: Path) -> FileReport:
    """A DICOMDIR's file IDs: up to eight components of capital letters, digits and underscores (PS3.10 8.2)."""
    root = folder.resolve()
    for number, parts in enumerate(report.references, 1):
        where = f"record {number}"
        if any(part in ("", ".", "..") or "/" in part or "\\" in part or ":" in part or "\0" in part for part in parts):
            return with_finding(report, Finding(Reason.DIRECTORY_PATH, path=where))
        target = root.joinpath(*parts).resolve()
        if not target.is_relative_to(root):
            return with_finding(report, Finding(Reason.DIRECTORY_PATH, path=where, detail="by a link"))
        if not target.exists() and not any(reason == Reason.DIRECTORY_MISSING.code for reason in report.reasons):
            report = with_finding(report, Finding(Reason.DIRECTORY_MISSING, path=where))
    return report
