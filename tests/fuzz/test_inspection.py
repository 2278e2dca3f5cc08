"""The pipeline takes any bytes: hypothesis over damaged hostile files, atheris over everything."""

import subprocess
import sys
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.inspection.files import FileInspector
from leadglass.model import DataSetLimits
from tests.hostile.cases import all_cases

FILES = [data for data in (case.make() for case in all_cases()) if len(data) < 8192]
LIMITS = DataSetLimits(inflated_bytes=1 << 22, held_bytes=1 << 20)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0, 8191), st.binary(max_size=8)), max_size=6))
def test_damaged_files_get_a_verdict(data: bytes, damages: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(data)
    for at, replacement in damages:
        damaged[at : at + len(replacement)] = replacement
    report = FileInspector(limits=LIMITS).inspect(BytesIO(damaged))
    assert report.octets == len(damaged)


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed")
def test_fuzz_target(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, data in enumerate(FILES):
        (corpus / str(number)).write_bytes(data)
    command = [sys.executable, "-m", "tests.fuzz.fuzz_inspection", "-max_total_time=15", "-seed=1", "-max_len=8192"]
    done = subprocess.run([*command, str(corpus)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
