"""The registry's changes, and who is told of them."""

import threading
from pathlib import Path

import pytest

from leadglass.archive.admission import DeviceBook
from leadglass.errors import NotFound
from leadglass.model import Principal, Role
from tests.archive.opened import LOCAL, TellingLock, opened
from tests.served import Served


def test_a_steward_lifts_suspensions_of_its_own_site_only(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        archive.registry.suspend("scanner", 20)

        def steward(site: str) -> Principal:
            proved = archive.clock()
            return Principal(kind="user", name="s", roles=frozenset({Role.STEWARD}), site=site, proved=proved)

        for name in ("scanner", "nobody"):  # which devices others have is not told either
            with pytest.raises(NotFound):
                archive.registry.enable(steward("north"), name)
        archive.registry.enable(steward("default"), "scanner")
        assert archive.registry.device("scanner").suspended is None


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
