"""What must happen now and then whether or not anybody calls."""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("housekeeping")
EVERY_SECONDS = 5.0


class Housekeeping:
    """Runs small chores in one thread until closed. Started by `start`: short-lived openers have no need of it."""

    def __init__(self, chores: tuple[Callable[[], None], ...]) -> None:
        self._chores = chores
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="housekeeping", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while not self._closing.wait(EVERY_SECONDS):
            for chore in self._chores:
                self._do(chore)

    def _do(self, chore: Callable[[], None]) -> None:
        """A chore that fails, as on a full disk, is tried again next time; the others go on."""
        try:
            chore()
        except Exception as error:  # noqa: BLE001 - on record here, and its text may hold data
            log.error("a chore failed", chore=chore.__qualname__, kind=type(error).__name__)
