"""Why pixels did not become what was asked."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class Failure(IntEnum):
    """The first five are a decoder's own word; the others are what was seen of a worker that gave none.

    The numbers are those of the worker's replies.
    """

    BROKEN = 1
    MISMATCH = 2
    TOO_LARGE = 3
    UNSUPPORTED = 4
    MEMORY = 5
    CRASHED = 6
    TIMED_OUT = 7
    #: A system call that no decoder makes: the worker was killed by the kernel for it.
    ESCAPING = 8
    #: The worker's answer was not one.
    NONSENSE = 9

    @property
    def hostile(self) -> bool:
        """Whether the decoder came to grief over it, rather than refusing it: a finding about the object."""
        return self >= Failure.MEMORY


MESSAGES: Final = {
    Failure.BROKEN: "The pixel data cannot be decoded: it is damaged or not what its transfer syntax says.",
    Failure.MISMATCH: "The pixel data is not of the size or depth that the object declares.",
    Failure.TOO_LARGE: "The image is larger than the limit for decoding.",
    Failure.UNSUPPORTED: "No decoder here reads this transfer syntax or kind of pixels.",
    Failure.MEMORY: "Decoding took more memory than the limit.",
    Failure.CRASHED: "The decoder crashed on this pixel data.",
    Failure.TIMED_OUT: "Decoding took longer than the limit.",
    Failure.ESCAPING: "The decoder was stopped: it tried what no decoder does.",
    Failure.NONSENSE: "The decoder's answer makes no sense.",
}


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a frame's own header says, zeros where it was not read or has none."""

    rows: int = 0
    columns: int = 0
    samples: int = 0
    bits: int = 0


class CannotDecode(Exception):
    """A decoder's own word on a frame, inside the worker. `codestream`: what the frame's header says."""

    def __init__(self, failure: Failure, codestream: Codestream | None = None) -> None:
        super().__init__(failure.name)
        self.failure = failure
        self.codestream = codestream or Codestream()
