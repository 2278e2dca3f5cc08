"""The pool's side of one worker process: started, asked, and killed when it does not answer as it should."""

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import IO, Final

from leadglass.errors import NotAvailable
from leadglass.pixels.failure import Codestream, Failure
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.wire import DONE, NO_SANDBOX, REPLY, Reply, encode_request

_PIPE_BYTES: Final = 1024 * 1024
_LONGEST_TEXT: Final = 200
#: A process whose pipe has closed is all but gone; the kernel still takes its memory down.
_DYING_SECONDS: Final = 5.0

_NO_SANDBOX: Final = "Images cannot be decoded in a sandbox here."
REMEDY: Final = (
    "Decoding needs Linux 5.13 or newer with Landlock enabled (`landlock` in /sys/kernel/security/lsm), seccomp, and "
    "the library libseccomp 2 (Debian: apt install libseccomp2); in a container or unit no filter may forbid the "
    "system calls landlock_create_ruleset, landlock_restrict_self, seccomp and prctl. "
    "Then restart. Images still go out as they are stored."
)


class SandboxMissing(NotAvailable):
    """No sandbox, no decoding."""


class WorkerFailed(Exception):
    """The worker is of no further use; `failure` says what was seen of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class WorkerProcess:
    """One process, used by one thread at a time. `program`: the interpreter's words for what runs inside."""

    def __init__(self, program: tuple[str, ...], limits: DecoderLimits) -> None:
        """Returns once the worker is locked down. Raises SandboxMissing, NotAvailable."""
        self.jobs = 0
        self.seconds = 0.0
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", *program, json.dumps(asdict(limits))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Nothing of ours is told to it; numerical libraries would start threads before the doors close.
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                cwd="/",
                bufsize=0,
                # A terminal's Ctrl-C is for the server, which ends its workers itself.
                start_new_session=True,
            )
        except OSError as error:
            raise NotAvailable(f"No decoder can be started: {error.strerror}.", "Free memory and processes.") from None
        self._requests, self._replies = (stream.fileno() for stream in self._streams())
        for descriptor in (self._requests, self._replies):
            os.set_blocking(descriptor, False)
            with contextlib.suppress(PermissionError):  # The user has many pipes already: it is only slower.
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        try:
            self._greet(time.monotonic() + limits.start_seconds)
        except BaseException:
            self.kill()
            raise

    def _greet(self, deadline: float) -> None:
        try:
            outcome, *_, length = REPLY.unpack(self._receive(REPLY.size, deadline))
            if outcome == DONE:
                return
            text = self._receive(min(length, _LONGEST_TEXT), deadline) if outcome == NO_SANDBOX else b""
        except WorkerFailed as failed:
            if failed.failure is Failure.ESCAPING:  # A filter around us kills where others refuse.
                raise SandboxMissing(f"{_NO_SANDBOX} A system call filter forbids it.", REMEDY) from None
            what = "does not start in time" if failed.failure is Failure.TIMED_OUT else "ends at its start"
            remedy = "Run `make install` again: imagecodecs, numpy and Pillow must be importable."
            raise NotAvailable(f"The decoder {what}.", remedy) from None
        raise SandboxMissing(f"{_NO_SANDBOX} {text.decode('ascii', 'replace')}", REMEDY)

    def ask(self, job: object, frame: memoryview, seconds: float, longest: int) -> Reply:
        """The reply, of at most `longest` bytes. Raises WorkerFailed."""
        start = time.monotonic()
        deadline = start + seconds
        try:
            self._send(encode_request(job, frame), frame, deadline)
            outcome, rows, columns, samples, bits, length = REPLY.unpack(self._receive(REPLY.size, deadline))
            codestream = Codestream(rows, columns, samples, bits)
            if outcome == Failure.MEMORY:
                raise WorkerFailed(Failure.MEMORY)
            if outcome != DONE:
                if length or not Failure.BROKEN <= outcome <= Failure.UNSUPPORTED:
                    raise WorkerFailed(Failure.NONSENSE)
                return Reply(Failure(outcome), codestream)
            if length > longest:
                raise WorkerFailed(Failure.NONSENSE)
            return Reply(None, codestream, bytes(self._receive(length, deadline)))
        finally:
            self.jobs += 1
            self.seconds += time.monotonic() - start

    def interrupt(self) -> None:
        """Ends the process under a job of another thread, which notices."""
        self._process.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in self._streams():
            stream.close()

    def _streams(self) -> list[IO[bytes]]:
        return [stream for stream in (self._process.stdin, self._process.stdout) if stream is not None]

    # Bytes. Both pipes have a deadline: whoever sits behind the walls may neither read nor write.

    def _send(self, head: bytes, frame: memoryview, deadline: float) -> None:
        for part in (memoryview(head), frame):
            at = 0
            while at < part.nbytes:
                try:
                    at += os.write(self._requests, part[at : at + _PIPE_BYTES])
                except BlockingIOError:
                    self._wait(self._requests, select.POLLOUT, deadline)
                except BrokenPipeError:
                    raise WorkerFailed(self._cause_of_death()) from None

    def _receive(self, length: int, deadline: float) -> bytearray:
        data = bytearray(length)
        at = 0
        with memoryview(data) as view:
            while at < length:
                try:
                    got = os.readv(self._replies, [view[at:]])
                except BlockingIOError:
                    self._wait(self._replies, select.POLLIN, deadline)
                    continue
                if not got:
                    raise WorkerFailed(self._cause_of_death())
                at += got
        return data

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise WorkerFailed(Failure.TIMED_OUT)

    def _cause_of_death(self) -> Failure:
        try:
            status = self._process.wait(_DYING_SECONDS)
        except subprocess.TimeoutExpired:  # It has closed its pipe and lives.
            return Failure.NONSENSE
        if status == -signal.SIGSYS:
            return Failure.ESCAPING
        return Failure.TIMED_OUT if status == -signal.SIGXCPU else Failure.CRASHED
