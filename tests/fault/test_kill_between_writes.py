"""kill -9 before each write of the store path. The writes are not chosen by hand: the test traces one store, takes
every system call that writes, syncs or sends, and kills a fresh archive before each of them in turn.

After each crash: what was acknowledged is there byte for byte, the archive starts and says what it repaired, fsck finds
nothing, and the sender's retry succeeds and is stored once.
"""

import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from leadglass.dicom import tags
from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError
from tests.clients import ROOT, ct, find, get, instance_of, store
from tests.served import Served, peer_program

FILE_CALLS = "pwrite64,pwritev,pwritev2,fdatasync,fsync,ftruncate,fallocate,unlink,rename,renameat2"
SOCKET_CALLS = "write,sendto,sendmsg"
LINE = re.compile(r"^(?P<pid>\d+) +(?P<call>\w+)\((?P<fd>\d+)<(?P<path>[^>]*)>")
ACKNOWLEDGED, UNDER_WAY = ct(1), ct(2, study=f"{ROOT}.2")


@dataclass(frozen=True, slots=True)
class Point:
    """The `nth` of `call` on what `path` names, counted from the moment the sender connects."""

    path: str
    call: str
    nth: int


@pytest.fixture(scope="module")
def template(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An archive, stopped, in which one object was acknowledged."""
    with furnished.copy(tmp_path_factory.mktemp("template")) as archive:
        assert store(archive, ACKNOWLEDGED)[0].status == SUCCESS
    return archive


def attach(archive: Served, *options: str) -> subprocess.Popen[str]:
    """strace on every thread of the running archive; returns once it is attached."""
    assert archive.process is not None
    command = [peer_program("strace"), "-f", "-y", "-p", str(archive.process.pid), *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    # "Process N attached with M threads": it says so once all of them are.
    line = tracer.stderr.readline()
    assert " attached" in line, line
    return tracer


def points_of_a_store(template: Served, folder: Path) -> list[Point]:
    """Every write of one store, in order."""
    archive = template.copy(folder).start()
    trace = folder / "trace"
    tracer = attach(archive, "-e", f"trace={FILE_CALLS},{SOCKET_CALLS}", "-o", str(trace))
    assert store(archive, UNDER_WAY)[0].status == SUCCESS
    tracer.terminate()
    tracer.wait()
    archive.stop()
    counts: Counter[tuple[str, str]] = Counter()
    points = []
    for line in trace.read_text().splitlines():
        found = LINE.match(line)
        if found is None or "serve.log" in found["path"] or "pipe:" in found["path"]:
            continue
        path = "socket" if found["path"].startswith(("TCP", "socket")) else str(Path(found["path"]).relative_to(folder))
        counts[path, found["call"]] += 1
        points.append(Point(path, found["call"], counts[path, found["call"]]))
    return points


def kill_at(archive: Served, point: Point) -> bool:
    """Store with the kill in place; whether the sender was told success."""
    where = [] if point.path == "socket" else ["-P", str(archive.folder / point.path)]
    inject = f"inject={point.call}:signal=KILL:when={point.nth}"
    tracer = attach(archive, *where, "-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null")
    try:
        return store(archive, UNDER_WAY)[0].status == SUCCESS
    except (LeadglassError, OSError):
        return False
    finally:
        assert archive.process is not None
        died = archive.process.wait(30)
        tracer.wait(30)
        archive.process = None
        assert died == -9, f"not killed at {point}"


@pytest.fixture(scope="module")
def points(template: Served, tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    return points_of_a_store(template, tmp_path_factory.mktemp("traced"))


def test_the_trace_shows_the_promised_order(points: list[Point]) -> None:
    """Pack bytes, then their fdatasync, then the index's log and its sync, and only then the answer."""
    order = [(Path(point.path).name, point.call) for point in points]
    pack = [number for number, (path, _) in enumerate(order) if path.endswith(".pack")]
    log = [number for number, (path, _) in enumerate(order) if path == "index.db-wal" and number > pack[0]]
    assert order[pack[-1]][1] == "fdatasync"
    assert order[log[-1]][1] in ("fdatasync", "fsync")
    answer = max(number for number, point in enumerate(points) if point.path == "socket" and number < len(points) - 1)
    assert pack[-1] < log[-1] < answer


def test_kill_before_each_write(points: list[Point], template: Served, tmp_path: Path) -> None:
    assert len(points) >= 8

    def crash(number: int, point: Point) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        archive = template.copy(folder).start()
        check_after_crash(archive, kill_at(archive, point), point)

    with ThreadPoolExecutor(4) as workers:
        for done in [workers.submit(crash, *item) for item in enumerate(points)]:
            done.result()


def check_after_crash(archive: Served, was_told: bool, point: Point) -> None:
    with archive:
        _, _, first = get(archive, {tags.STUDY_INSTANCE_UID: f"{ROOT}.1"})
        assert first == {instance_of(ACKNOWLEDGED): ACKNOWLEDGED}, point
        study = {tags.STUDY_INSTANCE_UID: f"{ROOT}.2", tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""}
        if was_told:
            assert len(find(archive, "STUDY", study)) == 1, point
        assert store(archive, UNDER_WAY)[0].status == SUCCESS, point
        assert [found[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] for found in find(archive, "STUDY", study)] == ["1"], (
            point
        )
        _, _, second = get(archive, {tags.STUDY_INSTANCE_UID: f"{ROOT}.2"})
        assert second == {instance_of(UNDER_WAY): UNDER_WAY}, point
        assert "0 problems" in archive.run("fsck", "--deep"), point
