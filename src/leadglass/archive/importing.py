"""The import verb: Part 10 files from disk or media, through the same pipeline as everything else that arrives."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from leadglass.archive.identity import Placement
from leadglass.archive.store import Received, StoreSession, record_refused_store
from leadglass.dicom.part10 import read_file_meta
from leadglass.errors import (
    DataSetError,
    FormatError,
    IdentityConflict,
    LeadglassError,
    NotAuthorised,
    OutOfResources,
    Quarantined,
    VerificationFailed,
)
from leadglass.model import Operation, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

CHUNK = 1024 * 1024


class ImportOutcome(StrEnum):
    STORED = "stored"
    DUPLICATE = "already there"
    UNVERIFIED = "kept for review"
    DISARMED = "disarmed"
    QUARANTINED = "quarantined"
    REFUSED = "refused"
    NOT_DICOM = "not DICOM"
    NO_ROOM = "no room"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file; `reason` names no patient."""

    outcome: ImportOutcome
    reason: str = ""
    octets: int = 0


_OUTCOMES = {
    Placement.STORED: ImportOutcome.STORED,
    Placement.REVISED: ImportOutcome.STORED,
    Placement.DUPLICATE: ImportOutcome.DUPLICATE,
    Placement.BESIDE: ImportOutcome.UNVERIFIED,
    Placement.UNVERIFIED: ImportOutcome.UNVERIFIED,
}


#: Said of a disarmed object of which no element was removed.
_CUT = "bytes after the data set"


class _UnreadableError(LeadglassError):
    """The medium of the file that is imported fails: a scratched disc, a share that went away."""


def import_file(archive: "Archive", principal: Principal, file: BinaryIO, *, issuer: str, site: str) -> Imported:
    """Store one file. What is wrong with the file, a damaged version kept under its UID and a full disk are answers, so
    that the files before it are still told of. Raises NotAvailable when the archive itself cannot go on."""
    try:
        meta = read_file_meta(file)
        file.seek(0)
        head = file.read(meta.data_offset)
    except DataSetError as error:
        return Imported(ImportOutcome.NOT_DICOM, error.message)
    except OSError as error:
        return Imported(ImportOutcome.REFUSED, _unreadable(error).message)
    received = Received(
        meta.sop_class,
        meta.sop_instance,
        meta.transfer_syntax,
        peer="import",
        operation=Operation.IMPORT,
        site=site,
        issuer=issuer,
        head=head,
    )
    try:
        return _store(archive, principal, file, received)
    except OutOfResources as error:
        return Imported(ImportOutcome.NO_ROOM, str(error))
    except Quarantined as error:
        return Imported(ImportOutcome.QUARANTINED, error.message)
    except (FormatError, IdentityConflict, NotAuthorised, VerificationFailed, _UnreadableError) as error:
        record_refused_store(archive, principal, received, error)
        return Imported(ImportOutcome.REFUSED, error.message)


def _store(archive: "Archive", principal: Principal, file: BinaryIO, received: Received) -> Imported:
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    octets = 0
    with StoreSession(archive, principal, received) as session:
        while count := _read(file, buffer):
            session.write(view[:count])
            octets += count
        placed = session.finish()
    outcome = _OUTCOMES[placed.placement]
    if outcome is ImportOutcome.STORED and placed.disarmed:
        return Imported(ImportOutcome.DISARMED, _CUT if not placed.removed else ", ".join(placed.removed), octets)
    return Imported(outcome, octets=octets)


def _read(file: BinaryIO, buffer: bytearray) -> int:
    """Apart from the writes, whose errors are the archive's and not the file's."""
    try:
        return int(file.readinto(buffer))  # type: ignore[attr-defined]
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> _UnreadableError:
    return _UnreadableError(f"It cannot be read: {error.strerror}.")
