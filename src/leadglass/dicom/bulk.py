"""Finding one value of a data set by its path: `TAG`, or `TAG/ITEM/TAG` below a sequence, items counted from 1 (as
BulkDataURIs name them)."""

import re
from dataclasses import dataclass
from typing import Final

from leadglass.dicom.container import Bulk, Handling
from leadglass.dicom.encoding import LITTLE
from leadglass.dicom.uids import TransferSyntax
from leadglass.dicom.walker import ElementWalker
from leadglass.errors import UsageError
from leadglass.model import DataSetLimits

_PATH: Final = re.compile(r"(?:[0-9A-Fa-f]{8}/[0-9]{1,9}/){0,64}[0-9A-Fa-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundValue:
    """`spans`: (offset, length) of its bytes in the data set (inflated where it was deflated), one for each fragment
    when it is encapsulated."""

    vr: str
    spans: tuple[tuple[int, int], ...]
    little_endian: bool
    encapsulated: bool


def parse_path(text: str) -> tuple[int, ...]:
    """Tags and item numbers in turn. Raises UsageError."""
    if _PATH.fullmatch(text) is None:
        raise UsageError("That is no path of an element.")
    return tuple(int(each, 10 if at % 2 else 16) for at, each in enumerate(text.split("/")))


class BulkFinder(ElementWalker):
    """Feed a data set until `found` is there, or it ends. Raises DataSetError as `ElementWalker` does."""

    def __init__(self, syntax: TransferSyntax, limits: DataSetLimits, path: tuple[int, ...]) -> None:
        super().__init__(syntax, limits)
        self.found: FoundValue | None = None
        self._wanted = path
        self._path: list[int] = []
        self._open: list[bool] = []
        self._fragments: list[tuple[int, int]] | None = None
        self._vr = ""

    def finish(self) -> None:
        """Raises DataSetError when the data set is not complete at this point."""
        self._finish()

    def _is_wanted(self, tag: int) -> bool:
        return self.found is None and tag == self._wanted[-1] and (*self._path, tag) == self._wanted

    def _choose(self, tag: int, length: int) -> Handling:  # noqa: ARG002 - the base class asks
        return Handling.SKIP

    def _on_bulk(self, bulk: Bulk) -> None:
        if self._is_wanted(bulk.tag):
            span = (bulk.offset, bulk.length)
            self.found = FoundValue(bulk.vr, (span,), self._frame.codec is LITTLE, encapsulated=False)

    def _on_sequence(self, tag: int) -> None:
        self._path += (tag, 0)
        self._open.append(True)

    def _on_item(self) -> None:
        self._path[-1] += 1
        self._open.append(False)

    def _on_end(self) -> None:
        if self._fragments is not None:
            self.found = FoundValue(self._vr, tuple(self._fragments), little_endian=True, encapsulated=True)
            self._fragments = None
        if self._open.pop():
            del self._path[-2:]

    def _on_fragments(self, bulk: Bulk) -> None:
        if self._is_wanted(bulk.tag):
            self._fragments, self._vr = [], bulk.vr
        self._path += (bulk.tag, 0)
        self._open.append(True)

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:  # noqa: ARG002
        # The first item is the basic offset table (PS3.5 A.4).
        if self._fragments is not None and self._frame.fragments > 1:
            self._fragments.append((offset, length))
