"""QIDO-RS and metadata beside Orthanc with its DICOMweb plugin: `python -m bench.dicomweb [--slices N]`.

With `--studies N` searches are also measured in an index of N made-up studies, which only Leadglass gets. Each number
is from request to last byte, one after another over one connection that stays open.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from pydicom.uid import CTImageStorage

from bench import corpora
from bench.clients import Client, finish
from bench.corpora import Corpus
from bench.index_scale import Questions
from bench.measure import cpu_seconds, high_water
from bench.web_servers import WebServer, has_orthanc, leadglass, orthanc
from leadglass.dicom.dictionary import keyword_of
from leadglass.model import Attributes

RESULTS: Final = Path(__file__).parent / "results" / "dicomweb.json"
WARM_UP: Final = 20


def timed(server: WebServer, rounds: int, path: Callable[[], str], encoding: str = "") -> dict[str, float]:
    """Milliseconds and bytes of `rounds` requests, the first of them apart: it may have more to do."""
    connection = server.connect()
    server.get(connection, "/studies?limit=1")
    spent, size = [], 0
    before = cpu_seconds(server.pid)
    for _ in range(rounds):
        asked = path()
        started = time.perf_counter()
        size = len(server.get(connection, asked, encoding))
        spent.append((time.perf_counter() - started) * 1000)
    cpu = cpu_seconds(server.pid) - before
    connection.close()
    first, rest = spent[0], sorted(spent[1:] or spent)
    p99 = rest[min(len(rest) - 1, len(rest) * 99 // 100)]
    return {
        "first_ms": round(first, 2),
        "p50_ms": round(rest[len(rest) // 2], 2),
        "p99_ms": round(p99, 2),
        "server_cpu_ms": round(1000 * cpu / rounds, 2),
        "bytes": size,
    }


def _slices(server: WebServer, corpus: Corpus, work: Path, rounds: int) -> dict[str, dict[str, float]]:
    finish(Client(server.dicom).store(corpora.write(corpus, work)))
    study, series = f"/studies/{corpus.study_uid(0)}", f"/series/{corpus.series_uid(0)}"
    metadata = f"{study}{series}/metadata"
    paths = {
        "metadata of the series": (metadata, ""),
        # As browsers ask.
        "metadata of the series, compressed": (metadata, "gzip"),
        "series of a study": (f"{study}/series", ""),
        "instances of a series": (f"{study}{series}/instances", ""),
        "PatientID": (f"/studies?PatientID={corpus.patient_id(0)}", ""),
    }
    return {
        name: timed(server, rounds, lambda path=path: path, encoding)  # type: ignore[misc]
        for name, (path, encoding) in paths.items()
    }


def _searches(server: WebServer, studies: int, rounds: int) -> dict[str, dict[str, float]]:
    """After a few of each kind, as in a server that has been up for a while."""
    ask = Questions(studies, [])
    kinds: tuple[Callable[[], Attributes], ...] = (
        *(ask.patient_id, ask.accession, ask.day, ask.day_and_modality, ask.name_prefix),
        *(ask.name_infix, ask.name_infix_common, ask.name_infix_absent, ask.everything),
    )
    found = {}
    for kind in kinds:
        timed(server, WARM_UP, lambda kind=kind: _query(kind()))  # type: ignore[misc]
        found[kind.__name__] = timed(server, rounds, lambda kind=kind: _query(kind()))  # type: ignore[misc]
    return found


def _query(keys: Attributes) -> str:
    return "/studies?" + urlencode({"limit": 50, **{keyword_of(tag): value for tag, value in keys.items()}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--studies", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="make the index of studies there, or search what an earlier run left")
    options = parser.parse_args()
    result: dict[str, object] = {
        "slices": options.slices,
        "studies": options.studies,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "load average before": round(os.getloadavg()[0], 1),
    }
    corpus = Corpus("slices", "CT", CTImageStorage, options.slices, 64, 64, series=options.slices)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        work = Path(directory)
        for name in ("leadglass", "orthanc", "many"):
            (work / name).mkdir()
        if options.slices:
            servers = [stack.enter_context(leadglass(work / "leadglass", 0))]
            if has_orthanc():
                servers.append(stack.enter_context(orthanc(work / "orthanc", tls=shutil.which("cc") is not None)))
            for server in servers:
                rounds = options.rounds if server is servers[0] else min(options.rounds, 5)
                result[server.name] = _slices(server, corpus, work, rounds)
        if options.studies:
            many = stack.enter_context(leadglass(options.keep or work / "many", options.studies))
            result["searches"] = _searches(many, options.studies, 10 * options.rounds)
            result["peak resident MB, searching"] = round(high_water(many.pid) / 1e6)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
