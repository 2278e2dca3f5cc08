"""What the pool and a worker say to each other over two pipes.

    request   u64 length of the job, u64 length of the frame · the job, pickled · the frame
    reply     u8 outcome (0 done, else a Failure), 3 bytes of nothing, u32 rows, columns, samples, bits of the
              codestream where they were read, u64 length · the result
    greeting  a reply with outcome 0 once the worker is locked down, else 255 with a text

A worker is believed nothing: a reply has a fixed layout and no more than the expected length. The other way a job may
well be pickled: it is unpickled inside the sandbox, from bytes that this program made.
"""

import pickle
from dataclasses import dataclass
from struct import Struct
from typing import Final

from leadglass.pixels.failure import Codestream, Failure

REQUEST: Final = Struct("<QQ")
REPLY: Final = Struct("<BxxxIIIIQ")
DONE: Final = 0
NO_SANDBOX: Final = 255


@dataclass(frozen=True, slots=True)
class Reply:
    """`failure` is None when it was done; `result` holds bytes that nobody else does."""

    failure: Failure | None
    codestream: Codestream
    result: bytes = b""


def encode_request(job: object, frame: memoryview) -> bytes:
    """The start of a request; the frame's bytes follow it."""
    body = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
    return REQUEST.pack(len(body), frame.nbytes) + body


def encode_reply(outcome: int, codestream: Codestream, length: int) -> bytes:
    return REPLY.pack(outcome, codestream.rows, codestream.columns, codestream.samples, codestream.bits, length)
