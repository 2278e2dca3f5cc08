"""Any executor does: threads share the rules and nothing else, processes not even these, and Dask's is one of them."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import distributed
import pytest

from leadglass.errors import UsageError
from leadglass.inspection.batch import Settings, inspect_all
from leadglass.inspection.files import FileInspector
from leadglass.inspection.media import MediaInspector, Subject, subjects
from leadglass.inspection.verdict import VerdictKind
from tests.hostile.cases import all_cases


@contextmanager
def dask() -> Iterator[Executor]:
    """A cluster of Dask's with one worker, in this process."""
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.Client(**options) as client, client.get_executor() as executor:
        yield executor


EXECUTORS = (
    partial(ThreadPoolExecutor, 4),
    partial(ProcessPoolExecutor, 2, multiprocessing.get_context("spawn")),
    dask,
)


def test_all_of_them_tell_what_one_does(tmp_path: Path) -> None:
    cases = [case for case in all_cases() if case.kind is not VerdictKind.REJECT]
    expected = {}
    for number, case in enumerate(cases):
        path = tmp_path / f"{number:03}.dcm"
        path.write_bytes(case.make())
        expected[str(path)] = case.kind
    found = list(subjects([tmp_path]))
    assert [each.path.name for each in found] == sorted(each.path.name for each in found)
    for running in EXECUTORS:
        with running() as executor:
            results = inspect_all(iter(found * 3), Settings(), executor, at_once=4)
            told = [each for batch in results for each in batch]
        assert len(told) == 3 * len(cases)
        assert {each.path: each.report.kind for each in told} == expected


def test_what_vanishes_or_is_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a file or folder"):
        list(subjects([tmp_path / "none"]))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert list(subjects([tmp_path])) == []
    inspector = MediaInspector(FileInspector())
    (gone,) = inspector.inspect(Subject(tmp_path / "gone", 1, 1))
    assert (gone.report.kind, gone.report.reasons) == (VerdictKind.REJECT, ("unreadable",))
    # A pipe that took a file's place is not waited for.
    (piped,) = inspector.inspect(Subject(pipe, 1, 1))
    assert piped.report.kind is VerdictKind.REJECT
