"""`leadglass` forked from a process in which its modules are loaded: it is up in a tenth of the CPU time.

The forked process runs `main` with the words of a command line as any other does. Tests about the process itself
(its environment, its limits, what starts it) start one anew.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["leadglass.cli.main", "leadglass.cli.serving", "leadglass.cli.credential"])
#: Starting a process looks whether the others have ended; an end can be read once only, by one thread.
_LOCK = threading.Lock()


class Forked:
    """As much of `subprocess.Popen` as the tests use. Standard output is a pipe unless it is a file's name."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        stderr: Path,
        stdout: Path | None = None,
        stdin: Path = Path(os.devnull),
        environment: Mapping[str, str],
    ) -> None:
        reader, writer = _FORKSERVER.Pipe(duplex=False)
        # A daemon ends with the tests when one of them has left it behind.
        self._process = _FORKSERVER.Process(
            target=_main, args=(words, stdin, stdout or writer, stderr, environment), daemon=True
        )
        with _LOCK:
            self._process.start()
        writer.close()
        self.stdout: TextIO = os.fdopen(os.dup(reader.fileno()))
        reader.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        with _LOCK:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("leadglass", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    words: Sequence[str], *, stdin: str, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`, with both outputs captured."""
    with TemporaryDirectory() as folder:
        given, out, err = (Path(folder, name) for name in ("in", "out", "err"))
        given.write_text(stdin)
        process = Forked(words, stdin=given, stdout=out, stderr=err, environment=environment)
        process.stdout.close()
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


def _main(
    words: Sequence[str], stdin: Path, stdout: Path | Connection, stderr: Path, environment: Mapping[str, str]
) -> None:
    _becomes(0, os.open(stdin, os.O_RDONLY))
    sys.stdin = os.fdopen(0)
    _becomes(1, os.dup(stdout.fileno()) if isinstance(stdout, Connection) else _appended(stdout))
    _becomes(2, _appended(stderr))
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["leadglass", *words]
    from leadglass.cli.main import main

    main()


def _appended(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _becomes(number: int, descriptor: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)
