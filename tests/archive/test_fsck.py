"""Checking an archive that goes on working."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.index.rows import EventRow
from leadglass.model import AccessEvent, Outcome
from tests.archive.opened import checked, opened, put
from tests.clients import ct
from tests.served import Served


def test_stores_go_on_while_the_log_is_walked(
    furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct())
        before = archive.index.counts().events
        walk = archive.index.chain

        def walked(writer: int) -> Iterator[EventRow]:
            # Whoever waits for the committer here would wait for the walk itself.
            archive.committer.record(AccessEvent("query", Outcome.DONE, "device:scanner")).result(10)
            return walk(writer)

        monkeypatch.setattr(archive.index, "chain", walked)
        found = checked(archive)
        assert found.problems == ()
        assert found.events > before
