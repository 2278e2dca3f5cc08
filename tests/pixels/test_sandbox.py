"""From inside a worker, everything but computing fails; what it does to itself harms one job."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.errors import DecodingFailed
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from tests.pixels.images import plain

HOSTILE = (str(Path(__file__).parent / "hostile_worker.py"),)

#: Answered with an error, as a library expects of a call that it can do without.
REFUSED = (
    *("read a file", "read our environment", "read the server's memory", "list processes", "write a file"),
    *("look at a file", "remove a file", "make a folder", "make a pipe", "copy a descriptor"),
    *("write to another descriptor", "make memory that is a file", "start a thread", "map code"),
    *("change its limits", "signal the server by thread", "become another user", "fork through clone"),
)
#: The worker's end.
FATAL = (
    *("open a socket", "open a local socket", "run a program", "fork", "trace the server"),
    *("read another process's memory", "signal the server", "leave its namespaces"),
)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    limits = DecoderLimits(workers=1, job_seconds=60, memory_bytes=256 * 1024**2)
    decoders = DecoderPool(limits, HOSTILE)
    yield decoders
    decoders.close()


def _attack(pool: DecoderPool, name: str) -> str:
    return pool.decode(plain(8, 8, bits=8), name.encode()).decode()


@pytest.mark.parametrize("name", REFUSED)
def test_a_worker_may_only_compute(pool: DecoderPool, name: str) -> None:
    assert _attack(pool, name) in ("PermissionError", "RuntimeError", "ValueError")


@pytest.mark.parametrize("name", FATAL)
def test_an_escape_is_the_worker_s_end(pool: DecoderPool, name: str) -> None:
    with pytest.raises(DecodingFailed) as failed:
        _attack(pool, name)
    assert failed.value.reason == "ESCAPING"
    assert _attack(pool, "nothing") == "allowed"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash", "CRASHED"),
        ("abort", "CRASHED"),
        ("exit", "CRASHED"),
        ("grow", "MEMORY"),
        ("lie about the length", "NONSENSE"),
        ("lie about the outcome", "NONSENSE"),
    ],
)
def test_a_worker_that_fails_is_replaced(pool: DecoderPool, name: str, reason: str) -> None:
    with pytest.raises(DecodingFailed) as failed:
        _attack(pool, name)
    assert failed.value.reason == reason
    assert _attack(pool, "nothing") == "allowed"


@pytest.mark.parametrize("name", ["hang", "answer in part"])
def test_a_worker_that_hangs_is_killed(name: str) -> None:
    pool = DecoderPool(DecoderLimits(workers=1, job_seconds=0.2), HOSTILE)
    try:
        with pytest.raises(DecodingFailed) as failed:
            _attack(pool, name)
        assert failed.value.reason == "TIMED_OUT"
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("wall", "error"),
    [("restrict_files(libc)", errno.EACCES), ("filter_calls(load_libseccomp())", errno.EPERM)],
)
def test_each_wall_alone_keeps_files_away(wall: str, error: int) -> None:
    program = (
        "import ctypes, os\n"
        "from leadglass.pixels.sandbox import filter_calls, load_libseccomp, restrict_files\n"
        "libc = ctypes.CDLL(None)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0\n"
        f"{wall}\n"
        "try:\n"
        "    os.open('/etc/passwd', os.O_RDONLY)\n"
        "except PermissionError as error:\n"
        "    os._exit(error.errno)\n"
        "os._exit(0)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == error
