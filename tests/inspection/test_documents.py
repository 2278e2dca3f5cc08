"""Numbers in documents are found once each, wherever a block of them ends."""

from leadglass.inspection.documents import DocumentStream
from leadglass.inspection.verdict import Findings
from tests.hostile.samples import cda

BLOCK = 64 * 1024


def test_numbers_across_blocks() -> None:
    for before in range(BLOCK - 40, BLOCK + 40):
        head = cda(inside=b"<title>Report</title>".ljust(before - 200))[:-19]
        document = head + b"<id extension='536-90-4399'/>" + b" " * BLOCK + b"</ClinicalDocument>"
        findings = Findings()
        stream = DocumentStream(findings, 0, "")
        for at in range(0, len(document), 4096):
            stream.feed(memoryview(document)[at : at + 4096])
        stream.finish()
        assert [(each.reason.code, each.offset) for each in findings.kept] == [
            ("ssn-formatted", document.index(b"536-90-4399"))
        ], before
