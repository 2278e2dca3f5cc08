"""Bytes of index for each instance, and instances indexed a second: `python -m bench.index_size [--studies N]`.

UIDs of 50 to 64 characters, 4 series of 60 instances a study, in order of arrival, in transactions of 8 instances as
the committer makes them under load. Events are not counted. `--on` a memory file system leaves the disk's time out.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from bench.index_corpus import Corpus, Shape
from leadglass.index.index import Index

RESULTS = Path(__file__).parent / "results" / "index-size.json"
SHAPE = Shape(series=4, instances=60)
BATCH = 8


def measure(studies: int, directory_for_data: Path | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=directory_for_data) as directory:
        path = Path(directory) / "index.db"
        index = Index.create(path, os.urandom(32), os.urandom(16))
        corpus = Corpus(1)
        spent = 0.0
        for number in range(studies):
            spent += _add_study(index, corpus, number)
        index.close()
        size = path.stat().st_size
    instances = studies * SHAPE.series * SHAPE.instances
    return {
        "studies": studies,
        "instances": instances,
        "bytes": size,
        "bytes_per_instance": round(size / instances, 1),
        "instances_per_second": round(instances / spent),
    }


def _add_study(index: Index, corpus: Corpus, number: int) -> float:
    attributes = corpus.study(number)
    started = time.perf_counter()
    with index.begin() as tx:
        study = corpus.add_study(tx, attributes)
    spent = time.perf_counter() - started
    for each in range(SHAPE.series):
        started = time.perf_counter()
        with index.begin() as tx:
            series = corpus.add_series(tx, study, each + 1, attributes)
        spent += time.perf_counter() - started
        objects = [corpus.instance(series, place + 1) for place in range(SHAPE.instances)]
        started = time.perf_counter()
        for first in range(0, len(objects), BATCH):
            with index.begin() as tx:
                for new in objects[first : first + BATCH]:
                    tx.add_instance(new)
        spent += time.perf_counter() - started
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--on", type=Path, help="where the index is made for the time of the run")
    options = parser.parse_args()
    result = measure(options.studies, options.on)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
