"""The reserve: below it new objects are refused, so that reads, deletions and events still have room."""

import os
import threading
import time
from pathlib import Path

from leadglass.errors import OutOfResources

DEFAULT_RESERVE = 2 * 1024**3
FRESH_SECONDS = 0.5


class DiskReserve:
    """Looks at the free space of the data directory at most every half second."""

    def __init__(self, directory: Path, reserve: int = DEFAULT_RESERVE) -> None:
        self._directory = directory
        self._reserve = reserve
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._free = 0

    def check(self) -> None:
        """Raises OutOfResources when less than the reserve is free."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= FRESH_SECONDS:
                status = os.statvfs(self._directory)
                self._free = status.f_bavail * status.f_frsize
                self._looked = now
            free = self._free
        if free < self._reserve:
            raise OutOfResources(
                f"Only {free // 1024**2} MiB are free, below the reserve of {self._reserve // 1024**2} MiB.",
                "Free some space or add some; storing goes on by itself then.",
            )
