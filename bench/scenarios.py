"""What is measured. A scenario knows a server by its endpoint and abilities alone, so that all are treated alike."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import corpora, wire
from bench.clients import Client, finish, store_in_parallel
from bench.corpora import Corpus
from bench.peers import Ability, Server, environment
from bench.prober import probe, tls_context
from bench.wire import Context

_QUERY_INTERVAL = 0.1
_GETS = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is sent. `objects` counts CT objects; twice as many MR objects go."""

    objects: int
    studies: int
    queries: int
    mebibytes: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One fresh server, a client without TLS that reaches it through stunnel, the directory with what is sent."""

    server: Server
    relayed: Client
    corpora: Path
    sizes: Sizes
    nodelay: bool

    @property
    def client(self) -> Client:
        return Client(self.server.endpoint, self.nodelay)


@dataclass(slots=True)
class Outcome:
    """What the body did; `latencies` in seconds by kind of query."""

    objects: int
    transferred: int
    latencies: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`prepare` is not timed, `run` is. Slow ones are repeated `at_most` times."""

    name: str
    title: str
    needs: frozenset[Ability]
    run: Callable[[Trial], Outcome]
    prepare: Callable[[Trial], None]
    nodelay: bool = True
    at_most: int = 1000


def _ct(trial: Trial) -> Corpus:
    return corpora.ct(trial.sizes.objects)


def _mr(trial: Trial) -> Corpus:
    return corpora.mr(2 * trial.sizes.objects)


def _write_only(choose: Callable[[Trial], Corpus]) -> Callable[[Trial], None]:
    def prepare(trial: Trial) -> None:
        """The files are in the page cache when the clock starts."""
        for path in corpora.write(choose(trial), trial.corpora):
            path.read_bytes()

    return prepare


def _stored(files: tuple[Path, ...]) -> Outcome:
    return Outcome(len(files), sum(path.stat().st_size for path in files))


def _store(choose: Callable[[Trial], Corpus], clients: int) -> Callable[[Trial], Outcome]:
    def run(trial: Trial) -> Outcome:
        files = corpora.write(choose(trial), trial.corpora)
        store_in_parallel(trial.client, files, clients)
        return _stored(files)

    return run


def _store_one_by_one(trial: Trial) -> Outcome:
    """Each object with a TLS handshake and an association of its own; storescu would mostly time its own start."""
    corpus, endpoint = _mr(trial), trial.server.endpoint
    files = corpora.write(corpus, trial.corpora)
    tls = tls_context(endpoint)
    context = Context(corpus.sop_class, wire.EXPLICIT_LITTLE_ENDIAN)
    for number, path in enumerate(files):
        with probe(endpoint, tls, [context]) as association:
            association.store(0, corpus.sop_class, corpus.instance_uid(number), wire.data_set_of(path.read_bytes()))
    return _stored(files)


def _store_while_queried(trial: Trial) -> Outcome:
    files = corpora.write(_ct(trial), trial.corpora)
    with _queries(trial):
        store_in_parallel(trial.client, files, 4)
    return _stored(files)


@contextmanager
def _queries(trial: Trial) -> Iterator[None]:
    """A findscu ten times a second, whatever the server's speed, so that each server bears the same load."""
    stop = threading.Event()
    failures: list[Exception] = []
    keys = {"QueryRetrieveLevel": "STUDY", "PatientName": "*SON*", "StudyInstanceUID": "", "ModalitiesInStudy": ""}

    def ask() -> None:
        try:
            while not stop.wait(_QUERY_INTERVAL):
                finish(trial.client.find(keys))
        except Exception as error:
            failures.append(error)
            raise

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()
    if failures:
        raise failures[0]


def _series(_: Trial) -> Corpus:
    return corpora.ct(100)


def _fill(choose: Callable[[Trial], Corpus]) -> Callable[[Trial], None]:
    def prepare(trial: Trial) -> None:
        files = corpora.write(choose(trial), trial.corpora)
        for start in range(0, len(files), 20_000):
            store_in_parallel(trial.client, files[start : start + 20_000], 4)

    return prepare


def _series_keys(corpus: Corpus) -> dict[str, str]:
    return {
        "QueryRetrieveLevel": "SERIES",
        "StudyInstanceUID": corpus.study_uid(0),
        "SeriesInstanceUID": corpus.series_uid(0),
    }


def _get_series(trial: Trial) -> Outcome:
    corpus = _series(trial)
    return _get(trial, corpus, corpora.write(corpus, trial.corpora), _GETS)


def _get(trial: Trial, corpus: Corpus, files: tuple[Path, ...], times: int) -> Outcome:
    keys = _series_keys(corpus)
    return _repeated(lambda: trial.relayed.get(keys), files, times)


def _get_series_probed(trial: Trial) -> Outcome:
    """Without getscu's start and stunnel's copying, both of which take as long for each server."""
    corpus, endpoint = _series(trial), trial.server.endpoint
    keys, files = _series_keys(corpus), corpora.write(corpus, trial.corpora)
    contexts = [Context(wire.STUDY_ROOT_GET), Context(corpus.sop_class, wire.EXPLICIT_LITTLE_ENDIAN, serve=True)]
    with probe(endpoint, tls_context(endpoint), contexts) as association:
        return _repeated(lambda: association.get(0, keys), files, _GETS)


def _repeated(retrieve: Callable[[], int], files: tuple[Path, ...], times: int) -> Outcome:
    latencies = []
    for _ in range(times):
        started = time.perf_counter()
        completed = retrieve()
        latencies.append(time.perf_counter() - started)
        if completed != len(files):
            raise RuntimeError(f"{completed} of {len(files)} objects were retrieved")
    outcome = _stored(files)
    return Outcome(outcome.objects * times, outcome.transferred * times, {"retrieval": latencies})


def _studies(trial: Trial) -> Corpus:
    return corpora.studies(trial.sizes.studies)


def _find(trial: Trial) -> Outcome:
    """Single queries, timed one by one; C-ECHO on the same association gives the floor."""
    corpus, count = _studies(trial), trial.sizes.queries
    returned = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "StudyDate": "", "PatientName": ""}
    latencies: dict[str, list[float]] = {"echo": [], "patient-id": [], "infix-name": []}
    endpoint = trial.server.endpoint
    contexts = [Context(wire.VERIFICATION), Context(wire.STUDY_ROOT_FIND)]
    with probe(endpoint, tls_context(endpoint), contexts) as asked:
        for number in range(count):
            target = number * 7919 % corpus.objects
            latencies["echo"].append(asked.echo(0))
            seconds, matches = asked.find(1, returned | {"PatientID": corpus.patient_id(target)})
            if matches != 1:
                raise RuntimeError(f"{matches} answers to a query by PatientID")
            latencies["patient-id"].append(seconds)
            # Few studies have a given family name with its number, at any size of the corpus.
            seconds, _ = asked.find(1, returned | {"PatientName": f"*HANTOM{target // 100}^*"})
            latencies["infix-name"].append(seconds)
    return Outcome(3 * count, 0, latencies)


def _import(trial: Trial) -> Outcome:
    files = corpora.write(_ct(trial), trial.corpora)
    folder = files[0].parent.parent
    command = [*trial.server.import_command, str(folder)]
    variables = environment(nodelay=True) | dict(trial.server.import_environment)
    finish(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    return _stored(files)


def _write_multi_frame(trial: Trial) -> None:
    corpora.write_multi_frame(trial.corpora, trial.sizes.mebibytes)


def _store_multi_frame(trial: Trial) -> Outcome:
    _, path = corpora.write_multi_frame(trial.corpora, trial.sizes.mebibytes)
    store_in_parallel(trial.client, (path,), 1)
    return _stored((path,))


def _fill_multi_frame(trial: Trial) -> None:
    _write_multi_frame(trial)
    _store_multi_frame(trial)


def _get_multi_frame(trial: Trial) -> Outcome:
    corpus, path = corpora.write_multi_frame(trial.corpora, trial.sizes.mebibytes)
    return _get(trial, corpus, (path,), 1)


_STORE = frozenset({Ability.STORE})
_FIND = frozenset({Ability.STORE, Ability.FIND})
_GET = frozenset({Ability.STORE, Ability.GET})
_IMPORT = frozenset({Ability.IMPORT})

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("ct-x1", "C-STORE of CT, 1 client", _STORE, _store(_ct, 1), _write_only(_ct)),
    Scenario("ct-x4", "C-STORE of CT, 4 clients", _STORE, _store(_ct, 4), _write_only(_ct)),
    Scenario("mr-x1", "C-STORE of MR, 1 client", _STORE, _store(_mr, 1), _write_only(_mr)),
    Scenario("mr-x4", "C-STORE of MR, 4 clients", _STORE, _store(_mr, 4), _write_only(_mr)),
    Scenario("mr-association", "C-STORE of MR, an association each", _STORE, _store_one_by_one, _write_only(_mr)),
    Scenario("ct-x4-queried", "C-STORE of CT, 4 clients, 10 queries/s", _FIND, _store_while_queried, _write_only(_ct)),
    Scenario("ct-x1-nagle", "C-STORE of CT, stock storescu", _STORE, _store(_ct, 1), _write_only(_ct), nodelay=False),
    Scenario("mr-x1-nagle", "C-STORE of MR, stock storescu", _STORE, _store(_mr, 1), _write_only(_mr), nodelay=False),
    Scenario("get-series", "C-GET of 100 CT slices", _GET, _get_series, _fill(_series)),
    Scenario("get-series-lean", "C-GET of 100 CT slices, lean client", _GET, _get_series_probed, _fill(_series)),
    Scenario("find", "C-FIND", _FIND, _find, _fill(_studies), at_most=1),
    Scenario("import", "Import of a CT folder", _IMPORT, _import, _write_only(_ct)),
    Scenario(
        "multi-frame-in", "C-STORE of one large object", _STORE, _store_multi_frame, _write_multi_frame, at_most=3
    ),
    Scenario("multi-frame-out", "C-GET of one large object", _GET, _get_multi_frame, _fill_multi_frame, at_most=3),
)
