"""What `leadglass inspect` does: files outside the archive, looked at as those that arrive at it are."""

import multiprocessing
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from leadglass.cli.process import harden
from leadglass.cli.text import printable
from leadglass.errors import NotAvailable, UsageError
from leadglass.inspection.batch import Settings, inspect_all, options_of
from leadglass.inspection.clamav import Clamd
from leadglass.inspection.media import Subject, subjects
from leadglass.inspection.reasons import BY_CODE, Weight
from leadglass.inspection.reporting import (
    CsvWriter,
    SarifLog,
    has_findings,
    is_finding,
    read_json_lines,
    record_of,
    write_json_line,
)

_SHOWN = 20
_ITEM = re.compile(r"\[\d+\]")


@dataclass(slots=True)
class Tally:
    """What a run comes to. `identifiers`: numbers found, by element."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    identifiers: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    files: int = 0
    octets: int = 0
    found: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        self.files += 1
        self.octets += record.get("octets", 0)
        counts: Mapping[str, int] = record["counts"]
        is_other = record["verdict"] == "reject" and not has_findings(record)
        self.verdicts["not DICOM" if is_other else record["verdict"]] += 1
        self.reasons.update(code for code in counts if code in BY_CODE)
        for each in record["findings"]:
            if each["reason"].startswith("ssn-"):
                self.identifiers[f"{_ITEM.sub('', each.get('element', ''))} {each['reason']}"] += 1
        if has_findings(record):
            self.found += 1
            self._show(record)

    def _show(self, record: Mapping[str, Any]) -> None:
        if len(self.shown) < _SHOWN:
            heavy = sorted(
                (BY_CODE[code] for code in record["counts"] if code in BY_CODE and is_finding(BY_CODE[code])),
                key=lambda reason: -reason.weight,
            )
            self.shown.append(f"{record['verdict']:10} {record['path']}: {', '.join(each.code for each in heavy)}")


@dataclass(frozen=True, slots=True)
class Reports:
    """Where reports go. `resume`: go on from what `json` holds already."""

    json: Path | None
    csv: Path | None
    sarif: Path | None
    resume: bool


def run(paths: list[Path], settings: Settings, reports: Reports, jobs: int | None) -> bool:
    """Inspect what is there and tell of it. True when nothing was found. Raises UsageError, NotAvailable."""
    if settings.clamd:
        Clamd(settings.clamd).version()
    tally = Tally()
    started = time.monotonic()
    options = options_of(settings)
    before = _read_before(reports.json, options) if reports.resume and reports.json is not None else {}
    found = list(subjects(paths))
    known = {each: _known(each, before) for each in found}
    with ExitStack() as stack:
        outputs = _Outputs(stack, reports)
        for record in chain.from_iterable(known.values()):
            tally.add(record)
            outputs.add_again(record)
        left = [each for each, records in known.items() if not records]
        try:
            _inspect(left, settings, options, jobs or os.cpu_count() or 1, tally, outputs)
            outputs.is_complete = True
        except BrokenExecutor:
            raise NotAvailable(
                "A worker process died.", "Run it again with --json and --resume, and --jobs 1."
            ) from None
        finally:
            _tell(tally, time.monotonic() - started, complete=outputs.is_complete)
    return not tally.found


def _inspect(
    left: list[Subject], settings: Settings, options: str, jobs: int, tally: Tally, outputs: "_Outputs"
) -> None:
    with _bar() as bar, _executor(min(jobs, len(left) or 1)) as executor:
        task = bar.add_task("inspect", total=len(left), octets="0 bytes", rate="", found=0)
        began = time.monotonic()
        for results in inspect_all(iter(left), settings, executor, at_once=2 * jobs):
            for inspected in results:
                record = record_of(inspected, options)
                tally.add(record)
                outputs.add(record)
            rate = decimal(int(tally.octets / max(time.monotonic() - began, 0.001)))
            done = len({each.path.partition("!")[0] for each in results})
            bar.update(task, advance=done, octets=decimal(tally.octets), rate=f"{rate}/s", found=tally.found)


def _executor(jobs: int) -> Executor:
    # Spawned: a forked copy of a process with threads may hold a lock that nobody releases.
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), harden)


class _Outputs:
    """The files that were asked for. JSON lines are written as they come, so that a run can go on from them."""

    def __init__(self, stack: ExitStack, reports: Reports) -> None:
        self.is_complete = False
        mode = "a" if reports.resume else "w"
        self._json = stack.enter_context(_opened(reports.json, mode)) if reports.json else None
        self._csv = CsvWriter(stack.enter_context(_opened(reports.csv, "w"))) if reports.csv else None
        self._sarif = SarifLog() if reports.sarif else None
        if reports.sarif:
            stack.callback(self._write_sarif, stack.enter_context(_opened(reports.sarif, "w")))

    def add(self, record: Mapping[str, Any]) -> None:
        if self._json is not None:
            write_json_line(self._json, record)
        self.add_again(record)

    def add_again(self, record: Mapping[str, Any]) -> None:
        """A record that an earlier run wrote."""
        if self._csv is not None:
            self._csv.add(record)
        if self._sarif is not None:
            self._sarif.add(record)

    def _write_sarif(self, file: TextIO) -> None:
        if self._sarif is not None:
            self._sarif.write(file, complete=self.is_complete)


def _opened(path: Path, mode: str) -> TextIO:
    try:
        return path.open(mode, encoding="utf-8", newline="")  # type: ignore[return-value]
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _read_before(path: Path, options: str) -> dict[str, list[dict[str, Any]]]:
    """What an earlier run has written, by file. Raises UsageError when its options were others."""
    before: dict[str, list[dict[str, Any]]] = {}
    if not path.is_file():
        return before
    _drop_cut_line(path)
    with path.open(encoding="utf-8") as lines:
        for record in read_json_lines(lines):
            if record.get("options") != options:
                raise UsageError(
                    f"{path} was written with other options: {record.get('options', 'unknown')}; these are {options}.",
                    "Give the same options, or a --json of their own.",
                )
            before.setdefault(record["path"].partition("!")[0], []).append(record)
    return before


def _drop_cut_line(path: Path) -> None:
    """A last line that a crash cut short, which the next one would continue."""
    with path.open("r+b") as file:
        file.truncate(sum(len(line) for line in file if line.endswith(b"\n")))


def _known(subject: Subject, before: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What was written of the file as it is now."""
    now = (subject.size, subject.modified)
    return [each for each in before.get(str(subject.path), ()) if (each["size"], each["modified"]) == now]


def _bar() -> Progress:
    return Progress(
        TextColumn("inspecting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[octets]}, {task.fields[rate]}, [bold]{task.fields[found]}[/] with findings"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _tell(tally: Tally, seconds: float, *, complete: bool) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for line in tally.shown:
        console.print(escape(printable(line)))
    if tally.found > len(tally.shown):
        console.print(f"… and {tally.found - len(tally.shown)} more")
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in tally.verdicts.most_common())
    rate = decimal(int(tally.octets / max(seconds, 0.001)))
    console.print(f"{tally.files} files, {decimal(tally.octets)} ({rate}/s): {verdicts or 'none'}")
    for line in _by_weight(tally):
        console.print(line)
    for element, count in tally.identifiers.most_common(_SHOWN):
        console.print(f"  {escape(printable(element))}: {count}")
    if not complete:
        console.print("The run did not reach its end; --resume goes on from what --json holds.")


def _by_weight(tally: Tally) -> Iterator[str]:
    for weight in sorted(Weight, reverse=True):
        codes = [f"{code} {count}" for code, count in tally.reasons.most_common() if BY_CODE[code].weight is weight]
        if codes:
            yield f"  {weight.name.lower()}: {', '.join(codes)}"
