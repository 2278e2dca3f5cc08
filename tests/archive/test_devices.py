"""The registry's changes, and who is told of them."""

import threading
from pathlib import Path

import pytest

from leadglass.archive.admission import DeviceBook
from tests.archive.opened import LOCAL, TellingLock, opened
from tests.served import Served


def test_subscribers_hear_of_changes_in_their_order(
    furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow subscriber does not learn of the second change first, nor keep the older book."""
    with opened(furnished.copy(tmp_path)) as archive:
        told: list[DeviceBook] = []
        lock = TellingLock()
        monkeypatch.setattr(archive.registry, "_lock", lock)
        second = threading.Thread(target=archive.registry.disable, args=(LOCAL, "workstation"))

        def on_change(book: DeviceBook) -> None:
            if second.ident is None:
                second.start()
                lock.awaited.wait()
            told.append(book)
            lock.awaited.set()

        archive.registry.subscribe(on_change)
        archive.registry.disable(LOCAL, "scanner")
        second.join()
        assert [book.devices["workstation"].disabled for book in told] == [False, True]
        assert told[-1] is archive.registry.book
