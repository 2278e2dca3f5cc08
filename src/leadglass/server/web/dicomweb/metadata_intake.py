"""Store requests of metadata in JSON with bulk data apart (PS3.18 10.5.1, 8.6.1.2): each data set is encoded once it is
whole, and held with the bulk data until all are there, since an instance can need any of them. Larger objects are to be
sent as files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from leadglass.archive.archive import Archive
from leadglass.archive.store import Received, StoreSession
from leadglass.dicom.encoding import UNDEFINED
from leadglass.dicom.explicit import END_OF_FRAGMENTS, fragment_header
from leadglass.dicom.json_reader import (
    BulkReference,
    BulkValue,
    bulk_element,
    encode_json,
    parse_data_set,
)
from leadglass.dicom.json_split import JsonSplitter
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, parse_uid
from leadglass.errors import DataSetError, UsageError
from leadglass.model import DataSetLimits
from leadglass.server.web.dicomweb.accept import UNUSED_ON_THE_WEB, default_syntax, parse_media_types
from leadglass.server.web.dicomweb.allowance import Allowance
from leadglass.server.web.dicomweb.errors import ContentTooLarge
from leadglass.server.web.dicomweb.intake import Sender, Stored, refuse, stored
from leadglass.server.web.dicomweb.multipart import Event, PartBegin
from leadglass.server.web.dicomweb.representations import JSON

#: Bytes that one request may have held, and all requests together.
MOST_HELD: Final = 32 * 1024 * 1024
MOST_OF_ALL: Final = 64 * 1024 * 1024
#: Bytes of the text of one data set.
LONGEST_TEXT: Final = 2 * 1024 * 1024
#: Instances in one request, as many as there may be parts.
MOST_INSTANCES: Final = 5000
#: What holding a data set takes beside its bytes.
_OVERHEAD: Final = 1024
_PIXELS: Final = "7FE00010"
_LARGER: Final = "Send the instances as application/dicom."


@dataclass(slots=True)
class _Bulk:
    """What the parts with one Content-Location hold: one value, or the frames of encapsulated pixel data."""

    transfer_syntax: str
    parts: list[bytearray] = field(default_factory=list)


@dataclass(slots=True)
class _DataSet:
    """One instance: its UIDs, where its pixels are, and its bytes with what is to be put in between; or what was wrong
    with it."""

    sop_class: str = ""
    sop_instance: str = ""
    pixels: str = ""
    pieces: list[bytearray | BulkReference] = field(default_factory=list)
    error: str = ""

    @property
    def held(self) -> int:
        return _OVERHEAD + sum(len(piece) if isinstance(piece, bytearray) else _OVERHEAD for piece in self.pieces)


class MetadataIntake:
    """Called by one thread at a time; `allowance` is shared with other requests."""

    def __init__(self, archive: Archive, sender: Sender, allowance: Allowance) -> None:
        self._archive = archive
        self._sender = sender
        self._allowance = allowance
        self._data_sets: list[_DataSet] = []
        self._bulk: dict[str, _Bulk] = {}
        self._splitter: JsonSplitter | None = None
        self._part = bytearray()
        self._held = 0

    def take(self, event: Event) -> None:
        """Raises UsageError, ContentTooLarge, NotAvailable."""
        if isinstance(event, PartBegin):
            self._begin(event.headers)
        elif isinstance(event, memoryview):
            self._add(event)
        elif self._splitter is not None:
            with _of_document():
                self._splitter.finish()
            self._splitter = None

    def finish(self) -> list[Stored]:
        """Raises UsageError when there are no metadata."""
        if not self._data_sets:
            raise UsageError("The request has no metadata.")
        results = [self._store(each) for each in self._data_sets]
        self.abandon()
        return results

    def abandon(self) -> None:
        self._bulk.clear()
        self._data_sets.clear()
        self._part, self._splitter = bytearray(), None
        self._allowance.take(-self._held)
        self._held = 0

    def _begin(self, headers: Mapping[str, str]) -> None:
        name, parameters = next(parse_media_types(headers.get("content-type", "")), ("", {}))
        if name == JSON:
            self._splitter = JsonSplitter()
            return
        location = headers.get("content-location", "")
        if not location:
            raise UsageError("Bulk data has no Content-Location (PS3.18 8.6.1.2).")
        syntax = parameters.get("transfer-syntax") or default_syntax(name)
        self._part = bytearray()
        self._bulk.setdefault(_path(location), _Bulk(syntax)).parts.append(self._part)

    def _add(self, data: memoryview) -> None:
        self._hold(len(data))
        if self._splitter is None:
            self._part += data
            return
        splitter = self._splitter
        with _of_document():
            for text in splitter.feed(data):
                self._take_text(text)
        _check_text(splitter.held)

    def _take_text(self, text: bytes) -> None:
        _check_text(len(text))
        if len(self._data_sets) == MOST_INSTANCES:
            raise ContentTooLarge("The metadata are of more instances than the limit.", "Send several requests.")
        with self._allowance.turn:
            data_set = _data_set(parse_data_set(text), self._archive.limits)
        self._data_sets.append(data_set)
        self._hold(data_set.held - len(text))

    def _hold(self, size: int) -> None:
        if self._held + size > MOST_HELD:
            raise ContentTooLarge("Metadata and bulk data are larger than the limit.", _LARGER)
        self._allowance.take(size)
        self._held += size

    def _store(self, data_set: _DataSet) -> Stored:
        received = self._received(data_set) if data_set.sop_instance else None
        try:
            if received is None or data_set.error:
                raise DataSetError(data_set.error or "The metadata name no instance.")
            with StoreSession(self._archive, self._sender.principal, received) as session:
                for piece in self._whole(data_set):
                    session.write(piece)
                placed = session.finish()
        except Exception as error:  # noqa: BLE001 - answered, and on record without its text
            return refuse(self._archive, self._sender, received, error)
        return stored(session, received, placed)

    def _received(self, data_set: _DataSet) -> Received:
        bulk = self._bulk.get(_path(data_set.pixels))
        syntax = EXPLICIT_LE if bulk is None else bulk.transfer_syntax
        return Received(
            data_set.sop_class,
            data_set.sop_instance,
            # What the web never carries is none that is known here.
            "" if syntax in UNUSED_ON_THE_WEB else syntax,
            self._sender.peer,
            study=self._sender.study,
        )

    def _whole(self, data_set: _DataSet) -> Iterator[bytes | bytearray | memoryview]:
        """Raises DataSetError for bulk data that was not sent."""
        for piece in data_set.pieces:
            if isinstance(piece, BulkReference):
                yield from bulk_element(piece, self._value(piece))
            else:
                yield piece

    def _value(self, reference: BulkReference) -> BulkValue:
        bulk = self._bulk.get(_path(reference.uri))
        if bulk is None:
            raise DataSetError(f"The bulk data of {reference.tag:08X} was not sent.")
        if TRANSFER_SYNTAXES[bulk.transfer_syntax].encapsulated:
            return BulkValue(UNDEFINED, _fragments(bulk.parts))
        return BulkValue(sum(map(len, bulk.parts)), bulk.parts)


@contextmanager
def _of_document() -> Iterator[None]:
    """What is no document makes the whole request wrong."""
    try:
        yield
    except DataSetError as error:
        raise UsageError(error.message) from error


def _check_text(length: int) -> None:
    if length > LONGEST_TEXT:
        raise ContentTooLarge("A data set in the metadata is longer than the limit.", _LARGER)


def _data_set(document: Mapping[str, Any], limits: DataSetLimits) -> _DataSet:
    made = _DataSet(pixels=_member(document, _PIXELS, "BulkDataURI"))
    try:
        made.sop_class = parse_uid(_first(document, "00080016"))
        made.sop_instance = parse_uid(_first(document, "00080018"))
        for piece in encode_json(document, limits):
            if isinstance(piece, BulkReference):
                made.pieces.append(piece)
            elif made.pieces and isinstance(made.pieces[-1], bytearray):
                made.pieces[-1] += piece
            else:
                made.pieces.append(bytearray(piece))
    except DataSetError as error:
        made.pieces.clear()
        # Its traceback would hold the whole document.
        made.error = error.message
    return made


def _fragments(frames: list[bytearray]) -> Iterator[bytes | bytearray]:
    """One fragment a frame after an empty offset table, PS3.5 A.4."""
    yield fragment_header(0)
    for frame in frames:
        yield fragment_header(len(frame) + len(frame) % 2)
        yield frame
        if len(frame) % 2:
            yield b"\0"
    yield END_OF_FRAGMENTS


def _path(uri: str) -> str:
    """Content-Location and BulkDataURI may name one place absolutely and relatively."""
    return urlsplit(uri).path.lstrip("/") or uri


def _member(data_set: Mapping[str, Any], tag: str, name: str) -> str:
    attribute = data_set.get(tag)
    value = attribute.get(name, "") if isinstance(attribute, dict) else ""
    return value if isinstance(value, str) else ""


def _first(data_set: Mapping[str, Any], tag: str) -> str:
    attribute = data_set.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""
