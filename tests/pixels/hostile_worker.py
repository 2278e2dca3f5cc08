"""A worker program whose job is an attack: it stands behind the same walls as the real one, and is started only when a
test names it. The frame's text says which attack."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from leadglass.pixels.failure import Codestream
from leadglass.pixels.job import Job
from leadglass.pixels.worker import main

_LIBC = ctypes.CDLL(None, use_errno=True)
#: The call itself, since libc forks through clone; newer machines have only that.
_FORK = {"x86_64": 57}.get(os.uname().machine, 221)
_TGKILL = {"x86_64": 234}.get(os.uname().machine, 131)
_SERVER = os.getppid()
_ESCAPED = Path("/leadglass-escaped")


def _thread() -> None:
    threading.Thread(target=print).start()


def _libc(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "libc")


def _map_code() -> None:

    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def _write_elsewhere() -> None:
    os.write(2, b"x")


def _grow() -> None:
    kept = []
    while True:
        kept.append(bytes(64 * 1024**2))


def _hang() -> None:
    while True:
        pass


def _close_the_answer() -> None:
    os.write(1, b"\0" * 3)
    while True:
        pass


def _lie_about_length() -> None:
    os.write(1, bytes(20) + b"\xff" * 8)


def _lie_about_outcome() -> None:
    os.write(1, b"\x63" + bytes(27))


ATTACKS: dict[str, Callable[[], object]] = {
    "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "read our environment": lambda: os.open("/proc/self/environ", os.O_RDONLY),
    "read the server's memory": lambda: os.open(f"/proc/{_SERVER}/mem", os.O_RDONLY),
    "list processes": lambda: list(Path("/proc").iterdir()),
    "write a file": lambda: os.open(_ESCAPED, os.O_WRONLY | os.O_CREAT),
    "look at a file": Path("/etc/passwd").stat,
    "remove a file": _ESCAPED.unlink,
    "make a folder": _ESCAPED.mkdir,
    "make a pipe": os.pipe,
    "copy a descriptor": lambda: os.dup(0),
    "write to another descriptor": _write_elsewhere,
    "make memory that is a file": lambda: os.memfd_create("escaped"),
    "start a thread": _thread,
    "map code": _map_code,
    "change its limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)),
    "signal the server by thread": lambda: _libc(_LIBC.syscall(_TGKILL, _SERVER, _SERVER, 0)),
    "become another user": lambda: os.setuid(1),
    "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "run a program": lambda: os.execv(sys.executable, [sys.executable]),  # noqa: S606
    "fork": lambda: _libc(_LIBC.syscall(_FORK)),
    "fork through clone": os.fork,
    "trace the server": lambda: _libc(_LIBC.ptrace(16, _SERVER, 0, 0)),
    "read another process's memory": lambda: _libc(_LIBC.process_vm_readv(_SERVER, 0, 0, 0, 0, 0)),
    "signal the server": lambda: os.kill(_SERVER, signal.SIGTERM),
    "leave its namespaces": lambda: _libc(_LIBC.unshare(0x10000000)),
    "crash": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "grow": _grow,
    "hang": _hang,
    "answer in part": _close_the_answer,
    "lie about the length": _lie_about_length,
    "lie about the outcome": _lie_about_outcome,
    "nothing": lambda: None,
    "tell its number": lambda: str(os.getpid()),
}


def attack(job: Job, frame: memoryview) -> tuple[Codestream, bytes]:
    """Answers with what the attack came to: "allowed", what it found, or the name of the error."""
    try:
        found = ATTACKS[bytes(frame).rstrip(b"\0").decode()]()
    except (OSError, RuntimeError, ValueError) as error:
        return Codestream(), type(error).__name__.encode()
    return Codestream(), (found if isinstance(found, str) else "allowed").encode()


if __name__ == "__main__":
    sys.exit(main(attack))
