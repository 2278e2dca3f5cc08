"""Looking at whole packs: recovery at start, and the walk that `fsck` does (docs/formats/pack.md, "Starting")."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leadglass.errors import RefusedForSafety, VerificationFailed
from leadglass.pack.backend import Backend
from leadglass.pack.format import (
    OBJECT_HEADER,
    PACK_HEADER,
    TRAILER,
    Location,
    check_crc,
    check_pack_header,
    decode_object_header,
    decode_trailer,
    find_trailer,
)
from leadglass.pack.reader import TAIL

_SCAN = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cut:
    """Bytes `start` up to `end` of a pack, which no committed row named and which are gone now."""

    pack: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Short:
    """A pack of `size` bytes (0 if it is missing) of which the index has committed `expected`: bytes are lost."""

    pack: int
    expected: int
    size: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What recovery did and found. `removed`: packs that held nothing committed."""

    cut: tuple[Cut, ...] = ()
    removed: tuple[int, ...] = ()
    short: tuple[Short, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object as its header and trailer describe it; lengths in bytes. Nothing of it has been opened."""

    location: Location
    object_id: bytes
    study_key: int
    plain_length: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """`growing`: (number, end) of the packs that may be written again. `last`: the highest number in use."""

    recovery: Recovery
    growing: tuple[tuple[int, int], ...]
    last: int


def recover(backend: Backend, archive_id: bytes, committed_ends: Mapping[int, int]) -> Inventory:
    """Bring every pack to the end that the index has committed. Nothing may be writing.

    RefusedForSafety if a pack is another archive's, or goes on past an object that the index does not know: then the
    index is older than the packs, and nothing has been changed. OSError as the backend raises it.
    """
    numbers = backend.numbers()
    sizes = {number: backend.size(number) for number in numbers}
    for number in numbers:
        _check(backend, archive_id, number, committed_ends.get(number), sizes[number])
    cut, removed, growing = [], [], []
    short = [Short(number, end, 0) for number, end in sorted(committed_ends.items()) if number not in sizes]
    for number, size in sizes.items():
        end = committed_ends.get(number)
        if end is None:
            backend.remove(number)
            removed.append(number)
        elif (held := _held(backend, number, end, size)) < end:
            short.append(Short(number, end, held))
        elif not backend.closed(number):
            if size > end:
                written = _written_end(backend, number, end, size)
                _truncate(backend, number, end)
                if written > end:
                    cut.append(Cut(number, end, written))
            growing.append((number, end))
    last = max((*numbers, *committed_ends), default=0)
    return Inventory(Recovery(tuple(cut), tuple(removed), tuple(short)), tuple(growing), last)


def iter_objects(backend: Backend, number: int, end: int | None = None) -> Iterator[FoundObject]:
    """The objects of a pack from the one that ends at `end` (by default the file's end, where a closed pack ends)
    back to the first.

    VerificationFailed at the first damage; go on from the next lower end that the index knows.
    """
    end = backend.size(number) if end is None else end
    while end > PACK_HEADER:
        found = _object_before(backend, number, end)
        yield found
        end = found.location.offset


def _object_before(backend: Backend, number: int, end: int) -> FoundObject:
    start = max(end - TAIL, PACK_HEADER)
    tail = backend.read(number, start, end - start)
    trailer = decode_trailer(tail[-TRAILER:])
    location = Location(number, end - trailer.object_length, trailer.object_length)
    if location.offset < PACK_HEADER:
        raise VerificationFailed("An object is longer than the pack before its end.")
    header = backend.read(number, location.offset, OBJECT_HEADER)
    layout = backend.read(number, end - TRAILER - trailer.layout_length, trailer.layout_length)
    check_crc(header, layout, tail[-TRAILER:])
    return FoundObject(location, decode_object_header(header), trailer.study_key, trailer.plain_length)


def _check(backend: Backend, archive_id: bytes, number: int, committed: int | None, size: int) -> None:
    """RefusedForSafety if `recover` must not touch this pack."""
    if committed is not None and size >= PACK_HEADER:
        try:
            check_pack_header(backend.read(number, 0, PACK_HEADER), archive_id, number)
        except VerificationFailed as error:
            raise RefusedForSafety(error.message, "Restore the packs that belong to this index.") from error
    end = PACK_HEADER if committed is None else committed
    if size > end and _goes_on(backend, number, end, size):
        raise RefusedForSafety(
            f"Pack {number} holds objects that the index does not know: the index is older than the packs.",
            "Restore the newest index, or move the packs away.",
        )


def _goes_on(backend: Backend, number: int, start: int, size: int) -> bool:
    """Whether a whole object lies at `start` and a further one begins behind it.

    A pack is leased until the commit, so past the committed end there is at most one object.
    """
    for end in _trailer_ends(backend, number, start, size):
        try:
            if _object_before(backend, number, end).location.offset != start:
                continue
            decode_object_header(backend.read(number, end, OBJECT_HEADER))
        except VerificationFailed:
            continue
        return True
    return False


def _trailer_ends(backend: Backend, number: int, start: int, size: int) -> Iterator[int]:
    """Where something that looks like a trailer ends between `start` and the pack's last object header."""
    at = start
    while at < size - OBJECT_HEADER:
        data = backend.read(number, at, _SCAN)
        position = 0
        while (found := find_trailer(data, position)) >= 0:
            yield at + found + TRAILER
            position = found + 1
        at += max(len(data) - TRAILER + 1, 1)


def _held(backend: Backend, number: int, end: int, size: int) -> int:
    """How much of the bytes up to `end` is there, as far as the file's length and the zeros in it tell."""
    if size < end:
        return size
    if end == PACK_HEADER or any(backend.read(number, end - 1, 1)):
        return end  # a trailer ends with its magic number
    return _written_end(backend, number, 0, end)


def _written_end(backend: Backend, number: int, start: int, size: int) -> int:
    """Where the last byte from `start` on ends that is not one of the zeros that a writer left ahead of itself."""
    end = start
    for at in range(start, size, _SCAN):
        data = backend.read(number, at, min(_SCAN, size - at)).rstrip(b"\0")
        end = at + len(data) if data else end
    return end


def _truncate(backend: Backend, number: int, end: int) -> None:
    file = backend.open(number)
    try:
        file.truncate(end)
        file.sync()
    finally:
        file.close()
