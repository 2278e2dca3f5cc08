"""Single values of stored instances: what metadata refer to as bulk data (PS3.18 10.4.1.3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadglass.archive.ranges import Buffer, StoredValue
from leadglass.archive.retrieve import Retrieval, opened
from leadglass.dicom import tags
from leadglass.dicom.bulk import BulkFinder, FoundValue
from leadglass.dicom.encoding import WORD_SIZES
from leadglass.dicom.explicit import pixel_word
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import NotFound
from leadglass.index.rows import InstanceRow

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive
    from leadglass.pack.reader import ObjectReader

OCTETS: Final = "application/octet-stream"
#: What an encapsulated document may call itself. HTML and XML would be a page of ours in the reader's browser.
DOCUMENTS: Final = frozenset({"application/pdf", "model/stl", "model/obj", "model/mtl"})
_DOCUMENT: Final = (0x00420011,)
_WANTED: Final = frozenset({tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT, tags.BITS_ALLOCATED})


@dataclass(frozen=True, slots=True)
class BulkValue:
    """A value that somebody may see, within a retrieval. `media_type`: what it says it is, if that is let through."""

    retrieval: Retrieval
    instance: InstanceRow
    values: tuple[StoredValue, ...]
    media_type: str

    @property
    def length(self) -> int:
        """Bytes, those of fragments end to end."""
        return sum(value.length for value in self.values)

    def open(self, start: int, length: int) -> Iterator[Buffer]:
        """A range, which is counted as disclosed. Raises VerificationFailed."""
        self.retrieval.count_part(self.instance, length)
        return self._watched(start, length)

    def _watched(self, start: int, length: int) -> Iterator[Buffer]:
        with self.retrieval.watched(self.instance):
            for value in self.values:
                if start < value.length and length:
                    count = min(length, value.length - start)
                    yield from value.chunks(start, count)
                    start, length = 0, length - count
                else:
                    start -= value.length


def bulk_value(archive: "Archive", retrieval: Retrieval, instance: InstanceRow, path: tuple[int, ...]) -> BulkValue:
    """The value at a path (leadglass.dicom.bulk). Raises NotFound, VerificationFailed."""
    syntax = TRANSFER_SYNTAXES[instance.transfer_syntax]
    with retrieval.watched(instance):
        reader, elements = opened(archive, instance, _WANTED)
        found = _found(archive, reader, syntax, path)
    if found is None:
        raise NotFound("The instance has no such value.", "Ask for its metadata.")
    word = 1 if found.little_endian else WORD_SIZES.get(found.vr, 1)
    if path == (tags.PIXEL_DATA,) and not found.little_endian and tags.BITS_ALLOCATED in elements:
        word = pixel_word(found.vr, int.from_bytes(elements[tags.BITS_ALLOCATED].value[:2], "big"))
    values = tuple(StoredValue(reader, syntax, archive.limits, start, length, word) for start, length in found.spans)
    media_type = OCTETS
    if path == _DOCUMENT and tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT in elements:
        value = elements[tags.MIME_TYPE_OF_ENCAPSULATED_DOCUMENT].value
        media_type = value.decode("ascii", "replace").strip("\0 ").lower()
    return BulkValue(retrieval, instance, values, media_type if media_type in DOCUMENTS else OCTETS)


def _found(
    archive: "Archive", reader: "ObjectReader", syntax: TransferSyntax, path: tuple[int, ...]
) -> FoundValue | None:
    finder = BulkFinder(syntax, archive.limits, path)
    for chunk in reader.chunks():
        finder.feed(chunk)
        if finder.found is not None:
            break
    return finder.found
