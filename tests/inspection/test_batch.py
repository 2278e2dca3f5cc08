"""Any executor does: threads share the rules and nothing else."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leadglass.errors import UsageError
from leadglass.inspection.batch import Settings, inspect_all
from leadglass.inspection.files import FileInspector
from leadglass.inspection.media import MediaInspector, Subject, subjects
from leadglass.inspection.verdict import VerdictKind
from tests.hostile.cases import all_cases


def test_threads_tell_what_one_does(tmp_path: Path) -> None:
    cases = [case for case in all_cases() if case.kind is not VerdictKind.REJECT]
    expected = {}
    for number, case in enumerate(cases):
        path = tmp_path / f"{number:03}.dcm"
        path.write_bytes(case.make())
        expected[str(path)] = case.kind
    found = list(subjects([tmp_path]))
    assert [each.path.name for each in found] == sorted(each.path.name for each in found)
    with ThreadPoolExecutor(4) as executor:
        told = [each for results in inspect_all(iter(found * 3), Settings(), executor, at_once=4) for each in results]
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
