"""The archive looked at from outside, daily: the auditor runs as a process of its own against our own doors, as any
stranger would, and an alarm is raised when anything anonymous succeeds (45 CFR 164.308(a)(8), 164.312(d)).

The process gets two addresses and nothing else: no keys, no data directory, none of our environment.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import structlog

from leadglass.archive.archive import Archive
from leadglass.model import AccessEvent, Outcome

log = structlog.get_logger("self-audit")
#: The first look waits until whoever started us has had time to use the machine.
FIRST_SECONDS = 60.0
MOST_SECONDS = 15 * 60.0
_NO_FINDINGS, _FINDINGS = 0, 1


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look came to: titles of findings, none when all was closed; `failed` says why nothing was learnt."""

    findings: tuple[str, ...] = ()
    failed: str = ""


class SelfAudit:
    """`doors` are (address, port) that we listen on; `every_seconds` between two looks."""

    def __init__(self, archive: Archive, doors: Sequence[tuple[str, int]], every_seconds: float) -> None:
        self._archive = archive
        self._scope = OwnScope.of(doors)
        self._every = every_seconds
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="self-audit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends a look under way."""
        self._closing.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _work(self) -> None:
        wait = min(FIRST_SECONDS, self._every)
        while not self._closing.wait(wait):
            looked = self._look()
            if self._closing.is_set():
                return
            self._record(looked)
            wait = self._every

    def _look(self) -> Looked:
        with tempfile.TemporaryDirectory(prefix="leadglass-self-audit-") as folder:
            scope, report = Path(folder) / "scope.toml", Path(folder) / "report.json"
            scope.write_text(self._scope.toml(datetime.now(UTC)))
            try:
                code = self._run(("--scope", str(scope), "--json", str(report), "--yes-i-own-these"), Path(folder))
                if code in (_NO_FINDINGS, _FINDINGS):
                    return judged(json.loads(report.read_bytes()), self._scope.ports)
            except (OSError, ValueError, LookupError, subprocess.TimeoutExpired) as error:
                return Looked(failed=type(error).__name__)
        return Looked(failed=f"the auditor ended with {code}")

    def _run(self, options: Sequence[str], folder: Path) -> int:
        with self._lock:
            if self._closing.is_set():
                return -1
            process = self._process = subprocess.Popen(
                (sys.executable, "-m", "leadglass.cli", "assess", "exposure", *options),
                cwd=folder,
                env={"PATH": os.defpath},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            return process.wait(MOST_SECONDS)
        finally:
            with self._lock:
                self._process = None
            process.kill()
            process.wait()

    def _record(self, looked: Looked) -> None:
        if looked.findings:
            log.error("ALARM: a stranger gets something from this archive", findings=looked.findings)
        elif looked.failed:
            log.error("the archive could not be looked at from outside", reason=looked.failed)
        else:
            log.info("looked at from outside: closed")
        detail = {"findings": list(looked.findings)} if looked.findings else {"failed": looked.failed}
        self._archive.committer.record(
            AccessEvent(
                action="self-audit",
                outcome=Outcome.FAILED if looked.findings or looked.failed else Outcome.DONE,
                principal="system:self-audit",
                detail={key: value for key, value in detail.items() if value},
            )
        )


def judged(report: dict[str, Any], ports: Sequence[int]) -> Looked:
    """What a report says of doors at these ports. Closed is only what was reached and understood: a look that saw
    nothing has found nothing out."""
    findings = tuple(str(finding["title"]) for finding in report["findings"])
    if findings:
        return Looked(findings)
    reached = {service["port"] for host in report["hosts"] for service in host["services"]}
    missing = sorted(set(ports) - reached)
    if missing:
        return Looked(failed=f"no answer at port {', '.join(map(str, missing))}")
    if report["unknowns"]:
        return Looked(failed="; ".join(sorted({str(each["what"]) for each in report["unknowns"]}))[:500])
    return Looked()


@dataclass(frozen=True, slots=True)
class OwnScope:
    """The scope of a look at our own doors: their addresses and ports, for now."""

    networks: tuple[str, ...]
    public: tuple[str, ...]
    ports: tuple[int, ...]

    @classmethod
    def of(cls, doors: Sequence[tuple[str, int]]) -> "OwnScope":
        addresses = {_reachable(address) for address, _ in doors}
        return cls(
            tuple(sorted(f"{each}/{each.max_prefixlen}" for each in addresses)),
            tuple(sorted(f"{each}/{each.max_prefixlen}" for each in addresses if each.is_global)),
            tuple(sorted({port for _, port in doors})),
        )

    def toml(self, now: datetime) -> str:
        begin, end = now - timedelta(days=1), now + timedelta(days=1)
        lines = (
            "[organisation]",
            'name = "This archive"',
            'authorised_by = "leadglass serve"',
            f"from = {begin:%Y-%m-%d}",
            f"until = {end:%Y-%m-%d}",
            "[targets]",
            f"networks = {json.dumps(self.networks)}",
            f"ports = {json.dumps(self.ports)}",
            "[allow]",
            f"public_networks = {json.dumps(self.public)}",
        )
        return "\n".join(lines) + "\n"


def _reachable(address: str) -> IPv4Address | IPv6Address:
    """Listening on all addresses includes loopback."""
    listened = ip_address(address.partition("%")[0])
    if not listened.is_unspecified:
        return listened
    return ip_address("127.0.0.1" if listened.version == 4 else "::1")
