"""The control socket: command-line verbs reach the one process that has the archive open.

Owner-only (0600 in a 0700 directory, and the kernel's word on who is calling, SO_PEERCRED). One request is one line of
JSON with the files it names as descriptors; the answer is lines of `progress`, then one `result` or `error`. The
command line runs the very same table of verbs when no `serve` is running.
"""

import json
import os
import pwd
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from leadglass.archive.archive import Archive
from leadglass.errors import LeadglassError, UsageError
from leadglass.model import Principal
from leadglass.server.control_client import ERRORS, short_path
from leadglass.server.verbs import VERBS, Call

log = structlog.get_logger("control")
MAX_REQUEST = 1024 * 1024
MAX_FILES = 64


def local_principal(uid: int) -> Principal:
    """The operating-system user who calls. No anonymous: a user id without a name goes by its number."""
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return Principal(kind="local", name=name, roles=frozenset(), credential=f"uid:{uid}")


class ControlDoor:
    def __init__(self, archive: Archive, drain_seconds: float) -> None:
        self._archive = archive
        self._drain_seconds = drain_seconds
        self._lock = threading.Lock()
        self._calls: dict[socket.socket, threading.Thread] = {}
        self._path = archive.directory.control
        self._socket = _bind(self._path)
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Take no more requests, and wait for the verbs under way as long as the drain time allows."""
        self._path.unlink(missing_ok=True)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        deadline = time.monotonic() + self._drain_seconds
        with self._lock:
            calls = dict(self._calls)
            for caller in calls:
                with suppress(OSError):  # it has left by itself
                    caller.shutdown(socket.SHUT_RD)  # the answer of its verb may still go out
        for thread in calls.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._call, args=(caller,), name="control-call", daemon=True)
            with self._lock:
                self._calls[caller] = thread
            thread.start()

    def _call(self, caller: socket.socket) -> None:
        try:
            self._serve(caller)
        finally:
            with self._lock:  # nobody shuts down a descriptor that is another's by then
                del self._calls[caller]
                caller.close()

    def _serve(self, caller: socket.socket) -> None:
        uid = _peer_uid(caller)
        if uid not in (os.getuid(), 0):
            return
        try:
            self._answer_all(caller, local_principal(uid))
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning("control call ended", kind=type(error).__name__)

    def _answer_all(self, caller: socket.socket, principal: Principal) -> None:
        for request, files in _requests(caller):
            try:
                answer = _answer(self._archive, principal, request, files, lambda *done: _send(caller, progress=done))
            finally:
                for descriptor in files:
                    os.close(descriptor)
            _send(caller, **answer)


def _answer(
    archive: Archive,
    principal: Principal,
    request: dict[str, Any],
    files: Sequence[int],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    try:
        return {"result": run_verb(archive, principal, request["verb"], request["params"], files, progress)}
    except LeadglassError as error:
        return {"error": _nearest(error), "message": error.message, "remedy": error.remedy}
    except Exception as error:  # noqa: BLE001 - on record here without its text, which may hold data
        kind = type(error).__name__
        log.error("a verb failed by a defect", kind=kind)
        return {"error": LeadglassError.__name__, "message": f"That failed ({kind}).", "remedy": "Report it."}


def run_verb(
    archive: Archive,
    principal: Principal,
    verb: str,
    params: dict[str, Any],
    files: Sequence[int],
    progress: Callable[[int, int], None],
) -> Any:
    """Run a verb of the table. Raises whatever the verb raises, UsageError for one that is unknown."""
    function = VERBS.get(verb)
    if function is None:
        raise UsageError(f"The running archive knows no verb {verb!r}.", "Use the command line of its version.")
    return function(Call(archive, principal, params, tuple(files), progress))


def _nearest(error: LeadglassError) -> str:
    """The name of the error's class in the tree: rooms refine classes, and a client knows those of the tree only."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS)


def _requests(caller: socket.socket) -> Iterator[tuple[dict[str, Any], list[int]]]:
    pending = b""
    files: list[int] = []
    try:
        while True:
            while b"\n" not in pending:
                if len(pending) > MAX_REQUEST:
                    raise ValueError("a request is too long")
                data, received, _, _ = socket.recv_fds(caller, 65_536, MAX_FILES)
                files += received
                if not data:
                    return
                pending += data
            line, _, pending = pending.partition(b"\n")
            request = json.loads(line)
            taken, files = files[: request["files"]], files[request["files"] :]
            yield request, taken
    finally:  # what no request named
        for descriptor in files:
            os.close(descriptor)


def _send(caller: socket.socket, **answer: Any) -> None:
    caller.sendall(json.dumps(answer).encode() + b"\n")


def _peer_uid(caller: socket.socket) -> int:
    credentials = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _bind(path: Path) -> socket.socket:
    # The data directory is locked by us, so a socket that is there is left over from a process that died.
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(path) as short:
        listening.bind(short)
    path.chmod(0o600)
    listening.listen(64)
    return listening
