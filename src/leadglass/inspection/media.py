"""Folders, ZIP archives and DICOMDIR media: what there is to inspect, without extracting or following anything.

A ZIP is read entry by entry from its central directory, within bounds on entries, size, ratio and depth. Links are not
followed, and a file that a DICOMDIR names is looked for below the DICOMDIR's own folder only (PS3.10 8.2, 8.5).
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO, FileIO
from pathlib import Path
from typing import Final

from leadglass.errors import UsageError
from leadglass.inspection.files import FileInspector, FileReport, Source, fill, with_finding
from leadglass.inspection.reasons import Reason
from leadglass.inspection.second import SecondLook
from leadglass.inspection.unpacking import ArchiveFault, ArchiveLimits, Budget, Seekable
from leadglass.inspection.verdict import Finding, kind_of
from leadglass.inspection.zips import END_MAGIC, LOCAL_MAGIC, Archive, Entry

_ZIP_MAGIC: Final = (LOCAL_MAGIC, END_MAGIC)


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

    def __init__(
        self, files: FileInspector, limits: ArchiveLimits | None = None, second: SecondLook | None = None
    ) -> None:
        self._files = files
        self._second = second or SecondLook()
        self._limits = limits or ArchiveLimits()

    def inspect(self, subject: Subject) -> Iterator[Inspected]:
        """What became of the file and of each entry in it. Raises NotAvailable as the engines do."""
        try:
            # Not through a link that took the file's place since it was found.
            descriptor = os.open(subject.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                if file.read(4) in _ZIP_MAGIC:
                    budget = Budget(self._limits, file.seek(0, os.SEEK_END))
                    yield from self._archive(file, str(subject.path), subject, 1, budget)
                    return
                report = self._look(lambda: _rewound(file))
        except OSError as error:
            report = _failed(Reason.UNREADABLE, error.strerror or "")
        if report.is_directory:
            report = _with_references(report, subject.path.parent)
        yield Inspected(str(subject.path), subject.size, subject.modified, report)

    def _look(self, opened: Callable[[], Source]) -> FileReport:
        return self._second.look(self._files.inspect(opened()), opened)

    def _archive(self, file: Seekable, name: str, subject: Subject, depth: int, budget: Budget) -> Iterator[Inspected]:
        try:
            if depth > self._limits.depth:
                raise ArchiveFault(Reason.ARCHIVE_BOUND, f"more than {self._limits.depth} ZIPs deep")
            archive = Archive(file, self._limits, budget)
            for entry in archive.entries():
                if entry.is_folder and not entry.packed:
                    continue
                for each in self._entry(archive, entry, f"{name}!{entry.name}", subject, depth, budget):
                    yield replace(each, report=_checked_name(each.report, entry.name))
        except ArchiveFault as fault:
            yield Inspected(name, subject.size, subject.modified, _failed(fault.reason, fault.detail))

    def _entry(
        self, archive: Archive, entry: Entry, name: str, subject: Subject, depth: int, budget: Budget
    ) -> Iterator[Inspected]:
        try:
            if entry.is_encrypted:
                raise ArchiveFault(Reason.NOT_SCANNED, "encrypted")
            if entry.is_link:
                raise ArchiveFault(Reason.ARCHIVE_PATH, "a link")
            head = bytearray(4)
            if bytes(head[: fill(archive.open(entry), memoryview(head))]) in _ZIP_MAGIC:
                yield from self._archive(self._nested(archive, entry), name, subject, depth + 1, budget)
                return
            report = self._look(lambda: archive.open(entry))
        except ArchiveFault as fault:
            report = _failed(fault.reason, fault.detail)
        yield Inspected(name, subject.size, subject.modified, report)

    def _nested(self, archive: Archive, entry: Entry) -> Seekable:
        """A ZIP in a ZIP, read where it lies when it is stored as it is. A compressed one is held, since what is in it
        is told by its end; it is counted while it is unpacked, whatever its size is said to be."""
        if entry.is_stored:
            return archive.window(entry)
        most = self._limits.nested_bytes
        if entry.size > most:
            raise ArchiveFault(Reason.ARCHIVE_BOUND, f"a compressed ZIP of {entry.size} bytes in a ZIP")
        # Read to its very end, where a member that unpacks to something else than it says is refused.
        held = bytearray(entry.size + 1)
        size = fill(archive.open(entry), memoryview(held))
        return BytesIO(memoryview(held)[:size])


def _rewound(file: FileIO) -> FileIO:
    file.seek(0)
    return file


def _failed(reason: Reason, detail: str) -> FileReport:
    finding = Finding(reason, detail=detail)
    return FileReport(kind_of(reason.weight), (reason.code,), (finding,), ((reason.code, 1),), 0)


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
