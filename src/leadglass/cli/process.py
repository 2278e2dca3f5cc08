"""What a process does before it reads a key: no core dumps, no reading of its memory by other processes.

Python cannot wipe memory (docs/threat-model.md); this keeps it from being written out.
"""

import ctypes
import logging
import os
import resource
import sys

import structlog

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """RLIMIT_CORE=0 and PR_SET_DUMPABLE=0; files that are made are the owner's only."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
    os.umask(0o077)


def configure_logging(as_json: bool) -> None:
    """Structured lines on standard error. Tracebacks show no local variables: those hold patient data."""
    shown: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
