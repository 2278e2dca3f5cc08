"""The attributes of instances without their pixels (PS3.18 10.4.3.3.2): read from the sealed headers, and prepared once
for each generation of a series (ADR 6).
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from json import dumps
from typing import TYPE_CHECKING, Final, Self

from leadglass.archive.access import Access
from leadglass.archive.authorise import authorise, scope_of
from leadglass.archive.incoming import Layout
from leadglass.archive.query import QueryRequest
from leadglass.archive.refusals import record_refusal
from leadglass.archive.retrieve import nothing_found, unique_keys
from leadglass.archive.sealeddocument import open_document, seal_document
from leadglass.archive.seriesdocument import SeriesDocument, SeriesDocumentBuilder
from leadglass.dicom import tags
from leadglass.dicom.encoding import BIG, LITTLE
from leadglass.dicom.json_model import JsonWriter, RememberedFragments
from leadglass.dicom.model_writer import ModelWriter
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import LeadglassError, VerificationFailed
from leadglass.index.prepared import SeriesInstances, UnpreparedSeries, VisibleSeries
from leadglass.index.rows import InstanceRow
from leadglass.model import DataSetLimits, Operation, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.pack.reader import ObjectReader

#: Raised with each change of what is written below, so that documents of an older program are not served.
FORM: Final = 2
#: Series of fewer instances are built as fast as a prepared document is opened.
WORTH_PREPARING: Final = 16
#: Bytes of JSON that are put together, and compressed together.
PIECE: Final = 256 * 1024
#: Bytes of text held at once for one instance.
HELD: Final = 128 * 1024 * 1024
#: Compressed bytes of the largest document that is kept.
LARGEST: Final = 16 * 1024 * 1024
#: Bytes of all documents that are kept.
KEPT: Final = 1024**3
_BOUND: Final = struct.Struct(">8sQQI")
#: Bytes of the Sequence Delimitation Item (PS3.5 A.4).
_DELIMITER: Final = 8


@dataclass(frozen=True, slots=True)
class SeriesMetadata:
    """The visible series that a request names and its principal may see. A context manager: leaving it ends the
    retrieval."""

    archive: "Archive"
    series: tuple[VisibleSeries, ...]
    accesses: dict[int, Access]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.ledger.end(self.accesses.values())

    def gzip(self, root: str) -> bytes | None:
        """All of it as one gzip file that was prepared for that root of DICOMweb; None when there is none such, and
        `pieces` has to make it. Raises VerificationFailed."""
        if len(self.series) != 1:
            return None
        (series,) = self.series
        document = self._prepared(series)
        if document is None or document.root != root:
            return None
        self.archive.ledger.count_described(self.accesses[series.study_id], series.instances, document.size)
        return document.gzip()

    def pieces(self, root: str) -> Iterator[bytes | memoryview]:
        """The DICOM JSON Model of all instances by series and number, as one array. Bulk data are named below `root`.

        Raises VerificationFailed.
        """
        before = b"["
        for series in self.series:
            access = self.accesses[series.study_id]
            described = series.instances
            for piece in self._of_series(series, root):
                self.archive.ledger.count_described(access, described, len(piece))
                described = 0
                yield before
                yield piece
                before = b","
        yield b"]"

    def _of_series(self, series: VisibleSeries, root: str) -> Iterator[bytes | memoryview]:
        """Whole instances, joined by commas within a piece."""
        document = self._prepared(series)
        if document is None:
            with _on_record(self.archive, self.accesses[series.study_id], series):
                yield from self._built(series, root, self.archive.index.series_instances(series.id))
            return
        is_other, old, new = document.root != root, _uri(document.root), _uri(root)
        for piece in document.pieces():
            # What opens the array or continues it stands before the instances; the last one is what closes it.
            if len(piece) > 1:
                yield memoryview(piece)[1:] if not is_other else piece[1:].replace(old, new)

    def _prepared(self, series: VisibleSeries) -> SeriesDocument | None:
        found = self.archive.index.series_document(series.id, FORM)
        if found.content is None:
            return None
        bound = _bound(series.id, found.generation)
        with _on_record(self.archive, self.accesses[series.study_id], series):
            opened = open_document(self.archive, series.study_id, found.content, bound)
            return SeriesDocument.decode(b"".join(opened))

    def _built(self, series: VisibleSeries, root: str, found: SeriesInstances) -> Iterator[bytes]:
        builder = SeriesDocumentBuilder(root)
        is_worth_it = len(found.instances) >= WORTH_PREPARING
        for piece in _json_pieces(self.archive, root, found.instances):
            yield piece
            if is_worth_it and builder.held <= LARGEST:
                builder.add(piece)
        if is_worth_it and builder.held <= LARGEST:
            _keep(self.archive, series.id, series.study_id, found.generation, builder.finish())


def prepare(archive: "Archive", series: UnpreparedSeries, root: str) -> None:
    """Build and keep what `gzip` gives for that root. Raises VerificationFailed."""
    found = archive.index.series_instances(series.id)
    builder = SeriesDocumentBuilder(root)
    for piece in _json_pieces(archive, root, found.instances):
        builder.add(piece)
        if builder.held > LARGEST:
            return
    _keep(archive, series.id, series.study_id, found.generation, builder.finish())


def series_metadata(archive: "Archive", principal: Principal, request: QueryRequest) -> SeriesMetadata:
    """What a request for a study or series names; its begin events are durable when this returns. Raises NotAuthorised,
    DataSetError."""
    try:
        authorise(principal, Operation.RETRIEVE)
        keys = unique_keys(request)
        study, series = keys[tags.STUDY_INSTANCE_UID], keys.get(tags.SERIES_INSTANCE_UID)
        found = archive.index.visible_series(str(study), None if series is None else str(series), scope_of(principal))
    except LeadglassError as error:
        record_refusal(archive.committer, principal, "retrieve", request.peer, error)
        raise
    if not found:
        archive.committer.run(lambda writing: writing.record(nothing_found(principal, request)))
    accesses = {row.study_id: Access.of(principal, row.study_id, row.study_uid, request.peer) for row in found}
    archive.ledger.begin(accesses.values())
    return SeriesMetadata(archive, found, accesses)


def write_instance(archive: "Archive", row: InstanceRow, writer: ModelWriter) -> None:
    """Feed a writer with what an instance says beside its pixels. Raises VerificationFailed when a seal does not hold
    or the sealed object is not the instance on record."""
    reader = archive.open(row)
    syntax = TRANSFER_SYNTAXES[row.transfer_syntax]
    if syntax.deflated:
        for chunk in reader.chunks():
            writer.feed(chunk)
    else:
        _write_around_pixels(reader, syntax, writer)
    writer.finish()
    if not writer.says(tags.SOP_INSTANCE_UID, row.uid):
        raise VerificationFailed(
            "A sealed object is not the instance that the index says.", "Run `leadglass fsck --deep`."
        )


def limits_of(archive: "Archive") -> DataSetLimits:
    """What the text of one instance may take: of a multi-frame one with functional groups for each frame it is long."""
    return replace(archive.limits, held_bytes=max(archive.limits.held_bytes, HELD))


def base_of(row: InstanceRow) -> str:
    """Where the bulk data of an instance are named, below the root of DICOMweb."""
    return f"/studies/{row.study_uid}/series/{row.series_uid}/instances/{row.uid}/bulkdata/"


def _write_around_pixels(reader: "ObjectReader", syntax: TransferSyntax, writer: ModelWriter) -> None:
    """The pixels are not even opened: the layout says where they end."""
    layout = Layout.decode(reader.layout)
    for chunk in reader.chunks(0, layout.header_length):
        writer.feed(chunk)
    if layout.pixel_offset == layout.header_length:
        return
    head = reader.read(layout.header_length, layout.pixel_offset - layout.header_length)
    writer.add_bulk(*_pixel_element(head, syntax))
    after = _after_pixels(layout)
    if after < reader.length:
        for chunk in reader.chunks(after):
            writer.feed(chunk)


def _pixel_element(head: bytes, syntax: TransferSyntax) -> tuple[int, str]:
    """Tag and VR; in Implicit VR it is OW (PS3.5 A.1)."""
    codec = LITTLE if syntax.little_endian else BIG
    group, element, code, _ = codec.explicit.unpack_from(head)
    return group << 16 | element, code.decode("ascii", "replace") if syntax.explicit_vr else "OW"


def _after_pixels(layout: Layout) -> int:
    """Where the elements behind the pixels begin."""
    if layout.pixel_length is not None:
        return layout.pixel_offset + layout.pixel_length
    start, length = layout.fragments[-1] if layout.fragments else (2**63, 0)
    return start + length + _DELIMITER


def _json_pieces(archive: "Archive", root: str, instances: Iterable[InstanceRow]) -> Iterator[bytes]:
    remembered, limits = RememberedFragments(), limits_of(archive)
    held: list[str] = []
    size = 0
    for row in instances:
        writer = JsonWriter(TRANSFER_SYNTAXES[row.transfer_syntax], limits, root + base_of(row), remembered)
        write_instance(archive, row, writer)
        held.append(writer.text())
        size += len(held[-1])
        if size >= PIECE:
            yield ",".join(held).encode()
            held, size = [], 0
    if held:
        yield ",".join(held).encode()


def _keep(archive: "Archive", series_id: int, study_id: int, generation: int, document: SeriesDocument) -> None:
    content = seal_document(archive, study_id, document.encode(), _bound(series_id, generation))
    # Nobody waits for it: what could not be kept is built again.
    archive.committer.submit(lambda writing: writing.tx.put_series_document(series_id, generation, FORM, content, KEPT))


def _uri(root: str) -> bytes:
    """How the URI of bulk data begins. No text in JSON holds this: its quotation marks would be escaped."""
    return b'"BulkDataURI":' + dumps(f"{root}/", ensure_ascii=False).encode()[:-1]


def _bound(series_id: int, generation: int) -> bytes:
    return _BOUND.pack(b"metadata", series_id, generation, FORM)


@contextmanager
def _on_record(archive: "Archive", access: Access, series: VisibleSeries) -> Iterator[None]:
    """A seal that does not hold is an event of its own."""
    try:
        yield
    except VerificationFailed as error:
        detail = {"series": series.uid, "reason": error.message}
        archive.committer.record(access.event("verification-failed", detail, Outcome.FAILED), access.study_id)
        raise
