"""Each hostile file gets its verdict and its reasons, however it arrives; each look-alike passes."""

import re
from io import BytesIO

import pytest

from leadglass.dicom.part10 import read_file_meta
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import DataSetError
from leadglass.index.attributes import WANTED_TAGS as WANTED
from leadglass.inspection.files import FileInspector
from leadglass.inspection.inspector import Inspector
from leadglass.inspection.reasons import Weight
from leadglass.inspection.verdict import VerdictKind
from leadglass.model import DataSetLimits
from tests.hostile.case import Case
from tests.hostile.cases import all_cases

CASES = all_cases()


def test_there_are_enough_of_every_class() -> None:
    hostile = [case for case in CASES if not case.name.startswith("clean:")]
    assert len(hostile) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.kind for case in CASES} == set(VerdictKind)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_verdict(case: Case) -> None:
    data = case.make()
    report = FileInspector().inspect(BytesIO(data))
    found = {finding.reason for finding in report.findings}
    told = [(finding.reason.code, finding.path, finding.detail) for finding in report.findings]
    assert report.kind is case.kind, told
    assert case.reasons <= found, told
    if case.name.startswith("clean:"):
        assert all(reason.weight is Weight.NOTE for reason in found), told
    for finding in report.findings:
        assert 0 <= finding.offset <= max(len(data), 1 << 28), told
        assert re.fullmatch(r"(?:(?:[0-9a-f]{2}|\.\.)(?: |$))*", finding.excerpt)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pieces_do_not_matter(case: Case) -> None:
    """What a C-STORE of any piece size tells is the same."""
    data = case.make()
    try:
        meta = read_file_meta(BytesIO(data))
    except DataSetError:
        return
    body = data[meta.data_offset :]
    assert _told(body, meta.transfer_syntax, len(body)) == _told(body, meta.transfer_syntax, 1021)
    if len(body) < 3000:
        assert _told(body, meta.transfer_syntax, len(body)) == _told(body, meta.transfer_syntax, 1)


def _told(body: bytes, syntax: str, size: int) -> tuple[str, set[tuple[str, str]]]:
    inspector = Inspector(TRANSFER_SYNTAXES[syntax], DataSetLimits(), wanted=WANTED, may_disarm=True)
    try:
        for at in range(0, len(body), size):
            inspector.feed(memoryview(body)[at : at + size])
        kind = inspector.finish().kind.value
    except DataSetError as error:
        return error.message, set()
    # In which of its pieces an overlapping magic number is seen first may differ; what is found may not.
    return kind, {(finding.reason.code, finding.path) for finding in inspector.findings.kept}
