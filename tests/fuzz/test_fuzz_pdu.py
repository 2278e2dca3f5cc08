import importlib.util
import subprocess
import sys

import pytest


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_no_bytes_break_the_pdu_decoder() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_pdu", "-runs=20000", "-max_len=4096", "-seed=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
