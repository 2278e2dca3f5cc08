"""Memory that requests share, so that many of them at once take no more than one may."""

import threading

from leadglass.errors import NotAvailable


class Allowance:
    """`most` bytes for all who hold something until their request is whole. Thread-safe. `turn` is for work that takes
    a multiple of what it works on: whoever has it is the only one."""

    def __init__(self, most: int) -> None:
        self.turn = threading.Lock()
        self._most = most
        self._held = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """`size` is negative to give back. Raises NotAvailable, and takes nothing then."""
        with self._lock:
            if size > 0 and self._held + size > self._most:
                raise NotAvailable("Too much is being sent at once.", "Try again, or send application/dicom.")
            self._held += size
