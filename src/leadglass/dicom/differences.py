"""Where two data sets differ, element by element, although they may be encoded differently (see `compare`)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from leadglass.dicom.compare import Digester
from leadglass.dicom.container import Bulk, Element, Handling
from leadglass.dicom.dictionary import vr_of
from leadglass.dicom.encoding import UNDEFINED
from leadglass.dicom.uids import TransferSyntax
from leadglass.model import DataSetLimits

#: Bytes of the longest value that is kept to be shown.
SHOWN: Final = 256

#: Tags and numbers of items (from 1) in turn: (tag, item, tag, …, tag).
Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a data set has at a path. `length` in bytes, of a sequence in items, None where it has none; `element` of a
    short value alone. Two with one `digest` say the same."""

    vr: str
    length: int | None
    digest: bytes
    element: Element | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """None where a data set has nothing at the path; what lies below is then not listed."""

    path: Path
    first: Content | None
    second: Content | None


def contents(
    chunks: Iterable[bytes | bytearray], syntax: TransferSyntax, limits: DataSetLimits
) -> Mapping[Path, Content]:
    """Every element and sequence of the data set, top-level pixel data included. Raises DataSetError as
    `DataSetScanner` does, and beyond `limits.elements`: some 500 bytes are held for each."""
    lister = _Lister(syntax, limits)
    for chunk in chunks:
        lister.feed(chunk)
    return lister.listed()


def differences(first: Mapping[Path, Content], second: Mapping[Path, Content]) -> Iterator[Difference]:
    """In the order of the tags."""
    missing: Path | None = None
    for path in sorted(first.keys() | second.keys()):
        if missing is not None and path[: len(missing)] == missing:
            continue
        one, other = first.get(path), second.get(path)
        if one is None or other is None or one.digest != other.digest:
            yield Difference(path, one, other)
        missing = path if one is None or other is None else None


class _Lister(Digester):
    """A digest of its own for each element."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits) -> None:
        super().__init__(syntax, limits)
        self._found: dict[Path, tuple[str, int | None, hashlib._Hash, Element | None]] = {}
        self._items_of: dict[Path, int] = {}
        self._path: list[int] = []

    def listed(self) -> dict[Path, Content]:
        self.finish()
        found = {
            path: Content(vr, length, running.digest(), element)
            for path, (vr, length, running, element) in self._found.items()
        }
        counted = ((path, items, items.to_bytes(4, "big")) for path, items in self._items_of.items())
        return found | {path: Content("SQ", items, digest) for path, items, digest in counted}

    def _begin(self, kind: bytes, tag: int, length: int) -> None:
        self._elements_hash = self._target = hashlib.sha256()
        super()._begin(kind, tag, length)

    def _on_value(self, element: Element) -> None:
        super()._on_value(element)
        size = len(element.value)
        self._note(element.tag, element.vr, size, element if size <= SHOWN else None)

    def _on_bulk(self, bulk: Bulk) -> None:
        super()._on_bulk(bulk)
        if self._choose(bulk.tag, bulk.length) is not Handling.SKIP:
            self._note(bulk.tag, bulk.vr, bulk.length)

    def _on_fragments(self, bulk: Bulk) -> None:
        super()._on_fragments(bulk)
        # The container of the fragments is open already.
        self._note(bulk.tag, bulk.vr, None, depth=len(self._stack) - 1)

    def _on_sequence(self, tag: int) -> None:
        super()._on_sequence(tag)
        self._path = [*self._path[: len(self._stack) - 1], tag, 0]
        self._items_of[tuple(self._path[:-1])] = 0

    def _on_item(self) -> None:
        super()._on_item()
        depth = len(self._stack)
        self._path = self._path[:depth]
        self._path[-1] += 1
        self._items_of[tuple(self._path[:-1])] += 1

    def _note(self, tag: int, vr: str, length: int | None, element: Element | None = None, depth: int = -1) -> None:
        inside = self._path[: len(self._stack) if depth < 0 else depth]
        known = vr_of(tag) if vr == "UN" else vr
        self._found[*inside, tag] = (known, None if length == UNDEFINED else length, self._target, element)
