"""What a process does before it reads a key: no core dumps, no reading of its memory by other processes.

Python cannot wipe memory (docs/threat-model.md); this keeps it from being written out. And what one that serves does
before it starts a thread.
"""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4
#: mallopt(3), from malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Bytes at the end of each of the few heaps that stay with the process, and of buffers that come from a heap at all.
_KEPT = 8 * 1024 * 1024
_FROM_HEAP = 4 * 1024 * 1024
_HEAPS = 4


def harden() -> None:
    """RLIMIT_CORE=0 and PR_SET_DUMPABLE=0; files that are made are the owner's only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    os.umask(0o077)


def keep_buffers() -> None:
    """Buffers of an object go from thread to thread; by default the allocator gives each back to the system when it is
    freed and has its pages made and zeroed anew for the next one, which is a third of what sending an object costs."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library than GNU's, which does as it does
        return
    mallopt(_M_ARENA_MAX, _HEAPS)
    mallopt(_M_MMAP_THRESHOLD, _FROM_HEAP)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
