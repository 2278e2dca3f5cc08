"""Associations run in receiving processes, of which there is one a processor unless configured."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from leadglass.dicom import tags, uids
from leadglass.dimse.status import SUCCESS
from tests.clients import CT, ROOT, ct, find, store
from tests.served import TIMEOUT
from tests.server.conftest import Copied
from tests.server.wire import associated

STORE = (CT, uids.EXPLICIT_LE)
TWO = "[dimse]\nprocesses = 2\n"


def test_associations_are_dealt_out(copied: Copied, tmp_path: Path) -> None:
    with copied(tmp_path, TWO) as served, ExitStack() as stack:
        _, *receivers = served.pids()
        assert len(receivers) == 2
        before = [psutil.Process(pid).num_threads() for pid in receivers]
        for _ in range(6):
            stack.enter_context(associated(served, "scanner", STORE))
        after = [psutil.Process(pid).num_threads() for pid in receivers]
        assert [now - then for now, then in zip(after, before, strict=True)] == [3, 3]


def test_one_study_from_both_at_once_has_one_key(copied: Copied, tmp_path: Path) -> None:
    """Both would make a key for it; fsck opens every object with its study's."""
    data_sets = [ct(number, study=f"{ROOT}.5") for number in range(8)]
    with copied(tmp_path, TWO) as served:
        with ThreadPoolExecutor(4) as senders:
            answers = list(senders.map(lambda data_set: store(served, data_set), data_sets))
        assert [response.status for (response,) in answers] == [SUCCESS] * 8
        key = {tags.STUDY_INSTANCE_UID: f"{ROOT}.5", tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""}
        assert [found[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] for found in find(served, "STUDY", key)] == ["8"]
        assert "0 problems" in served.run("fsck", "--deep")


def test_without_one_serve_ends_and_starts_again(copied: Copied, tmp_path: Path) -> None:
    """Whoever supervises it starts all of it anew: what was acknowledged is there."""
    served = copied(tmp_path, TWO).start()
    assert served.process is not None
    assert store(served, ct(1))[0].status == SUCCESS
    os.kill(served.pids()[2], signal.SIGKILL)
    assert served.process.wait(TIMEOUT) == 4
    assert "a receiving process is gone" in served.log.read_text()
    served.process = None
    with served:
        assert store(served, ct(1))[0].status == SUCCESS
        key = {tags.STUDY_INSTANCE_UID: f"{ROOT}.1", tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""}
        assert [found[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] for found in find(served, "STUDY", key)] == ["1"]
        assert "0 problems" in served.run("fsck", "--deep")


def test_they_end_with_the_one_that_commits(copied: Copied, tmp_path: Path) -> None:
    served = copied(tmp_path, TWO).start()
    receivers = [psutil.Process(pid) for pid in served.pids()[1:]]
    served.kill()
    gone, _ = psutil.wait_procs(receivers, timeout=TIMEOUT)
    assert len(gone) == 2
    with served:
        assert store(served, ct(1))[0].status == SUCCESS
