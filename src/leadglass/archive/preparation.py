"""Metadata of series that have come to rest are prepared before anybody asks for them (ADR 6): building those of 600
slices takes a third of a second, which is no wait for whoever opens them first."""

import time
from typing import TYPE_CHECKING, Final

import structlog

from leadglass.archive.metadata import FORM, WORTH_PREPARING, prepare
from leadglass.errors import LeadglassError

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

log = structlog.get_logger("archive")
#: Looks in a row at which a series has the same generation before it counts as at rest. Scanners send for minutes, and
#: what is prepared too early is prepared twice.
LOOKS: Final = 4
#: The newest series, which are looked at: whoever asks for others makes what is missing.
NEWEST: Final = 256
#: Seconds after which the next series waits for the next look, so that other chores have their turn.
TURN: Final = 1.0


class Preparation:
    """A chore. Nothing leaves the archive by it, so it has no principal and no event. `root`: that of DICOMweb under
    which bulk data are named; while there is none nothing is prepared."""

    def __init__(self, archive: "Archive") -> None:
        self._archive = archive
        self.root = ""
        #: Looks at each series and generation that is not prepared.
        self._looks: dict[tuple[int, int], int] = {}

    def look(self) -> None:
        """Prepares what has come to rest. What cannot be prepared is tried once."""
        if not self.root:
            return
        unprepared = self._archive.index.unprepared(FORM, WORTH_PREPARING, NEWEST)
        waiting = {(row.id, row.generation): row for row in unprepared}
        self._looks = {key: self._looks.get(key, 0) + 1 for key in waiting}
        until = time.monotonic() + TURN
        for key, row in waiting.items():
            if self._looks[key] == LOOKS:
                if time.monotonic() > until:
                    self._looks[key] -= 1
                    continue
                try:
                    prepare(self._archive, row, self.root)
                except LeadglassError as error:
                    # Whoever asks for the series hears of it too, and then it is an event.
                    log.error("metadata could not be prepared", kind=type(error).__name__, error=error.message)
