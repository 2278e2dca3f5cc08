"""The auditor as one runs it: a scope file, the command, its JSON report."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.served import CLI

PATIENCE = 300


@dataclass(frozen=True)
class Assessed:
    """`output`: everything the command printed."""

    status: int
    output: str
    report: dict[str, Any]

    def host(self, address: str) -> dict[str, Any]:
        return next(each for each in self.report["hosts"] if each["address"] == address)

    def service(self, address: str, port: int) -> dict[str, Any]:
        return next(each for each in self.host(address)["services"] if each["port"] == port)

    def counters(self, address: str) -> dict[str, tuple[int, str]]:
        counters = self.host(address)["counters"]
        return {name: (each["value"], each["bound"]) for name, each in counters.items()}

    def kinds(self, address: str) -> set[str]:
        return {each["kind"] for each in self.report["findings"] if each["address"] == address}

    def facts(self, address: str, port: int, kind: str) -> dict[str, Any]:
        observations = self.service(address, port)["observations"]
        return next(each["facts"] for each in observations if each["kind"] == kind)


def scope_text(hosts: Iterable[str], ports: Iterable[int], *, allow: str = "") -> str:
    listed = ", ".join(f'"{host}/32"' for host in hosts)
    return (
        '[organisation]\nname = "Lab"\nauthorised_by = "The lab"\nfrom = 2020-01-01\nuntil = 2099-12-31\n'
        f"[targets]\nnetworks = [{listed}]\nports = {sorted(set(ports))}\n[allow]\n{allow}\n"
    )


def run_assessment(folder: Path, scope: str, options: Sequence[str] = ()) -> Assessed:
    """The command, run to its end."""
    (folder / "scope.toml").write_text(scope)
    report = folder / "report.json"
    command = [*CLI, "assess", "exposure", "--scope", str(folder / "scope.toml"), "--json", str(report), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=folder)
    output = done.stdout + done.stderr
    assert done.returncode in (0, 1), output
    return Assessed(done.returncode, output, json.loads(report.read_text()))
