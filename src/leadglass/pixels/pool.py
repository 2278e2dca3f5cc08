"""The pool of decoders: the only way from stored pixels to decoded ones.

    pool = DecoderPool(DecoderLimits())
    pixels = pool.decode(description, frame)

Nothing runs until the first job. Any thread may call; as many jobs run at once as there are workers, the others wait.
A worker that crashes, hangs, grows or does what no decoder does is killed and replaced, and the job that did it fails.
"""

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from leadglass.errors import DecodingFailed, NotAvailable
from leadglass.pixels.description import PixelDescription
from leadglass.pixels.difference import PixelDifference
from leadglass.pixels.failure import MESSAGES, Codestream, Failure
from leadglass.pixels.job import Check, Compare, Decode, Job, Read, Render, Transcode
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.process import SandboxMissing, WorkerFailed, WorkerProcess
from leadglass.pixels.rendering import Rendering
from leadglass.pixels.wire import Reply

WORKER: Final = ("-m", "leadglass.pixels.worker")
_READER: Final = ("-m", "leadglass.pixels.ocr")
#: Headers of codestreams and files around decoded pixels of the declared size.
_MARGIN: Final = 64 * 1024


def reading_program(folder: str) -> tuple[str, ...]:
    """What runs in workers that read; `folder` holds Tesseract's models."""
    return (*_READER, folder)


Bytes = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: `failure` is None when the frame decodes; `codestream` what its own header says."""

    failure: Failure | None
    codestream: Codestream


class DecoderPool:
    """See above. `program`: the interpreter's words for what runs behind the walls."""

    def __init__(self, limits: DecoderLimits, program: tuple[str, ...] = WORKER) -> None:
        self._limits = limits
        self._program = program
        self._state = threading.Condition()
        self._idle: list[WorkerProcess] = []
        self._leased: set[WorkerProcess] = set()
        self._starting = 0
        self._preparing = False
        self._closed = False
        self._missing: SandboxMissing | None = None

    def decode(self, description: PixelDescription, frame: Bytes, number: int = 1) -> bytes:
        """Frame `number` (from 1) in native form: little endian, colour by pixel, pixels of 1 bit packed; what it then
        is, `transcoding.native_form` says. Raises DecodingFailed, NotAvailable."""
        return self._done(description, Decode(description.of_frame(number)), frame, description.frame_bytes)

    def render(self, description: PixelDescription, frame: Bytes, rendering: Rendering, number: int = 1) -> bytes:
        """Frame `number` as a JPEG or PNG file. Raises DecodingFailed, NotAvailable."""
        job = Render(description.of_frame(number), rendering)
        return self._done(description, job, frame, self._limits.decoded_bytes)

    def transcode(self, description: PixelDescription, frame: Bytes, transfer_syntax: str) -> bytes:
        """A frame in another transfer syntax, one of `syntaxes.ENCODED`, without further loss; what changes in the data
        set, `transcoding.changes` says. Raises DecodingFailed, NotAvailable."""
        job = Transcode(description.of_frame(1), transfer_syntax)
        return self._done(description, job, frame, 2 * description.frame_bytes)

    def read(self, description: PixelDescription, frame: Bytes, number: int = 1) -> str:
        """The words that stand in frame `number`, one a line; the pool's program must be `reading_program`'s. Raises
        DecodingFailed, NotAvailable."""
        answer = self._done(description, Read(description.of_frame(number)), frame, 0)
        return answer.decode("utf-8", "replace")

    def compare(
        self,
        description: PixelDescription,
        frame: Bytes,
        other: PixelDescription,
        other_frame: Bytes,
        rendering: Rendering,
        number: int = 1,
    ) -> PixelDifference:
        """Where frame `number` of one object differs from that of another, in stored values. Raises DecodingFailed,
        also for frames of two sizes, NotAvailable."""
        job = Compare(description.of_frame(number), other.of_frame(number), len(frame), rendering)
        larger = max(description, other, key=lambda each: each.frame_bytes)
        answer = self._done(larger, job, b"".join((frame, other_frame)), self._limits.decoded_bytes)
        return PixelDifference.decode(answer, description)

    def check(self, description: PixelDescription, frame: Bytes) -> Checked:
        """Whether a frame decodes to what is declared. Raises NotAvailable."""
        try:
            reply = self._reply(description, Check(description.of_frame(1)), frame, 0)
        except WorkerFailed as failed:
            return Checked(failed.failure, Codestream())
        return Checked(reply.failure, reply.codestream)

    def close(self) -> None:
        """Ends the workers; jobs under way and later ones raise NotAvailable."""
        with self._state:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._leased:
                worker.interrupt()
            self._state.notify_all()
        for worker in idle:
            worker.kill()

    def _done(self, description: PixelDescription, job: Job, frame: Bytes, longest: int) -> bytes:
        try:
            reply = self._reply(description, job, frame, longest + _MARGIN)
        except WorkerFailed as failed:
            raise _failed(failed.failure) from None
        if reply.failure is not None:
            raise _failed(reply.failure)
        return reply.result

    def _reply(self, description: PixelDescription, job: Job, frame: Bytes, longest: int) -> Reply:
        """Raises WorkerFailed, NotAvailable."""
        limits = self._limits
        with memoryview(frame).cast("B") as view:
            if (
                view.nbytes > limits.encoded_bytes
                or description.frame_bytes > limits.decoded_bytes
                or description.object_bytes > limits.object_bytes
            ):
                return Reply(Failure.TOO_LARGE, Codestream())
            worker = self._lease()
            try:
                reply = worker.ask(job, view, limits.job_seconds, longest)
            except BaseException:
                self._discard(worker)
                self._check_open()
                raise
        self._return(worker)
        return reply

    # Workers.

    def _lease(self) -> WorkerProcess:
        with self._state:
            if not self._state.wait_for(self._may_lease, self._limits.queue_seconds):
                raise NotAvailable("All decoders are busy.", "Try again.")
            self._check_open()
            if self._missing is not None:
                raise SandboxMissing(self._missing.message, self._missing.remedy)
            worker = self._idle.pop() if self._idle else None
            if worker is not None:
                self._leased.add(worker)
            else:
                self._starting += 1
        if worker is None:
            worker = self._start()
        self._prepare_spare()
        return worker

    def _may_lease(self) -> bool:
        return self._closed or len(self._leased) + self._starting < self._limits.workers

    def _start(self) -> WorkerProcess:
        worker = None
        try:
            worker = WorkerProcess(self._program, self._limits)
        except SandboxMissing as missing:
            self._missing = missing
            raise
        finally:
            with self._state:
                self._starting -= 1
                if worker is not None:
                    self._leased.add(worker)
                self._state.notify()
        return worker

    def _return(self, worker: WorkerProcess) -> None:
        limits = self._limits
        with self._state:
            fresh = worker.jobs < limits.worker_jobs and worker.seconds < limits.worker_seconds
            if fresh and not self._closed:
                self._leased.discard(worker)
                self._idle.append(worker)
                self._state.notify()
                return
        self._discard(worker)

    def _discard(self, worker: WorkerProcess) -> None:
        worker.kill()
        with self._state:
            self._leased.discard(worker)
            self._state.notify()
        self._prepare_spare()

    def _prepare_spare(self) -> None:
        """A worker takes a good part of a second to start: the next one who needs one should not wait for it."""
        with self._state:
            if self._closed or self._idle or self._preparing:
                return
            self._preparing = True
        threading.Thread(target=self._start_spare, name="decoder-spare", daemon=True).start()

    def _start_spare(self) -> None:
        worker = None
        # Whoever needs a worker next starts one itself, and is told why it cannot be had.
        with suppress(NotAvailable):
            worker = WorkerProcess(self._program, self._limits)
        with self._state:
            self._preparing = False
            if worker is not None and not self._closed:
                self._idle.append(worker)
                self._state.notify()
                return
        if worker is not None:
            worker.kill()

    def _check_open(self) -> None:
        if self._closed:
            raise NotAvailable("The decoders are closed: the archive is stopping.")


def _failed(failure: Failure) -> DecodingFailed:
    remedy = "Retrieve it as it is stored, with transfer-syntax=*."
    return DecodingFailed(MESSAGES[failure], remedy, reason=failure.name)
