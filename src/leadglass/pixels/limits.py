"""Bounds on what a decoder may be asked for and may use."""

import os
from dataclasses import dataclass, field

_MIB = 1024**2


def _cores() -> int:
    return max(1, len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """`workers`: processes at work at once; one more is kept started. Sizes in bytes, times in seconds."""

    workers: int = field(default_factory=_cores)
    #: One frame as it is stored, and one frame decoded: rows × columns × samples × bytes.
    encoded_bytes: int = 512 * _MIB
    decoded_bytes: int = 512 * _MIB
    #: All frames of an object, decoded.
    object_bytes: int = 64 * 1024 * _MIB
    #: What a worker may allocate beyond what its program takes.
    memory_bytes: int = 3 * 1024 * _MIB
    #: For one job, from its start to the last byte of the answer.
    job_seconds: float = 20.0
    #: For a worker, from its start to the moment in which it is locked down.
    start_seconds: float = 30.0
    #: How long a job may wait for a worker.
    queue_seconds: float = 30.0
    #: A worker is replaced after this much work, so that what a codec leaks is given back.
    worker_jobs: int = 1000
    worker_seconds: float = 300.0
