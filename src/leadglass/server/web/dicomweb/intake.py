"""The body of a store request (PS3.18 10.5.1) on its way into the archive: each part goes straight into a store session
and is answered for by itself. Nothing of it is held but what has not been sealed yet. Without HTTP.
"""

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from leadglass.archive.archive import Archive
from leadglass.archive.identity import Placed
from leadglass.archive.refusals import record_refusal
from leadglass.archive.store import Received, StoreSession
from leadglass.dicom.part10_stream import FileSplitter
from leadglass.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES
from leadglass.errors import DataSetError, LeadglassError, NotAuthorised, UsageError
from leadglass.model import Principal
from leadglass.server.web.dicomweb.accept import DICOM, parse_media_types
from leadglass.server.web.dicomweb.multipart import Event, MultipartParser, PartBegin, PartEnd

log = structlog.get_logger("web.store")

#: Failure reasons, PS3.18 Table I.2-2.
PROCESSING_FAILURE: Final = 0x0110
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
TRANSFER_SYNTAX_NOT_SUPPORTED: Final = 0xC122
CANNOT_UNDERSTAND: Final = 0xC000
ELEMENTS_DISCARDED: Final = 0xB006
#: Objects that are made durable while the next one arrives. Each commit serves all that wait for one.
FINISHING: Final = 4


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of one part: `reason` is 0 for success, `warning` for one with nothing to say. UIDs are "" where the
    part does not tell them."""

    study: str = ""
    series: str = ""
    sop_class: str = ""
    sop_instance: str = ""
    reason: int = 0
    warning: int = 0


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, from where, and the study that everything must belong to ("" for any)."""

    principal: Principal
    peer: str
    study: str


class Intake(Protocol):
    """What takes the events of a multipart body. `finish` returns one result a part, in their order."""

    def take(self, event: Event) -> None: ...
    def finish(self) -> list[Stored]: ...
    def abandon(self) -> None: ...


class Body:
    """A body as it comes: `parser` takes it apart, None for one that is a single part. Called by one thread at a time.
    What is wrong with the body itself is raised; what is wrong with a part is its result."""

    def __init__(self, intake: Intake, parser: MultipartParser | None) -> None:
        self._intake = intake
        self._parser = parser
        self._begun = False

    def feed(self, data: bytes) -> None:
        """Raises UsageError, ContentTooLarge."""
        if self._parser is not None:
            for event in self._parser.feed(data):
                self._intake.take(event)
            return
        if not self._begun:
            self._begun = True
            self._intake.take(PartBegin({}))
        self._intake.take(memoryview(data))

    def finish(self) -> list[Stored]:
        """Raises UsageError when the body is not whole."""
        if self._parser is not None:
            self._parser.finish()
        elif not self._begun:
            raise UsageError("The request has no body.")
        else:
            self._intake.take(PartEnd())
        return self._intake.finish()

    def abandon(self) -> None:
        self._intake.abandon()


class FileIntake:
    """Parts of application/dicom. Called by one thread at a time; `executor` makes objects durable meanwhile."""

    def __init__(self, archive: Archive, sender: Sender, executor: Executor) -> None:
        self._archive = archive
        self._sender = sender
        self._executor = executor
        self._part: _FilePart | None = None
        self._results: list[Stored | Future[Stored]] = []
        self._running: list[Future[Stored]] = []

    def take(self, event: Event) -> None:
        if isinstance(event, PartBegin):
            self._part = _FilePart(self._archive, self._sender, event.headers.get("content-type", DICOM))
        elif self._part is None:
            raise AssertionError("a part has to begin first")
        elif isinstance(event, PartEnd):
            part, self._part = self._part, None
            self._end(part)
        else:
            self._part.write(event)

    def finish(self) -> list[Stored]:
        return [each.result() if isinstance(each, Future) else each for each in self._results]

    def abandon(self) -> None:
        """Give up the part that is open; those that are whole stay stored, since their senders may not send again."""
        if self._part is not None:
            self._part.close()
        for running in self._running:
            running.exception()

    def _end(self, part: "_FilePart") -> None:
        if part.failed is not None:
            self._results.append(part.failed)
            return
        if len(self._running) >= FINISHING:
            self._running.pop(0).exception()
        running = self._executor.submit(part.finish)
        self._running.append(running)
        self._results.append(running)


class _FilePart:
    """One file. After a failure the rest of it is dropped."""

    def __init__(self, archive: Archive, sender: Sender, content_type: str) -> None:
        self._archive = archive
        self._sender = sender
        self._splitter = FileSplitter()
        self._session: StoreSession | None = None
        self._received: Received | None = None
        self.failed: Stored | None = None
        if not _is_dicom(content_type):
            self._fail(DataSetError("The part is not application/dicom."))

    def write(self, data: memoryview) -> None:
        if self.failed is None:
            try:
                self._write(self._splitter.feed(data))
            except Exception as error:  # noqa: BLE001 - answered, and on record without its text
                self._fail(error)

    def finish(self) -> Stored:
        """Make it durable."""
        try:
            self._write(self._splitter.finish())
            assert self._session is not None  # noqa: S101 - made with the first write after the meta information
            assert self._received is not None  # noqa: S101
            placed = self._session.finish()
        except Exception as error:  # noqa: BLE001 - answered, and on record without its text
            return self._fail(error)
        return stored(self._session, self._received, placed)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        meta = self._splitter.meta
        if meta is None:
            return
        if self._session is None:
            self._received = Received(
                meta.sop_class,
                meta.sop_instance,
                meta.transfer_syntax,
                self._sender.peer,
                study=self._sender.study,
                head=self._splitter.head,
            )
            self._session = StoreSession(self._archive, self._sender.principal, self._received)
        if len(data):
            self._session.write(data)

    def _fail(self, error: Exception) -> Stored:
        self.close()
        self.failed = refuse(self._archive, self._sender, self._received, error)
        return self.failed


def stored(session: StoreSession, received: Received, placed: Placed) -> Stored:
    """With the warning reason of PS3.18 Table I.2-2 when elements were taken out."""
    warning = ELEMENTS_DISCARDED if placed.removed else 0
    return Stored(session.study, session.series, received.sop_class, received.sop_instance, warning=warning)


def refuse(archive: Archive, sender: Sender, received: Received | None, error: Exception) -> Stored:
    """The result of a part that is not stored, which is on record. `received` is None where it does not even tell what
    it is."""
    if isinstance(error, LeadglassError):
        log.warning("store refused", peer=sender.peer, reason=error.message)
    else:
        log.error("a store failed", peer=sender.peer, kind=type(error).__name__)
    # The disk and the index fail with errors of their own, whose texts may hold data.
    told = error if isinstance(error, LeadglassError) else LeadglassError("The store failed.")
    sop_class, sop_instance = ("", "") if received is None else (received.sop_class, received.sop_instance)
    detail = {"instance": sop_instance} if sop_instance else {}
    record_refusal(archive.committer, sender.principal, "store", sender.peer, told, detail)
    return Stored(sop_class=sop_class, sop_instance=sop_instance, reason=_reason(error, received))


def _reason(error: Exception, received: Received | None) -> int:
    """The failure reason of PS3.18 Table I.2-2 that fits best."""
    if not isinstance(error, LeadglassError):
        return PROCESSING_FAILURE
    if received is not None and received.transfer_syntax not in TRANSFER_SYNTAXES:
        return TRANSFER_SYNTAX_NOT_SUPPORTED
    if isinstance(error, NotAuthorised) and received is not None and received.sop_class not in STORAGE_SOP_CLASSES:
        return SOP_CLASS_NOT_SUPPORTED
    return error.dimse_status


def _is_dicom(content_type: str) -> bool:
    try:
        return [name for name, _ in parse_media_types(content_type)] == [DICOM]
    except LeadglassError:
        return False
