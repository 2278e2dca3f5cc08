"""Coverage-guided fuzzing of the whole pipeline: python -m tests.fuzz.fuzz_inspection -max_total_time=20

Whatever the bytes, a file gets a verdict and nothing is raised; findings keep their bound, excerpts show no text,
and the same bytes in pieces of another size get the same verdict.
"""

import sys
from io import BytesIO

import atheris

with atheris.instrument_imports(include=["leadglass.dicom", "leadglass.inspection"]):
    from leadglass.dicom.uids import TRANSFER_SYNTAXES
    from leadglass.errors import DataSetError
    from leadglass.inspection.files import FileInspector
    from leadglass.inspection.inspector import Inspector
    from leadglass.inspection.verdict import VerdictKind
    from leadglass.model import DataSetLimits

from tests.hostile.cases import all_cases

LIMITS = DataSetLimits(depth=8, elements=5000, inline_value=4096, held_bytes=1 << 18, inflated_bytes=1 << 22)
WANTED = frozenset({0x00100010, 0x00100020})
FILES = FileInspector(limits=LIMITS)
_MOST_FINDINGS = 200
_BLANK = frozenset("0123456789abcdef. ")


def check(data: bytes) -> None:
    """One file."""
    report = FILES.inspect(BytesIO(data))
    if len(report.findings) > _MOST_FINDINGS:
        raise AssertionError("More findings than the bound.")
    if not all(set(each.excerpt) <= _BLANK and each.offset >= 0 for each in report.findings):
        raise AssertionError("A finding shows what it must not.")
    if report.meta is None or report.is_directory:
        return
    syntax = TRANSFER_SYNTAXES.get(report.meta.transfer_syntax)
    if syntax is None:
        return
    body = data[report.meta.data_offset :]
    if _kind(body, syntax.uid, len(body) + 1) != _kind(body, syntax.uid, 77):
        raise AssertionError("The verdict depends on how the bytes arrive.")


def _kind(body: bytes, syntax: str, size: int) -> VerdictKind | None:
    inspector = Inspector(TRANSFER_SYNTAXES[syntax], LIMITS, wanted=WANTED, may_disarm=True)
    try:
        for start in range(0, len(body), size):
            inspector.feed(body[start : start + size])
        return inspector.finish().kind
    except DataSetError:
        return None


def seeds() -> list[bytes]:
    """Small hostile files: what there is to mutate."""
    return [data for data in (case.make() for case in all_cases()) if len(data) < 4096]


def main() -> None:
    for data in seeds():
        check(data)
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
