"""What goes into one transaction, and what becomes of jobs and events that fail."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from leadglass.archive import committer
from leadglass.archive.committer import Writing
from leadglass.errors import NotAvailable
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


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put off waits for longer than any test."""
    monkeypatch.setattr(committer, "PATIENCE_SECONDS", 60)


def _transaction(writing: Writing) -> Writing:
    """A job that tells one transaction from another."""
    return writing


def test_what_comes_while_the_committer_works_goes_into_the_same_transaction(furnished: Served, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def long(writing: Writing) -> Writing:
        begun.set()
        go_on.wait(10)
        return writing

    with opened(furnished.copy(tmp_path)) as archive:
        first = archive.committer.submit(long)
        begun.wait(10)
        second = archive.committer.submit(_transaction)
        go_on.set()
        assert first.result(10) is second.result(10)
        assert archive.committer.run(_transaction) is not first.result()


def test_a_job_that_fails_takes_down_no_other_of_its_transaction(furnished: Served, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    event = AccessEvent("query", Outcome.DONE, "device:scanner")
    runs = []

    def recording(writing: Writing) -> None:
        begun.set()
        go_on.wait(10)
        runs.append(writing.head)
        writing.record(event)

    def failing(_: Writing) -> None:
        raise NotAvailable("no", "never")

    with opened(furnished.copy(tmp_path)) as archive:
        before = archive.committer.run(_transaction).head
        kept = archive.committer.submit(recording)
        begun.wait(10)
        lost = archive.committer.submit(failing)
        go_on.set()
        kept.result(10)
        with pytest.raises(NotAvailable):
            lost.result(10)
        assert runs == [before, before]  # undone with the other, then run by itself
        assert archive.committer.run(_transaction).head.n == before.n + 1


@pytest.mark.usefixtures("patience")
def test_what_was_put_off_waits_for_the_next_transaction(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        patient = archive.committer.put_off(_transaction)
        assert archive.committer.run(_transaction) is patient.result(10)


def test_what_was_put_off_is_written_when_nothing_else_comes(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        archive.committer.put_off(_transaction).result(10)


@pytest.mark.usefixtures("patience")
def test_what_was_put_off_is_written_at_the_end(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        patient = archive.committer.put_off(_transaction)
    patient.result(0)
