"""What a serving process asks of its allocator, measured in processes of their own: it lasts as long as they do."""

import platform
import subprocess
import sys

import pytest

#: Prints how many pages the system made for buffers of 1 MiB that are freed four at a time.
_PROGRAM = """
import resource
from leadglass.cli.process import keep_buffers
if {kept}: keep_buffers()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def hold(): return [bytearray(1024 * 1024) for _ in range(4)]
hold()
before = faults()
for _ in range(50): hold()
print(faults() - before)
"""


def pages_made(*, kept: bool) -> int:
    command = [sys.executable, "-c", _PROGRAM.format(kept=kept)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_buffers_stay_with_the_process() -> None:
    assert pages_made(kept=True) * 10 < pages_made(kept=False)
