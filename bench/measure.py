"""What a run costs: time until the backlog is done, CPU and memory of the server's processes, syncs to disk."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.01
_QUIET_SECONDS = 0.1
_PATIENCE_SECONDS = 120.0
_SAMPLE_SECONDS = 0.25
_TICK = 1 / os.sysconf("SC_CLK_TCK")
#: A process that ends between two looks at it.
_GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(slots=True)
class Cost:
    """Filled in when the watch ends. Memory in bytes; `peak_high_water` is VmHWM of the server's main process."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_resident: int = 0
    peak_high_water: int = 0
    written: int = 0


@contextmanager
def watch(pid: int) -> Iterator[Cost]:
    """Measure the body and what it leaves to do: the clock stops when the server last used a processor or wrote."""
    cost = Cost()
    stop = threading.Event()
    sampler = threading.Thread(target=_sample, args=(pid, cost, stop))
    # proc(5): 5 makes the present resident memory the peak, so that the preparation does not count.
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    cpu, written = _progress(pid)
    started = time.perf_counter()
    sampler.start()
    try:
        yield cost
        ended, after = _await_quiet(pid)
    finally:
        stop.set()
        sampler.join()
    cost.seconds = ended - started
    cost.cpu_seconds = after[0] - cpu
    cost.written = after[1] - written
    cost.peak_high_water = high_water(pid)


def _await_quiet(pid: int) -> tuple[float, tuple[float, int]]:
    """(when the server did something last, at the earliest now; what it has used until then)."""
    last = time.perf_counter()
    deadline = last + _PATIENCE_SECONDS
    seen = _progress(pid)
    while time.perf_counter() < last + _QUIET_SECONDS:
        time.sleep(_POLL_SECONDS)
        now = _progress(pid)
        if now != seen:
            last, seen = time.perf_counter(), now
        if last > deadline:
            raise RuntimeError("the server does not come to rest")
    return last, seen


def _tree(pid: int) -> list[Path]:
    """The /proc directories of a process and of all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(*_GONE):
                children.setdefault(int(_stat(entry)[1]), []).append(int(entry.name))
    found = [pid]
    for process in found:
        found += children.get(process, [])
    return [Path("/proc") / str(process) for process in found]


def _stat(process: Path) -> list[str]:
    """proc(5): the fields after the command's name in parentheses, from the third on."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def _progress(pid: int) -> tuple[float, int]:
    """CPU seconds (in ticks of 10 ms) and bytes written to files by the server and its children, dead ones included."""
    ticks, written = 0, 0
    for process in _tree(pid):
        with suppress(*_GONE):
            ticks += sum(map(int, _stat(process)[11:15]))  # utime, stime, cutime, cstime
            written += int((process / "io").read_text().partition("\nwrite_bytes: ")[2].split()[0])
    return ticks * _TICK, written


def cpu_seconds(pid: int) -> float:
    """What a process and all its descendants have used so far."""
    return _progress(pid)[0]


def _sample(pid: int, cost: Cost, stop: threading.Event) -> None:
    while not stop.wait(_SAMPLE_SECONDS):
        resident = 0
        for process in _tree(pid):
            with suppress(*_GONE):
                resident += _proportional(process)
        cost.peak_resident = max(cost.peak_resident, resident)


def _proportional(process: Path) -> int:
    """Bytes in memory (proc(5), Pss): what forks share counts once. Of another user's process only root may know."""
    lines = (process / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024


def high_water(pid: int) -> int:
    """The most bytes that the process had resident so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in the status of the process")


@contextmanager
def count_syncs(pid: int, summary: Path) -> Iterator[dict[str, int]]:
    """Count fdatasync and fsync calls of the server while the body runs. strace slows it: such a run is not timed."""
    counts: dict[str, int] = {}
    command = ["strace", "-f", "-c", "-e", "trace=fdatasync,fsync", "-o", str(summary)]
    processes = _tree(pid)  # strace follows those that are begun from now on by itself
    for process in processes:
        command += ("-p", process.name)
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        for _ in processes:
            if tracer.stderr is None or b"attached" not in tracer.stderr.readline():
                raise RuntimeError("strace cannot attach to the server")
        yield counts
        _await_quiet(pid)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    for line in summary.read_text().splitlines():
        columns = line.split()
        if columns and columns[-1] in ("fdatasync", "fsync"):
            counts[columns[-1]] = int(columns[3])
