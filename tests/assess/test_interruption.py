"""A run that somebody ends: it ends at once, tells what it has seen, and the next one goes on with what it knows."""

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

from tests.lab.assessed import scope_text
from tests.lab.scripted import listening
from tests.served import CLI, TIMEOUT

HOST = "127.0.16.1"


class Tarpit:
    """Says nothing to the first who asks, and hangs up on all others. `knocks`: connections on which nobody asked."""

    def __init__(self) -> None:
        self.knocks = 0
        self.asked = threading.Event()

    def serve(self, connection: socket.socket) -> None:
        asked = bool(connection.recv(4096))
        self.knocks += not asked
        if asked and not self.asked.is_set():
            self.asked.set()
            while connection.recv(4096):
                pass


def _start(folder: Path, port: int, *options: str) -> "subprocess.Popen[str]":
    scope = folder / "scope.toml"
    scope.write_text(scope_text([HOST], [port]))
    command = [*CLI, "assess", "exposure", "--scope", str(scope), "--json", str(folder / "report.json"), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_run_that_is_ended_tells_what_it_saw_and_its_discovery_is_kept(tmp_path: Path) -> None:
    tarpit = Tarpit()
    with listening(HOST, tarpit.serve) as port:
        first = _start(tmp_path, port)
        assert tarpit.asked.wait(TIMEOUT)
        first.send_signal(signal.SIGTERM)
        output, _ = first.communicate(timeout=TIMEOUT)
        assert first.returncode == 4, output
        assert "goes on with what it knows" in output
        report = json.loads((tmp_path / "report.json").read_text())
        assert report["assessment"]["interrupted"] is True
        assert report["unknowns"]
        assert (tmp_path / "scope.toml.state").exists()
        assert tarpit.knocks == 1
        second = _start(tmp_path, port)
        output, _ = second.communicate(timeout=TIMEOUT)
        assert second.returncode == 0, output
        assert tarpit.knocks == 1, "nobody looks again for a door that is known"
    assert not (tmp_path / "scope.toml.state").exists()


def test_a_watch_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with listening(HOST, lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as port:
        watch = _start(tmp_path, port, "--every", "365d")
        assert watch.stdout is not None
        while "signing key" not in watch.stdout.readline():
            assert watch.poll() is None
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(TIMEOUT) == 0
        watch.stdout.close()
