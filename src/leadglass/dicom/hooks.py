"""What a walk over a data set asks of whoever reads it, and what it tells."""

from leadglass.dicom.container import Bulk, Element, Handling


class ElementHooks:
    """Overridden by a reader: what it wants to have of values and fragments, and what it wants to hear of."""

    def _choose(self, tag: int, length: int) -> Handling:  # noqa: ARG002
        """What to do with the value of an element. Must give the same answer when asked again."""
        return Handling.SKIP

    def _on_value(self, element: Element) -> None:
        """A value that was kept."""

    def _on_bulk(self, bulk: Bulk) -> None:
        """A value that is skipped or streamed begins."""

    def _on_stream(self, part: memoryview) -> None:
        """Bytes of the value that is streamed."""

    def _on_sequence(self, tag: int) -> None:
        """A sequence begins."""

    def _on_item(self) -> None:
        """An item begins."""

    def _on_end(self) -> None:
        """An item, a sequence or encapsulated pixel data has ended."""

    def _on_fragments(self, bulk: Bulk) -> None:
        """Encapsulated pixel data begins."""

    def _choose_fragment(self, first: bool) -> Handling:  # noqa: ARG002
        """What to do with the basic offset table (`first`) or a fragment."""
        return Handling.SKIP

    def _on_fragment(self, offset: int, length: int, table: bytes | None) -> None:
        """A fragment, or the basic offset table when `table` is given."""

    def _plain(self, _buf: bytes, pos: int) -> int:
        """Reads a run of unremarkable elements; returns the position of the first other one."""
        return pos
