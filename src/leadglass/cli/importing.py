"""`leadglass import`."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from leadglass.cli.access import Reach, reach
from leadglass.cli.options import Config, Data, Keys
from leadglass.errors import UsageError

#: Files at once. Each is synced before the next, so that more of them share the disk's time.
WORKERS = 4
BATCH = 16
SHOWN_PROBLEMS = 20


@dataclass(slots=True)
class Report:
    outcomes: Counter[str] = field(default_factory=Counter)
    octets: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, path: Path, result: dict[str, Any]) -> None:
        self.outcomes[result["outcome"]] += 1
        self.octets += result["octets"]
        if result["outcome"] == "refused":
            self.problems.append(f"{path}: {result['reason']}")


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH…")],
    data: Data,
    keys: Keys,
    issuer: Annotated[str, typer.Option(help="Issuer of Patient ID for objects that name none.")] = "",
    site: Annotated[str, typer.Option(help="The unit that will own the studies.")] = "",
    config: Config = None,
) -> None:
    """Store DICOM files, through a running `serve` or by opening the archive. Exit code 1 if any was refused."""
    files = list(_files(paths))
    sizes = {path: path.stat().st_size for path in files}
    total = sum(sizes.values())
    report = Report()
    columns = (
        TextColumn("importing {task.fields[files]} files"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with reach(data, keys, config) as way, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("import", total=total, files=len(files))
        params = {"issuer": issuer, "site": site}
        for batch, results in _import_all(way, files, params):
            for path, result in zip(batch, results, strict=True):
                report.add(path, result)
            bar.advance(task, sum(sizes[path] for path in batch))
    _tell(report, total)
    if report.problems:
        sys.exit(1)


def _import_all(
    way: Reach, files: list[Path], params: dict[str, str]
) -> Iterator[tuple[list[Path], list[dict[str, Any]]]]:
    batches = iter([files[start : start + BATCH] for start in range(0, len(files), BATCH)])
    with ThreadPoolExecutor(WORKERS) as workers:
        running: dict[Future[list[dict[str, Any]]], list[Path]] = {}
        for batch in batches:
            running[workers.submit(_import_batch, way, batch, params)] = batch
            if len(running) >= 2 * WORKERS:
                yield from _finished(running)
        while running:
            yield from _finished(running)


def _finished(
    running: dict[Future[list[dict[str, Any]]], list[Path]],
) -> Iterator[tuple[list[Path], list[dict[str, Any]]]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _import_batch(way: Reach, batch: list[Path], params: dict[str, str]) -> list[dict[str, Any]]:
    """The files are opened here, as the user who asked, and handed over as descriptors."""
    descriptors = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in batch]
    try:
        with way.connect() as archive:
            results: list[dict[str, Any]] = archive.call("import", params, descriptors)
            return results
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as named, and all regular files below folders in a stable order; links in folders are not followed."""
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                for name in sorted(names):
                    file = Path(folder, name)
                    if file.is_file() and not file.is_symlink():
                        yield file
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{path} is not a file or folder.")


def _tell(report: Report, total: int) -> None:
    for problem in report.problems[:SHOWN_PROBLEMS]:
        Console(stderr=True, soft_wrap=True).print(f"[red]refused[/] {escape(problem)}", highlight=False)
    if len(report.problems) > SHOWN_PROBLEMS:
        typer.echo(f"… and {len(report.problems) - SHOWN_PROBLEMS} more", err=True)
    counted = ", ".join(f"{count} {outcome}" for outcome, count in report.outcomes.most_common())
    typer.echo(f"{counted or 'no files'}; {report.octets} of {total} bytes stored")
    if report.outcomes["kept for review"]:
        typer.echo("See `leadglass review list`.")
