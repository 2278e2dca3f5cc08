"""Opening one object of a pack (docs/formats/pack.md, "Reading")."""

from collections.abc import Callable, Iterator
from functools import partial

from leadglass.crypto.streaming import StreamOpener, plaintext_length
from leadglass.errors import VerificationFailed
from leadglass.pack.backend import Backend
from leadglass.pack.format import (
    DIGEST,
    OBJECT_HEADER,
    TRAILER,
    Location,
    WrappedKey,
    associated_content,
    associated_layout,
    decode_trailer,
)
from leadglass.pack.pool import storage_error

Unwrap = Callable[[WrappedKey], bytes]

#: Read at once from an object's end: trailer and, but for very long ones, the sealed layout.
TAIL = 4096


class ObjectReader:
    """A sealed object whose key has been unwrapped. May be used by several threads."""

    __slots__ = ("_content", "_sealed_layout")

    def __init__(
        self, backend: Backend, archive_id: bytes, location: Location, object_id: bytes, unwrap: Unwrap
    ) -> None:
        """VerificationFailed if the trailer is not that of this object; what `unwrap` raises; NotAvailable."""
        read_at = partial(_read, backend, location)
        tail_length = min(location.length, TAIL)
        tail = read_at(location.length - tail_length, tail_length)
        trailer = decode_trailer(tail[-TRAILER:])
        if trailer.object_length != location.length:
            raise VerificationFailed("An object is not as long as the index says.")
        key = unwrap(trailer.wrapped_key(archive_id, object_id))
        start = location.length - TRAILER - trailer.layout_length
        sealed = (
            tail[-TRAILER - trailer.layout_length : -TRAILER]
            if trailer.layout_length + TRAILER <= tail_length
            else read_at(start, trailer.layout_length)
        )
        # Opened when it is asked for: whoever reads a whole object never does.
        self._sealed_layout = key, associated_layout(archive_id, object_id), sealed
        self._content = StreamOpener(
            key,
            associated_content(archive_id, object_id),
            lambda offset, length: read_at(OBJECT_HEADER + offset, length),
            trailer.plain_length,
        )

    @property
    def length(self) -> int:
        """Bytes of the data set."""
        return self._content.plain_length

    @property
    def layout(self) -> bytes:
        """What `finish` was given. VerificationFailed."""
        return self._opened_layout[DIGEST:]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the data set as received. VerificationFailed."""
        return self._opened_layout[:DIGEST]

    @property
    def _opened_layout(self) -> bytes:
        key, associated, sealed = self._sealed_layout
        opener = StreamOpener(
            key,
            associated,
            lambda offset, length: sealed[offset : offset + length],
            plaintext_length(len(sealed)),
        )
        return opener.read(0, opener.plain_length)

    def read(self, start: int, length: int) -> bytes:
        """A range of the data set. UsageError outside it, VerificationFailed, NotAvailable."""
        return self._content.read(start, length)

    def chunks(self, start: int = 0, length: int | None = None) -> Iterator[bytearray]:
        """A range, by default all, in order and in fresh buffers of at most 1 MiB. Raises as `read`."""
        return self._content.chunks(start, length)


def _read(backend: Backend, location: Location, offset: int, length: int) -> bytes:
    try:
        return backend.read(location.pack, location.offset + offset, length)
    except OSError as error:
        raise storage_error(error, f"Pack {location.pack} could not be read") from error
