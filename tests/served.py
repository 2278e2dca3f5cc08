"""A real archive in a real process, driven by its command line as a user would."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]
import pytest

from tests import forked

CLI = (sys.executable, "-m", "leadglass.cli")
TIMEOUT = 60


def peer_program(name: str) -> str:
    """The path of a peer program. Skips where it is absent, but never in CI. Not beside our interpreter, where
    pynetdicom installs programs by the names of dcmtk's."""
    ours = {Path(sys.executable).parent, Path(sys.prefix, "bin")}
    elsewhere = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) not in ours]
    found = shutil.which(name, path=os.pathsep.join(elsewhere))
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed, and CI installs it")
        pytest.skip(f"needs the program {name}")
    return found


class Served:
    """An archive below `folder`; a context manager that serves it on loopback. `port` is that of DICOM over TLS,
    `https_port` that of the web door. With an `environment` of its own its processes are started anew."""

    def __init__(self, folder: Path, *, settings: str = "", environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.keys = folder / "keys"
        self.devices = folder / "devices"
        self.log = folder / "serve.log"
        self.port = 0
        self.https_port = 0
        self.process: subprocess.Popen[str] | forked.Forked | None = None
        self._settings = folder / "leadglass.toml"
        self._settings.write_text(settings)
        self._environment = {**os.environ, **(environment or {})}
        self._is_anew = environment is not None

    def init(self) -> Self:
        self.run("init")
        return self

    def copy(self, folder: Path, *, settings: str = "") -> "Served":
        """The same archive, keys and devices in another folder; it must not be served meanwhile."""
        for name in (self.data.name, self.keys.name, self.devices.name):
            shutil.copytree(self.folder / name, folder / name)
        return Served(folder, settings=settings)

    def run(self, *words: str, status: int = 0, stdin: str = "") -> str:
        """Run a command; returns standard output and checks the exit code."""
        command = [*words, "--data", str(self.data), "--keys", str(self.keys)]
        if self._is_anew:
            done = subprocess.run(
                [*CLI, *command], capture_output=True, text=True, timeout=TIMEOUT, input=stdin, env=self._environment
            )
        else:
            done = forked.run(command, stdin=stdin, environment=self._environment, timeout=TIMEOUT)
        assert done.returncode == status, f"{words} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + (done.stderr if status else "")

    def enrol(self, name: str, *roles: str, aet: str = "", options: Sequence[str] = ()) -> None:
        given = [word for role in roles for word in ("--role", role)]
        self.run("device", "add", name, "--aet", aet or name.upper(), *given, "--out", str(self.devices), *options)

    def start(self) -> Self:
        doors = ("--dimse-port", "0", "--https-port", "0", "--config", str(self._settings))
        command = ["serve", *doors, "--data", str(self.data), "--keys", str(self.keys)]
        if self._is_anew:
            with self.log.open("a") as log:
                self.process = subprocess.Popen(
                    [*CLI, *command], stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment
                )
        else:
            self.process = forked.Forked(command, stderr=self.log, environment=self._environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        ready = re.fullmatch(r"ready dimse-tls=127\.0\.0\.1:(\d+) https=127\.0\.0\.1:(\d+)\n", line)
        assert ready, f"not ready: {line!r}\n{self.log.read_text()}"
        self.port, self.https_port = int(ready[1]), int(ready[2])
        return self

    def pids(self) -> list[int]:
        """The process that commits, then those that receive: forks of it, which have its command line."""
        assert self.process is not None
        first = psutil.Process(self.process.pid)
        return [first.pid, *(child.pid for child in first.children() if child.cmdline() == first.cmdline())]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(TIMEOUT) == 0, self.log.read_text()
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(TIMEOUT)
            self.process = None

    def __enter__(self) -> Self:
        return self if self.process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    def tls_arguments(self, name: str) -> list[str]:
        """dcmtk's options for a device's key, certificate and CA."""
        key, certificate = self.devices / f"{name}.key", self.devices / f"{name}.crt"
        return ["+tls", str(key), str(certificate), "+cf", str(self.devices / "ca.crt")]
