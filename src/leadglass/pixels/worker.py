"""The program of a worker process: it imports what it needs, locks itself down, and then does one job after another.

`serve` takes the function that does a job, so that the tests can put a hostile one inside the same walls.
"""

import io
import json
import pickle
import sys
from collections.abc import Callable
from typing import Any, Final

from leadglass.pixels.failure import CannotDecode, Codestream, Failure
from leadglass.pixels.limits import DecoderLimits
from leadglass.pixels.sandbox import SandboxUnavailable, lock_down
from leadglass.pixels.wire import DONE, NO_SANDBOX, REQUEST, encode_reply

#: Does a job with a frame. Raises CannotDecode, MemoryError.
Perform = Callable[[Any, memoryview], "tuple[Codestream, bytes | bytearray | memoryview]"]

_MEMORY_STATUS: Final = 3


def serve(perform: Perform, limits: DecoderLimits) -> int:
    """Works until standard input ends. Returns the exit status."""
    requests = io.FileIO(0, "rb", closefd=False)
    replies = io.FileIO(1, "wb", closefd=False)
    try:
        lock_down(limits)
    except SandboxUnavailable as error:
        text = str(error).encode()
        _write(replies, encode_reply(NO_SANDBOX, Codestream(), len(text)), text)
        return 1
    _write(replies, encode_reply(DONE, Codestream(), 0))
    while True:
        header = _read(requests, REQUEST.size)
        if header is None:
            return 0
        job_length, frame_length = REQUEST.unpack(header)
        try:
            status = _one(perform, requests, replies, job_length, frame_length)
        except MemoryError:
            # What is free now is in pieces, and nobody knows whose state is whole: this worker's life is over.
            _write(replies, encode_reply(Failure.MEMORY, Codestream(), 0))
            return _MEMORY_STATUS
        if status is not None:
            return status


def _one(perform: Perform, requests: io.FileIO, replies: io.FileIO, job_length: int, frame_length: int) -> int | None:
    body = _read(requests, job_length)
    frame = _read(requests, frame_length)
    if body is None or frame is None:
        return 0
    try:
        codestream, result = perform(pickle.loads(body), memoryview(frame))  # noqa: S301
    except CannotDecode as error:
        _write(replies, encode_reply(error.failure, error.codestream, 0))
        return None
    with memoryview(result).cast("B") as view:
        _write(replies, encode_reply(DONE, codestream, view.nbytes), view)
    return None


def _read(stream: io.FileIO, length: int) -> bytearray | None:
    """Exactly `length` bytes; None when the pool has gone away."""
    data = bytearray(length)
    with memoryview(data) as view:
        at = 0
        while at < length:
            got = stream.readinto(view[at:])
            if not got:
                return None
            at += got
    return data


def _write(stream: io.FileIO, *parts: bytes | memoryview) -> None:
    for part in parts:
        with memoryview(part) as view:
            at = 0
            while at < view.nbytes:
                at += stream.write(view[at:])


def main(perform: Perform) -> int:
    """`perform` behind the walls, within the limits that the pool gives as the last argument."""
    return serve(perform, DecoderLimits(**json.loads(sys.argv[-1])))


if __name__ == "__main__":
    from leadglass.pixels.perform import perform, warm_up

    warm_up()
    sys.exit(main(perform))
