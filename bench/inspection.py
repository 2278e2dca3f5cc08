"""Inspection's speed: `python -m bench.inspection [--objects N]`.

A folder of CT files in memory is inspected by one process with and without YARA rules, and scanned by clamscan with one
signature (its real database only makes it slower, and is a download). And what inspection adds to the reader alone when
an object arrives in pieces of 128 KiB, as over C-STORE. And what a worker's memory comes to.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from struct import Struct

from bench import corpora
from leadglass.dicom.part10 import encode_file_meta, read_file_meta
from leadglass.dicom.reader import DataSetScanner
from leadglass.dicom.uids import EXPLICIT_LE, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.index.attributes import WANTED_SEQUENCES, WANTED_TAGS
from leadglass.inspection.engines import Engines
from leadglass.inspection.files import FileInspector
from leadglass.inspection.inspector import Inspector
from leadglass.inspection.yara import RuleSet
from leadglass.model import DataSetLimits

RESULTS = Path(__file__).parent / "results" / "inspection.json"
_PIECE = 128 * 1024
_LARGE = 1 << 30
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SIGNATURE = "Leadglass.Bench:0:*:4c454144474c4153532d42454e43482d5445535400"


def files_per_second(inspector: FileInspector, paths: tuple[Path, ...]) -> float:
    """10⁶ bytes a second of processor time."""
    octets = 0
    started = time.process_time()
    for path in paths:
        with path.open("rb", buffering=0) as file:
            octets += inspector.inspect(file).octets
    return octets / (time.process_time() - started) / 1e6


def clamscan(paths: tuple[Path, ...], work: Path) -> float:
    """10⁶ bytes a second of processor time, without the time that loading its database takes."""
    database = work / "bench.ndb"
    database.write_text(_SIGNATURE + "\n")
    folder = paths[0].parent
    command = ["clamscan", "-d", str(database), "--recursive", "--no-summary", "--infected"]
    empty = work / "empty"
    empty.mkdir(exist_ok=True)
    idle = _seconds([*command, str(empty)])
    spent = _seconds([*command, str(folder)]) - idle
    return sum(path.stat().st_size for path in folder.iterdir()) / spent / 1e6


def resident(folder: Path, engines: str) -> float:
    """2²⁰ bytes that a worker takes at most over the folder and one file with a value of 1 GiB beside it."""
    head = encode_file_meta(_SECONDARY_CAPTURE, "1.2.3", EXPLICIT_LE)
    header = Struct("<HH2sHI").pack(0x0029, 0x1010, b"OB", 0, _LARGE)
    with (folder / "large.dcm").open("wb") as file:
        file.write(head + header)
        file.truncate(len(head) + len(header) + _LARGE)
    command = [sys.executable, "-m", "bench.inspection_worker", str(folder), engines]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def microseconds(make: "Callable[[TransferSyntax], DataSetScanner | Inspector]", paths: tuple[Path, ...]) -> float:
    """For each object, of processor time, fed in pieces."""
    objects = []
    for path in paths[:100]:
        with path.open("rb") as file:
            meta = read_file_meta(file)
            objects.append((TRANSFER_SYNTAXES[meta.transfer_syntax], memoryview(file.read())))
    started = time.thread_time()
    for syntax, body in objects:
        reader = make(syntax)
        for at in range(0, len(body), _PIECE):
            reader.feed(body[at : at + _PIECE])
        reader.finish()
    return (time.thread_time() - started) / len(objects) * 1e6


def measure(objects: int, repeat: int) -> dict[str, float]:
    limits = DataSetLimits()
    plain = FileInspector()
    ruled = FileInspector(engines=Engines((RuleSet().begin,)))
    kept: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/dev/shm") as name:
        work = Path(name)
        paths = corpora.write(corpora.ct(objects), work)
        runs: dict[str, Callable[[], float]] = {
            "inspect_megabytes_per_second": lambda: files_per_second(plain, paths),
            "inspect_with_rules_megabytes_per_second": lambda: files_per_second(ruled, paths),
            "reader_alone_microseconds": lambda: microseconds(
                lambda syntax: DataSetScanner(syntax, limits, wanted=WANTED_TAGS, wanted_sequences=WANTED_SEQUENCES),
                paths,
            ),
            "inspector_microseconds": lambda: microseconds(
                lambda syntax: Inspector(syntax, limits, wanted=WANTED_TAGS, wanted_sequences=WANTED_SEQUENCES), paths
            ),
        }
        if shutil.which("clamscan"):
            runs["clamscan_megabytes_per_second"] = lambda: clamscan(paths, work)
        alone = work / "alone"
        alone.mkdir()
        corpora.write(corpora.ct(20), alone)
        kept["worker_resident_mebibytes"] = [resident(alone, "plain")]
        kept["worker_with_rules_resident_mebibytes"] = [resident(alone, "rules")]
        shutil.rmtree(alone)
        for _ in range(repeat):
            for label, run in runs.items():
                kept.setdefault(label, []).append(run())
    return {"objects": objects, **{label: round(median(values), 1) for label, values in kept.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    result = measure(options.objects, options.repeat)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
