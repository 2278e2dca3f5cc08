"""What `leadglass assess` does: the question before public networks, the progress bar, the files, the exit code."""

import os
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from leadglass.assess.baseline import Baseline, compare, read_baseline
from leadglass.assess.catalogue import findings_of
from leadglass.assess.exposure import Plan, assess
from leadglass.assess.observation import Assessment, Endpoint
from leadglass.assess.report import terminal
from leadglass.assess.report.model import Report
from leadglass.assess.report.sign import SIDECAR, ReportFormat, sign, token_of
from leadglass.assess.scope import Scope, narrowed, read_scope
from leadglass.assess.verify import verify
from leadglass.assess.watching import Receivers, baseline_of, notice_of, parse_interval, read_receivers, send
from leadglass.crypto.keys import read_private
from leadglass.crypto.signing import SigningKey, VerifyKey
from leadglass.errors import NotAvailable, RefusedForSafety, UsageError

#: Modules of `leadglass.assess.report` by the form that they write; loaded when asked for, since PDF alone is large.
_RENDERERS = {form: f"leadglass.assess.report.{form.value}" for form in ReportFormat}

_INTERRUPTED: Final = "The assessment was interrupted before it was through."
_GO_ON: Final = "Run the same command again: it goes on with what it knows."


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where each form of the report goes, if anywhere."""

    json: Path | None = None
    html: Path | None = None
    pdf: Path | None = None
    sarif: Path | None = None
    csv: Path | None = None

    def paths(self) -> dict[ReportFormat, Path]:
        named = {form: getattr(self, form.value) for form in ReportFormat}
        return {form: path for form, path in named.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Run:
    """`key`: to sign with; one is made for each report if there is none."""

    plan: Plan
    outputs: Outputs
    key: SigningKey | None

    def once(self, baseline: Baseline | None) -> Report:
        """Assesses, and writes what was asked for."""
        with _bar() as bar:
            assessment = assess(self.plan, _Shown(bar))
        key = self.key or SigningKey.generate()
        report = _report(assessment, baseline, key)
        for form, path in self.outputs.paths().items():
            _write(path, form, import_module(_RENDERERS[form]).render(report), key)
        return report


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line."""

    scope: Path
    targets: tuple[str, ...]
    outputs: Outputs
    baseline: Path | None
    owned: bool
    sign_key: Path | None
    state: Path | None
    every: str | None
    watch: Path | None


def run(asked: Asked) -> None:
    """Exit code 1 with findings. NotAvailable when it was interrupted before it had any."""
    interval = parse_interval(asked.every) if asked.every is not None else None
    receivers = read_receivers(asked.watch) if asked.watch is not None else Receivers()
    baseline = read_baseline(asked.baseline) if asked.baseline is not None else None
    key = SigningKey.from_pem(_read_private(asked.sign_key)) if asked.sign_key is not None else None
    # A service manager ends us as somebody at the keyboard does: what was seen by then is kept and told.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report: Report | None = None
    try:
        report = _once(asked, key, baseline, confirmed="")
        _tell(receivers, report, watching=interval is not None)
        while interval is not None and not report.assessment.interrupted:
            _wait_until(report.assessment.begun + interval)
            report = _once(asked, key, baseline_of(report), report.assessment.scope_sha256)
            _tell(receivers, report, watching=True)
    except KeyboardInterrupt:
        if report is None:
            raise NotAvailable(_INTERRUPTED, _GO_ON) from None
    if report.findings:
        sys.exit(1)
    if report.assessment.interrupted:
        raise NotAvailable(_INTERRUPTED, _GO_ON)


def _tell(receivers: Receivers, report: Report, *, watching: bool) -> None:
    terminal.show(report, Console(highlight=False))
    try:
        send(receivers, notice_of(report))
    except NotAvailable as error:
        if not watching:
            raise
        # A receiver that is away must not end the watch; the report says the same.
        typer.echo(str(error), err=True)


def _once(asked: Asked, key: SigningKey | None, baseline: Baseline | None, confirmed: str) -> Report:
    """The scope is read each time: it may have expired, or been changed, since the last. `confirmed`: the SHA-256 of
    the one that was, if any."""
    scope = read_scope(asked.scope, datetime.now(UTC))
    parts = narrowed(scope, asked.targets)
    if scope.is_public and not asked.owned and scope.sha256 != confirmed:
        _confirm(scope)
    beside = asked.scope.with_name(asked.scope.name + ".state")
    kept = asked.state or (beside if os.access(beside.parent, os.W_OK) else None)
    return Run(Plan(scope, parts, kept), asked.outputs, key).once(baseline)


def _wait_until(moment: datetime) -> None:
    """On a condition that nobody sets: a signal ends the wait at once, which a sleep is not bound to do."""
    never = Event()
    while (left := (moment - datetime.now(UTC)).total_seconds()) > 0:
        never.wait(min(left, 3600))


def check(report: Path, key: Path | None) -> None:
    verified = verify(report, VerifyKey.from_pem(_read(key)) if key is not None else None)
    whose = "the key that was given" if verified.pinned else "the key that the report names; compare it"
    typer.echo(f"{verified.format.value}: the signature holds, by {whose}: {verified.fingerprint}")


def _confirm(scope: Scope) -> None:
    """Public addresses are looked at only by whoever says so, in words that are not typed by accident."""
    typer.echo(f"The scope holds public addresses, said to be owned by {scope.organisation}:", err=True)
    for network in scope.public_networks:
        typer.echo(f"  {network}", err=True)
    if not sys.stdin.isatty():
        raise RefusedForSafety(
            "Public networks are not looked at unasked.", "Run it at a terminal, or add --yes-i-own-these."
        )
    if typer.prompt("Type the organisation's name to confirm that it owns them", err=True) != scope.organisation:
        raise RefusedForSafety("That is another name; nothing was looked at.")


def _report(assessment: Assessment, baseline: Baseline | None, key: SigningKey) -> Report:
    findings = findings_of(assessment.hosts)
    changes = compare(baseline, findings, assessment.hosts) if baseline is not None else None
    return Report(assessment, findings, changes, key.public)


def _write(path: Path, form: ReportFormat, content: bytes, key: SigningKey) -> None:
    """Whole or not at all. A report tells where the open doors are: it is its owner's only."""
    if form is ReportFormat.CSV:
        _replace(path.with_name(path.name + SIDECAR), token_of(content, key) + b"\n")
        _replace(path, content)
    else:
        _replace(path, sign(form, content, key))


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None


def _read_private(path: Path) -> bytes:
    if not path.exists():
        raise UsageError(f"{path} is missing.", "Make a key: openssl genpkey -algorithm ed25519 -out FILE")
    return read_private(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[found]} open"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


class _Shown:
    """A run's progress as bars, with the time that is left."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None
        self._open = 0

    def begin_discovery(self, addresses: int) -> None:
        self._task = self._bar.add_task("addresses", total=addresses, found=0)

    def address_done(self, _address: str, open_ports: int) -> None:
        self._open += open_ports
        self._advance()

    def begin_doors(self, doors: int) -> None:
        self._task = self._bar.add_task("doors", total=doors, found=doors)

    def door_done(self, _endpoint: Endpoint) -> None:
        self._advance()

    def _advance(self) -> None:
        if self._task is not None:
            self._bar.update(self._task, advance=1, found=self._open)
