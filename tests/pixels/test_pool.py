"""The pool: when workers are started, shared, replaced and ended, and what happens where none can be had."""

import os
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from leadglass.errors import DecodingFailed, NotAvailable
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool
from leadglass.pixels.rendering import Rendering
from tests.pixels.images import noise, plain

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
HOSTILE = (str(HERE / "hostile_worker.py"),)
ONE_BYTE = plain(1, 1, bits=8)


def _attack(pool: DecoderPool, name: str) -> str:
    return pool.decode(plain(8, 8, bits=8), name.encode()).decode()


def test_nothing_is_started_or_imported_before_it_is_used(tmp_path: Path) -> None:
    started = tmp_path / "started"
    DecoderPool(DecoderLimits(), ("-c", f"open({str(started)!r}, 'w')")).close()
    assert not started.exists()
    program = (
        "import sys, leadglass.pixels.pool, leadglass.pixels.reading, leadglass.pixels.transcoding\n"
        "assert not {'numpy', 'imagecodecs', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("call", ["landlock_create_ruleset", "landlock_restrict_self", "seccomp", "prctl"])
@pytest.mark.parametrize("how", ["refused", "killed"])
def test_no_sandbox_no_decoding(call: str, how: str) -> None:
    pool = DecoderPool(DecoderLimits(workers=1), (str(HERE / "confined_worker.py"), call, how))
    for _ in range(2):  # The second is told without another try.
        with pytest.raises(NotAvailable) as missing:
            pool.decode(ONE_BYTE, b"\0")
        assert missing.value.http_status == 503
        assert "sandbox" in missing.value.message
        assert "libseccomp2" in missing.value.remedy
        assert "landlock_create_ruleset" in missing.value.remedy
    with pytest.raises(NotAvailable):
        pool.check(ONE_BYTE, b"\0")
    pool.close()


@pytest.mark.parametrize(
    "program", ["raise SystemExit(1)", "import a_codec_that_is_not_there", "print('nonsense' * 9)"]
)
def test_a_worker_that_does_not_start(program: str) -> None:
    pool = DecoderPool(DecoderLimits(workers=1), ("-c", program))
    with pytest.raises(NotAvailable) as missing:
        pool.decode(ONE_BYTE, b"\0")
    assert missing.value.remedy
    pool.close()


def test_busy_and_closed() -> None:
    pool = DecoderPool(DecoderLimits(workers=1, job_seconds=600, queue_seconds=0.01), HOSTILE)
    ended: list[Exception] = []

    def hang() -> None:
        while not ended:
            try:
                _attack(pool, "hang")
            except NotAvailable as error:
                if "busy" not in error.message:
                    ended.append(error)

    _attack(pool, "nothing")
    hanging = threading.Thread(target=hang)
    hanging.start()
    with pytest.raises(NotAvailable, match="busy"):
        while True:  # until the other thread has the only worker
            _attack(pool, "nothing")
    pool.close()
    hanging.join()
    assert "stopping" in str(ended[0])
    with pytest.raises(NotAvailable, match="stopping"):
        _attack(pool, "nothing")


def test_a_worker_is_replaced_when_it_has_done_its_share() -> None:
    pool = DecoderPool(DecoderLimits(workers=1, worker_jobs=2), HOSTILE)
    numbers = [_attack(pool, "tell its number") for _ in range(6)]
    pool.close()
    assert all(numbers.count(each) <= 2 for each in numbers)


def test_several_at_once(decoders: DecoderPool) -> None:
    description = plain(64, 64, bits=16, stored=12)
    frames = [noise(description, seed) for seed in range(8)]
    failed: list[int] = []

    def work(index: int) -> None:
        for _ in range(20):
            if decoders.decode(description, frames[index]) != frames[index]:
                failed.append(index)
            decoders.render(description, frames[index], Rendering())

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_large_frames_both_ways(decoders: DecoderPool) -> None:
    """More than a pipe holds, by far."""
    description = plain(4096, 4096, bits=16)
    frame = bytes(range(256)) * (description.frame_bytes // 256)
    assert decoders.decode(description, frame) == frame


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_frames_of_any_kind_of_bytes(decoders: DecoderPool, kind: type) -> None:
    assert decoders.decode(plain(1, 2, bits=8), kind(b"\1\2")) == b"\1\2"


def test_failures_tell_nothing_of_what_is_in_the_frame() -> None:
    pool = DecoderPool(DecoderLimits(workers=1), HOSTILE)
    with pytest.raises(DecodingFailed) as failed:
        _attack(pool, "crash")
    pool.close()
    assert failed.value.message == "The decoder crashed on this pixel data."
    assert failed.value.__cause__ is None


def test_workers_end_with_the_server() -> None:
    program = (
        "import os, psutil, signal\n"
        "from leadglass.pixels.limits import DecoderLimits\n"
        "from leadglass.pixels.pool import DecoderPool\n"
        "from tests.pixels.images import plain\n"
        "DecoderPool(DecoderLimits(workers=1)).decode(plain(1, 1, bits=8), b'x')\n"
        "print(*(child.pid for child in psutil.Process().children()), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        numbers = [int(each) for each in server.stdout.read().split()]
    assert numbers
    for number in numbers:
        _wait_for_end(number)


def _wait_for_end(number: int) -> None:
    try:
        process = os.pidfd_open(number)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(process, select.POLLIN)
    assert poll.poll(60_000), "a worker outlives its server"
    os.close(process)
