"""What a pack's sync costs on this disk: `python -m bench.syncs [--work DIR]`.

An object is written at the end of a file that grows with it, or over zeros that lie there, of which 2 MiB are written
now and then; then pages of an index's log are written over older ones and synced, as at a commit
(docs/formats/pack.md, "Zeros ahead"). Milliseconds for both syncs together, without anything else of a store.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "syncs.json"
SIZES = {"MR, 36 KB": 36_000, "CT, 528 KB": 528_000}
AHEAD = bytes(2 * 1024 * 1024)
#: Eight frames of SQLite's log: a page of 4 KiB after 24 bytes.
FRAMES = [bytes(24), os.urandom(4096)] * 8
COMMIT_BYTES = sum(map(len, FRAMES))
LOG_BYTES = 4 * 1024 * 1024


def measured(folder: Path, size: int, objects: int, *, zeros: bool) -> dict[str, float]:
    content, log_at, end, zeroed, took = os.urandom(size), 0, 0, 0, []
    with (folder / "pack").open("wb", 0) as pack, (folder / "log").open("wb", 0) as log:
        log.write(bytes(LOG_BYTES))
        os.fsync(log.fileno())
        cpu = time.thread_time()
        for _ in range(objects):
            started = time.perf_counter()
            grows = zeros and end + size > zeroed
            os.pwritev(pack.fileno(), [content, AHEAD] if grows else [content], end)
            end += size
            zeroed = end + len(AHEAD) if grows else zeroed
            os.fdatasync(pack.fileno())
            log_at = log_at if log_at + COMMIT_BYTES <= LOG_BYTES else 0
            log_at += os.pwritev(log.fileno(), FRAMES, log_at)
            os.fsync(log.fileno())
            took.append(1000 * (time.perf_counter() - started))
        cpu = 1000 * (time.thread_time() - cpu) / objects
    return {
        "p50_ms": round(statistics.median(took), 3),
        "mean_ms": round(statistics.mean(took), 3),
        "p99_ms": round(statistics.quantiles(took, n=100)[98], 3),
        "cpu_ms": round(cpu, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="/var/tmp", help="on a disk")  # noqa: S108
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    result: dict[str, object] = {"kernel": platform.release(), "objects": options.objects, "rounds": options.rounds}
    for name, size in SIZES.items():
        runs: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        for _ in range(options.rounds):
            for zeros, found in runs.items():
                with tempfile.TemporaryDirectory(dir=options.work) as folder:
                    found.append(measured(Path(folder), size, options.objects, zeros=zeros))
        for zeros, found in runs.items():
            label = f"{name}, {'over zeros' if zeros else 'growing'}"
            result[label] = {each: statistics.median(run[each] for run in found) for each in found[0]}
            print(label, result[label])
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
