"""`leadglass import`."""

import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from leadglass.cli.access import Reach, reach
from leadglass.cli.options import Config, Data, Keys
from leadglass.cli.text import printable
from leadglass.errors import NotAvailable, UsageError

#: Files at once. Each is synced before the next, so that more of them share the disk's time.
WORKERS = 4
BATCH = 16
SHOWN_PROBLEMS = 20
#: A path with what became of it, as `leadglass.archive.importing.Imported` says it in JSON.
Answer = tuple[Path, dict[str, Any]]


@dataclass(slots=True)
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    octets: int = 0
    problems: list[str] = field(default_factory=list)
    no_room: str = ""

    def add(self, path: Path, result: dict[str, Any]) -> None:
        self.outcomes[result["outcome"]] += 1
        self.octets += result["octets"]
        if result["outcome"] in ("refused", "quarantined"):
            self.problems.append(f"{path}: {result['reason']}")
        elif result["outcome"] == "no room":
            self.no_room = result["reason"]

    def refuse(self, path: Path, error: OSError) -> None:
        self.add(path, _unreadable(error))


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH…")],
    data: Data,
    keys: Keys,
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID for objects that name none.")] = "",
    site: Annotated[str, typer.Option(help="The unit that will own the studies.")] = "",
    config: Config = None,
) -> None:
    """Store DICOM files, through a running `serve` or by opening the archive. Exit code 1 if any was refused."""
    report = Report()
    files = dict(_files(paths, report))
    total = sum(files.values())
    with reach(data, keys, config) as way:
        try:
            with _bar() as bar:
                task = bar.add_task("import", total=total, files=len(files))
                for path, result in _import_all(way, list(files), {"issuer": issuer, "site": site}, report):
                    report.add(path, result)
                    bar.advance(task, files[path])
        finally:
            # Also when the archive goes away or somebody stops it: what was stored by then is.
            _tell(report, total)
    if report.no_room:
        raise NotAvailable(
            f"The import stopped: {report.no_room}", "Run it again then; what is there is not stored twice."
        )
    if report.problems:
        sys.exit(1)


class _MeanSpeed(ProgressColumn):
    """Since the start: answers come a batch at a time, and the rate between two of them says nothing."""

    def render(self, task: Task) -> Text:
        speed = task.completed / task.elapsed if task.elapsed else 0
        return Text(f"{decimal(int(speed))}/s", style="progress.data.speed")


def _bar() -> Progress:
    return Progress(
        TextColumn("importing {task.fields[files]} files"),
        BarColumn(),
        DownloadColumn(),
        _MeanSpeed(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _import_all(way: Reach, files: list[Path], params: dict[str, str], report: Report) -> Iterator[Answer]:
    """Ends early once the report says that there is no room."""
    with ThreadPoolExecutor(WORKERS) as workers:
        running: set[Future[list[Answer]]] = set()
        for start in range(0, len(files), BATCH):
            running.add(workers.submit(_import_batch, way, files[start : start + BATCH], params))
            if len(running) >= 2 * WORKERS:
                yield from _finished(running)
            if report.no_room:
                break
        while running:
            yield from _finished(running)


def _finished(running: set[Future[list[Answer]]]) -> Iterator[Answer]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    running -= done
    for future in done:
        yield from future.result()


def _import_batch(way: Reach, batch: list[Path], params: dict[str, str]) -> list[Answer]:
    """The files are opened here, as the user who asked, and handed over as descriptors."""
    opened: list[tuple[Path, int]] = []
    refused: list[Answer] = []
    with ExitStack() as descriptors:
        for path in batch:
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                refused.append((path, _unreadable(error)))
            else:
                descriptors.callback(os.close, descriptor)
                opened.append((path, descriptor))
        with way.connect() as archive:
            results = archive.call("import", params, [descriptor for _, descriptor in opened])
    return refused + [(path, result) for (path, _), result in zip(opened, results, strict=True)]


def _unreadable(error: OSError) -> dict[str, Any]:
    return {"outcome": "refused", "reason": f"It cannot be read: {error.strerror}.", "octets": 0}


def _files(paths: Iterable[Path], report: Report) -> Iterator[tuple[Path, int]]:
    """Files with their sizes, as named, and all regular files below folders in a stable order; links in folders are
    not followed. What cannot be looked at is reported as refused."""
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(
                path, onerror=lambda error: report.refuse(Path(error.filename), error)
            ):
                folders.sort()
                for name in sorted(names):
                    yield from _regular(Path(folder, name), report)
        elif path.is_file():
            yield path, path.stat().st_size
        else:
            raise UsageError(f"{path} is not a file or folder.")


def _regular(path: Path, report: Report) -> Iterator[tuple[Path, int]]:
    try:
        status = path.lstat()
    except OSError as error:
        report.refuse(path, error)
        return
    if stat.S_ISREG(status.st_mode):
        yield path, status.st_size


def _tell(report: Report, total: int) -> None:
    for problem in report.problems[:SHOWN_PROBLEMS]:
        Console(stderr=True, soft_wrap=True).print(f"[red]refused[/] {escape(printable(problem))}", highlight=False)
    if len(report.problems) > SHOWN_PROBLEMS:
        typer.echo(f"… and {len(report.problems) - SHOWN_PROBLEMS} more", err=True)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.most_common())
    typer.echo(f"{counted or 'no files'}; {report.octets} of {total} bytes stored")
    if report.outcomes["kept for review"]:
        typer.echo("See `leadglass review list`.")
