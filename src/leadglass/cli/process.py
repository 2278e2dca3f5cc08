"""What a process does before it reads a key: no core dumps, no reading of its memory by other processes.

Python cannot wipe memory (docs/threat-model.md); this keeps it from being written out.
"""

import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """RLIMIT_CORE=0 and PR_SET_DUMPABLE=0; files that are made are the owner's only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    os.umask(0o077)
