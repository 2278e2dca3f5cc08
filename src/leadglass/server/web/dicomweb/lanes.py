"""Who makes answers: threads in two lanes, so that what is to be decoded never keeps what lies there from going out."""

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from enum import Enum
from typing import Final

from leadglass.pixels.limits import DecoderLimits

#: Answers that are opened and encrypted at the same time: one a processor. More of them hand the interpreter's lock to
#: each other at every record, and one alone would wait for the disk.
FEWEST_SENDERS: Final = 2
MOST_SENDERS: Final = 4
#: Beyond the workers of the decoders: what is read and sealed open around their work.
_AROUND: Final = 2


class Lane(Enum):
    #: Bytes as they are stored.
    STORED = 0
    #: Bytes that are decoded, transcoded or encoded anew.
    MADE = 1


class Lanes:
    """One executor a lane. For each door one."""

    def __init__(self, decoders: int | None = None) -> None:
        workers = DecoderLimits().workers if decoders is None else decoders
        self._executors: dict[Lane, Executor] = {
            Lane.STORED: ThreadPoolExecutor(_senders(), "dicomweb-send"),
            Lane.MADE: ThreadPoolExecutor(workers + _AROUND, "dicomweb-make"),
        }

    def of(self, lane: Lane) -> Executor:
        return self._executors[lane]


def _senders() -> int:
    return max(FEWEST_SENDERS, min(len(os.sched_getaffinity(0)), MOST_SENDERS))
