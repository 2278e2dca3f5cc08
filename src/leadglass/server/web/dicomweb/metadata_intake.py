"""Store requests of metadata in JSON with bulk data apart (PS3.18 10.5.1, 8.6.1.2): the parts are held until all are
there, since an instance can need any of them. Larger objects are to be sent as files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from leadglass.archive.archive import Archive
from leadglass.archive.store import Received, StoreSession
from leadglass.dicom.encoding import UNDEFINED
from leadglass.dicom.explicit import END_OF_FRAGMENTS, fragment_header
from leadglass.dicom.json_reader import BulkValue, encode_json, parse_json
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, parse_uid
from leadglass.errors import DataSetError, UsageError
from leadglass.server.web.dicomweb.accept import UNUSED_ON_THE_WEB, default_syntax, parse_media_types
from leadglass.server.web.dicomweb.errors import ContentTooLarge
from leadglass.server.web.dicomweb.intake import (
    TRANSFER_SYNTAX_NOT_SUPPORTED,
    Sender,
    Stored,
    reason_of,
    refuse,
)
from leadglass.server.web.dicomweb.multipart import Event, PartBegin, PartEnd
from leadglass.server.web.dicomweb.representations import JSON

#: Bytes of all parts together.
MOST_HELD: Final = 64 * 1024 * 1024
_PIXELS: Final = "7FE00010"


@dataclass(slots=True)
class _Bulk:
    """What the parts with one Content-Location hold: one value, or the frames of encapsulated pixel data."""

    transfer_syntax: str
    parts: list[bytearray] = field(default_factory=list)


class MetadataIntake:
    """Called by one thread at a time."""

    def __init__(self, archive: Archive, sender: Sender) -> None:
        self._archive = archive
        self._sender = sender
        self._documents: list[bytearray] = []
        self._bulk: dict[str, _Bulk] = {}
        self._part: bytearray | None = None
        self._held = 0

    def take(self, event: Event) -> None:
        """Raises UsageError, ContentTooLarge."""
        if isinstance(event, PartBegin):
            self._part = bytearray()
            self._begin(event.headers, self._part)
        elif isinstance(event, PartEnd):
            self._part = None
        elif self._part is not None:
            self._held += len(event)
            if self._held > MOST_HELD:
                raise ContentTooLarge(
                    "Metadata and bulk data are larger than the limit.", "Send the instances as application/dicom."
                )
            self._part += event

    def finish(self) -> list[Stored]:
        """Raises UsageError when there are no metadata."""
        if not self._documents:
            raise UsageError("The request has no metadata.")
        try:
            data_sets = [each for document in self._documents for each in parse_json(bytes(document))]
        except DataSetError as error:
            raise UsageError(error.message) from error
        return [self._store(each) for each in data_sets]

    def abandon(self) -> None:
        self._bulk.clear()
        self._documents.clear()

    def _begin(self, headers: Mapping[str, str], part: bytearray) -> None:
        name, parameters = next(parse_media_types(headers.get("content-type", "")), ("", {}))
        if name == JSON:
            self._documents.append(part)
            return
        location = headers.get("content-location", "")
        if not location:
            raise UsageError("Bulk data has no Content-Location (PS3.18 8.6.1.2).")
        syntax = parameters.get("transfer-syntax") or default_syntax(name)
        self._bulk.setdefault(_path(location), _Bulk(syntax)).parts.append(part)

    def _store(self, data_set: Mapping[str, Any]) -> Stored:
        received = None
        try:
            received = self._received(data_set)
            if received.transfer_syntax in UNUSED_ON_THE_WEB or received.transfer_syntax not in TRANSFER_SYNTAXES:
                return Stored("", "", received.sop_class, received.sop_instance, TRANSFER_SYNTAX_NOT_SUPPORTED)
            with StoreSession(self._archive, self._sender.principal, received) as session:
                for chunk in encode_json(data_set, self._resolve, self._archive.limits):
                    session.write(chunk)
                session.finish()
        except Exception as error:  # noqa: BLE001 - answered, and on record without its text
            if received is None:
                return Stored(reason=reason_of(error, None))
            refuse(self._archive, self._sender, received, error)
            return Stored("", "", received.sop_class, received.sop_instance, reason_of(error, received))
        return Stored(session.study, session.series, received.sop_class, received.sop_instance)

    def _received(self, data_set: Mapping[str, Any]) -> Received:
        bulk = self._bulk.get(_path(_member(data_set, _PIXELS, "BulkDataURI")))
        return Received(
            parse_uid(_first(data_set, "00080016")),
            parse_uid(_first(data_set, "00080018")),
            bulk.transfer_syntax if bulk is not None else EXPLICIT_LE,
            self._sender.peer,
            study=self._sender.study,
        )

    def _resolve(self, tag: int, _vr: str, uri: str) -> BulkValue:
        bulk = self._bulk.get(_path(uri))
        if bulk is None:
            raise DataSetError(f"The bulk data of {tag:08X} was not sent.")
        if TRANSFER_SYNTAXES[bulk.transfer_syntax].encapsulated:
            return BulkValue(UNDEFINED, _fragments(bulk.parts))
        return BulkValue(sum(map(len, bulk.parts)), bulk.parts)


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
