"""What becomes of events that cannot be written."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from leadglass.model import AccessEvent, Outcome
from tests.archive.opened import opened
from tests.served import Served


def test_an_event_that_nobody_waits_for_is_not_lost_in_silence(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        unwritable = AccessEvent("query", Outcome.DONE, "device:scanner", detail={"count": object()})
        with capture_logs() as lines:
            written = archive.committer.record(unwritable)
            with pytest.raises(TypeError):
                written.result(10)
            # Whoever waits wakes before the callbacks run: the committer has run them when it has done the next job.
            archive.committer.record(AccessEvent("query", Outcome.DONE, "device:scanner")).result(10)
        (line,) = lines
        assert (line["log_level"], line["action"], line["kind"]) == ("error", "query", "TypeError")
