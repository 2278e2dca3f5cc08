"""kill -9 before each write of one store, enumerated from a trace of the system calls."""

import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from leadglass.errors import LeadglassError
from tests.clients import store
from tests.served import Served, peer_program

FILE_CALLS = "pwrite64,pwritev,pwritev2,fdatasync,fsync,ftruncate,fallocate,unlink,rename,renameat2"
SOCKET_CALLS = "write,sendto,sendmsg"
#: What is written elsewhere than to files and peers.
NEITHER = ("serve.log", "pipe:", "[eventfd]")
LINE = re.compile(r"^(?P<thread>\d+) +(?P<time>[\d.]+) (?P<call>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>")


@dataclass(frozen=True, slots=True)
class Point:
    """The `nth` of `call` on what `path` names, in the first thread of a process that comes so far, counted from the
    moment the sender connects. `process`: 0 commits, the others receive."""

    process: int
    path: str
    call: str
    nth: int


@dataclass(frozen=True, slots=True)
class Sending:
    """A CT data set to be stored, and the status that says so."""

    data_set: bytes
    status: int

    def was_acknowledged(self, archive: Served) -> bool:
        return store(archive, self.data_set)[0].status == self.status


def attach(pid: int, *options: str) -> subprocess.Popen[str]:
    """strace on every thread of one process of the running archive; returns once it is attached."""
    command = [peer_program("strace"), "-f", "-y", "-p", str(pid), *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    # "Process N attached with M threads": it says so once all of them are.
    line = tracer.stderr.readline()
    assert " attached" in line, line
    return tracer


def points_of_a_store(template: Served, folder: Path, sending: Sending) -> list[Point]:
    """Every write of one store, in order."""
    archive = template.copy(folder).start()
    traces = [(pid, folder / f"trace-{number}") for number, pid in enumerate(archive.pids())]
    traced = ("-ttt", "-e", f"trace={FILE_CALLS},{SOCKET_CALLS}", "-o")
    tracers = [attach(pid, *traced, str(trace)) for pid, trace in traces]
    assert sending.was_acknowledged(archive)
    for tracer in tracers:
        tracer.terminate()
        tracer.wait()
    archive.stop()
    found = [point for number, (_, trace) in enumerate(traces) for point in _points(number, trace, folder)]
    return list(dict.fromkeys(point for _, point in sorted(found, key=lambda timed: timed[0])))


def _points(process: int, trace: Path, folder: Path) -> Iterator[tuple[float, Point]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for line in trace.read_text().splitlines():
        found = LINE.match(line)
        if found is None or any(each in found["path"] for each in NEITHER):
            continue
        path = "socket" if found["path"].startswith(("TCP", "socket")) else str(Path(found["path"]).relative_to(folder))
        counted = found["thread"], path, found["call"]
        counts[counted] += 1
        yield float(found["time"]), Point(process, path, found["call"], counts[counted])


def check_order(points: Sequence[Point]) -> None:
    """Bytes of packs, then their fdatasync, then the index's log and its sync, and only then the answer."""
    order = [(Path(point.path).name, point.call) for point in points]
    packs = [number for number, (path, _) in enumerate(order) if path.endswith(".pack")]
    log = [number for number, (path, _) in enumerate(order) if path == "index.db-wal" and number > packs[0]]
    for pack in {order[number][0] for number in packs}:
        own = [number for number in packs if order[number][0] == pack]
        assert order[own[-1]][1] == "fdatasync"
    assert order[log[-1]][1] in ("fdatasync", "fsync")
    answer = max(number for number, point in enumerate(points) if point.path == "socket" and number < len(points) - 1)
    assert packs[-1] < log[-1] < answer


def kill_at_each(
    points: Sequence[Point],
    template: Served,
    folder: Path,
    sending: Sending,
    check: Callable[[Served, bool, Point], None],
) -> None:
    """A fresh archive for each point; `check` is given it, stopped, and whether the sender was told success."""

    def crash(number: int, point: Point) -> None:
        (folder / str(number)).mkdir()
        archive = template.copy(folder / str(number)).start()
        check(archive, _killed_at(archive, sending, point), point)

    with ThreadPoolExecutor(3) as workers:
        for done in [workers.submit(crash, *item) for item in enumerate(points)]:
            done.result()


def _killed_at(archive: Served, sending: Sending, point: Point) -> bool:
    where = [] if point.path == "socket" else ["-P", str(archive.folder / point.path)]
    inject = f"inject={point.call}:signal=KILL:when={point.nth}"
    pid = archive.pids()[point.process]
    tracer = attach(pid, *where, "-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null")
    try:
        return sending.was_acknowledged(archive)
    except (LeadglassError, OSError):
        return False
    finally:
        assert archive.process is not None
        died = archive.process.wait(30)
        tracer.wait(30)
        archive.process = None
        # Without one that receives, the one that commits ends too (exit code 4, not available).
        assert died == (4 if point.process else -9), f"not killed at {point}"
