"""Debian's clamd with a signature file of our own: its database is a download, which no test makes."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.served import peer_program

#: What the signature is of.
MARKER = b"LEADGLASS-CLAMAV-TEST"
SIGNATURE = "Leadglass.Test"
STREAM_LIMIT = 1024 * 1024


@contextmanager
def clamd() -> Iterator[Path]:
    """The socket of a clamd that runs until the block ends. Skips where clamd is absent, but never in CI."""
    program = peer_program("clamd")
    # A socket's path is at most 107 bytes long (unix(7)): not below pytest's own folder.
    with TemporaryDirectory(prefix="clamd-") as name:
        folder = Path(name)
        (folder / "own.ndb").write_text(f"{SIGNATURE}:0:*:{MARKER.hex()}\n")
        configuration = folder / "clamd.conf"
        configuration.write_text(
            f"LocalSocket {folder / 'socket'}\nDatabaseDirectory {folder}\nForeground true\n"
            f"StreamMaxLength {STREAM_LIMIT // 1024}K\nLogFile {folder / 'log'}\n"
        )
        command = [program, "-c", str(configuration)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _await_ready(folder, process)
                yield folder / "socket"
            finally:
                process.terminate()


def _await_ready(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """clamd says in its log when it listens and has started its self-check."""
    for _ in range(600):
        log = folder / "log"
        if log.exists() and "Self checking" in log.read_text():
            return
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"clamd ended: {log.read_text() if log.exists() else 'without a word'}")
    raise AssertionError("clamd does not begin to listen")
