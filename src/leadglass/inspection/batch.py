"""Many files at once, by any executor of `concurrent.futures`' kind: processes here, Dask's or another's elsewhere."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from leadglass.errors import UsageError
from leadglass.inspection.clamav import DEFAULT_LIMIT, Clamd
from leadglass.inspection.decoding import LONGEST_FRAME
from leadglass.inspection.engines import Engines, Scan
from leadglass.inspection.files import FileInspector
from leadglass.inspection.media import Inspected, MediaInspector, Subject
from leadglass.inspection.second import SecondLook
from leadglass.inspection.verdict import Findings
from leadglass.inspection.yara import RuleSet
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.pool import DecoderPool, reading_program

#: A task is this many files or bytes, whichever comes first.
_FILES: Final = 64
_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How files are inspected; goes to each worker. `clamd`: path of its socket, "" for none. `decode`: every frame
    too, in a sandbox. `ocr`: the folder of Tesseract's models, to read the text in a sample of frames there; "" for
    none."""

    rules: bool = True
    extra_rules: tuple[Path, ...] = ()
    clamd: str = ""
    clamd_limit: int = DEFAULT_LIMIT
    decode: bool = False
    ocr: str = ""


def options_of(settings: Settings) -> str:
    """What decides what is found, in a few words: a run goes on only from one that had the same. Raises UsageError."""
    words = ["rules"] if settings.rules else []
    words += [f"rules:{_digest(path)}" for path in settings.extra_rules]
    words += [f"clamd:{settings.clamd_limit}"] if settings.clamd else []
    words += [name for name, chosen in (("decode", settings.decode), ("ocr", bool(settings.ocr))) if chosen]
    return " ".join(words) or "none"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UsageError(f"The rules in {path} cannot be read: {error.strerror}.") from None


def inspect_batch(batch: Sequence[Subject], settings: Settings) -> list[Inspected]:
    """One task of a worker. Raises NotAvailable when an engine that is configured cannot say, or when frames are to be
    decoded and there is no sandbox."""
    readers = _readers(settings.ocr) if settings.ocr else None
    second = SecondLook(_decoders() if settings.decode else None, readers=readers)
    inspector = MediaInspector(FileInspector(engines=engines_of(settings)), second=second)
    return [each for subject in batch for each in inspector.inspect(subject)]


@cache
def engines_of(settings: Settings) -> Engines:
    """Those that are configured. One a process: rules are compiled once. Its scans are objects of their own, so that
    threads may share it."""
    begin: list[Callable[[Findings], Scan]] = []
    if settings.rules:
        begin.append(RuleSet(settings.extra_rules).begin)
    if settings.clamd:
        begin.append(Clamd(settings.clamd, limit=settings.clamd_limit).begin)
    return Engines(tuple(begin))


@cache
def _decoders() -> DecoderPool:
    """One a process, of one worker at a time; it ends with the process, whose pipes it reads."""
    return DecoderPool(DecoderLimits(workers=1, encoded_bytes=LONGEST_FRAME))


@cache
def _readers(folder: str) -> DecoderPool:
    return DecoderPool(DecoderLimits(workers=1), reading_program(folder))


def inspect_all(
    found: Iterator[Subject], settings: Settings, executor: Executor, *, at_once: int
) -> Iterator[list[Inspected]]:
    """Results of each task as it ends. `at_once` tasks are under way, so that millions of files need no memory."""
    running: set[Future[list[Inspected]]] = set()
    for batch in _batches(found):
        running.add(executor.submit(inspect_batch, batch, settings))
        if len(running) >= at_once:
            yield from _finished(running)
    while running:
        yield from _finished(running)


def _finished(running: set[Future[list[Inspected]]]) -> Iterator[list[Inspected]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= done
    for future in done:
        yield future.result()


def _batches(found: Iterator[Subject]) -> Iterator[list[Subject]]:
    batch: list[Subject] = []
    octets = 0
    for subject in found:
        batch.append(subject)
        octets += subject.size
        if len(batch) >= _FILES or octets >= _BYTES:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch
