"""Searches in an index of N studies: `python -m bench.index_scale [--studies N] [--keep FILE]`.

Builds the index through the Transaction API in large transactions (one series and one instance a study), then measures
typical C-FINDs from call to last answer, in this process, with the caches of a running archive.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from bench.index_corpus import SYLLABLES, Corpus, in_batches
from leadglass.dicom import tags
from leadglass.index.index import Index
from leadglass.model import Attributes, Level, Scope

RESULTS = Path(__file__).parent / "results" / "index-scale.json"
BATCH = 2000
#: What viewers ask for.
RETURN_KEYS = dict.fromkeys(
    (
        tags.PATIENT_NAME,
        tags.PATIENT_BIRTH_DATE,
        tags.PATIENT_SEX,
        tags.STUDY_DATE,
        tags.STUDY_TIME,
        tags.ACCESSION_NUMBER,
        tags.STUDY_DESCRIPTION,
        tags.MODALITIES_IN_STUDY,
        tags.NUMBER_OF_STUDY_RELATED_SERIES,
        tags.NUMBER_OF_STUDY_RELATED_INSTANCES,
    ),
    "",
)
#: A viewer's first page.
PAGE = 100
SCOPE = Scope(frozenset({"default"}))


def build(path: Path, key: bytes, studies: int) -> float:
    """Seconds that it took."""
    index = Index.create(path, key, os.urandom(16))
    corpus = Corpus(1)
    started = time.perf_counter()
    for batch in in_batches(studies, BATCH):
        with index.begin() as tx:
            for number in batch:
                attributes = corpus.study(number)
                series = corpus.add_series(tx, corpus.add_study(tx, attributes), 1, attributes)
                tx.add_instance(corpus.instance(series, 1))
        print(f"\r{batch.stop:,} of {studies:,} studies", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    index.close()
    return time.perf_counter() - started


class Questions:
    """Random keys of each kind."""

    def __init__(self, studies: int, uids: list[tuple[str, str]]) -> None:
        self._random = random.Random(2)
        self._studies = studies
        self._uids = uids

    def _number(self) -> int:
        return self._random.randrange(self._studies)

    def _date(self) -> str:
        return f"{self._random.randint(2010, 2024)}{self._random.randint(1, 12):02}{self._random.randint(1, 28):02}"

    def patient_id(self) -> Attributes:
        return {tags.PATIENT_ID: f"{self._number() * 2 // 3:08}"}

    def patient_id_prefix(self) -> Attributes:
        return {tags.PATIENT_ID: f"{self._number() * 2 // 3:08}"[:6] + "*"}

    def patient_id_infix(self) -> Attributes:
        return {tags.PATIENT_ID: f"*{self._number() * 2 // 3:08}"[:1] + f"{self._number() * 2 // 3:08}"[2:] + "*"}

    def accession(self) -> Attributes:
        return {tags.ACCESSION_NUMBER: f"A{self._number():09}"}

    def study_uid(self) -> Attributes:
        return {tags.STUDY_INSTANCE_UID: self._random.choice(self._uids)[0]}

    def day(self) -> Attributes:
        return {tags.STUDY_DATE: self._date()}

    def day_and_modality(self) -> Attributes:
        return {tags.STUDY_DATE: self._date(), tags.MODALITIES_IN_STUDY: "MR"}

    def name(self) -> Attributes:
        return {tags.PATIENT_NAME: "".join(self._random.choices(SYLLABLES, k=4)).upper() + "^ANNA"}

    def name_prefix(self) -> Attributes:
        return {tags.PATIENT_NAME: "".join(self._random.choices(SYLLABLES, k=3)) + "*"}

    def name_short_prefix(self) -> Attributes:
        return {tags.PATIENT_NAME: self._random.choice("bmprs") + "*"}

    def name_infix(self) -> Attributes:
        return {tags.PATIENT_NAME: f"*{''.join(self._random.choices(SYLLABLES, k=3))}*"}

    def name_infix_common(self) -> Attributes:
        return {tags.PATIENT_NAME: f"*{self._random.choice(('phan', 'martin', 'steven', 'guez', 'berger'))}*"}

    def name_infix_absent(self) -> Attributes:
        return {tags.PATIENT_NAME: "*xyzzy*"}

    def name_infix_and_year(self) -> Attributes:
        year = self._random.randint(2010, 2024)
        return {tags.PATIENT_NAME: "*phan*", tags.STUDY_DATE: f"{year}0101-{year}1231"}

    def description(self) -> Attributes:
        return {tags.STUDY_DESCRIPTION: "*schadel*"}

    def everything(self) -> Attributes:
        return {}

    def series_of_study(self) -> Attributes:
        return {tags.STUDY_INSTANCE_UID: self._random.choice(self._uids)[0], tags.MODALITY: "", tags.SERIES_NUMBER: ""}

    def images_of_series(self) -> Attributes:
        study, series = self._random.choice(self._uids)
        return {tags.STUDY_INSTANCE_UID: study, tags.SERIES_INSTANCE_UID: series, tags.INSTANCE_NUMBER: ""}


def measure(index: Index, studies: int, rounds: int) -> dict[str, dict[str, float]]:
    sample = index.find(Level.SERIES, {}, SCOPE, limit=1000)
    uids = [(str(row[tags.STUDY_INSTANCE_UID]), str(row[tags.SERIES_INSTANCE_UID])) for row in sample]
    ask = Questions(studies, uids)
    kinds: Iterable[tuple[Level, Callable[[], Attributes]]] = (
        *((Level.STUDY, question) for question in (ask.patient_id, ask.patient_id_prefix, ask.patient_id_infix)),
        *((Level.STUDY, question) for question in (ask.accession, ask.study_uid, ask.day, ask.day_and_modality)),
        *((Level.STUDY, question) for question in (ask.name, ask.name_prefix, ask.name_short_prefix)),
        *((Level.STUDY, question) for question in (ask.name_infix, ask.name_infix_common, ask.name_infix_absent)),
        *((Level.STUDY, question) for question in (ask.name_infix_and_year, ask.description, ask.everything)),
        *((Level.PATIENT, question) for question in (ask.patient_id, ask.name_prefix)),
        (Level.SERIES, ask.series_of_study),
        (Level.IMAGE, ask.images_of_series),
    )
    return {f"{level.value} {question.__name__}": _time(index, level, question, rounds) for level, question in kinds}


def _time(index: Index, level: Level, question: Callable[[], Attributes], rounds: int) -> dict[str, float]:
    spent, answers = [], 0
    for _ in range(rounds):
        keys = {**RETURN_KEYS, **question()}
        started = time.perf_counter()
        answers += sum(1 for _ in islice(index.find(level, keys, SCOPE, limit=PAGE), PAGE))
        spent.append((time.perf_counter() - started) * 1000)
    spent.sort()
    p50, p99 = spent[len(spent) // 2], spent[min(len(spent) - 1, len(spent) * 99 // 100)]
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "answers": round(answers / rounds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--keep", type=Path, help="build there, or search what an earlier run left there")
    options = parser.parse_args()
    key = bytes(range(32))
    with tempfile.TemporaryDirectory() as directory:
        path = options.keep or Path(directory) / "index.db"
        seconds = None if path.exists() else round(build(path, key, options.studies), 1)
        index = Index.open(path, key)
        result = {
            "studies": options.studies,
            "bytes": path.stat().st_size,
            "build_seconds": seconds,
            "page": PAGE,
            "searches": measure(index, options.studies, options.rounds),
        }
        index.close()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
