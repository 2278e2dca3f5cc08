"""What reads along beside the pipeline: rules and virus scanners. They see the bytes, not the structure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from leadglass.inspection.verdict import Findings


class Scan(Protocol):
    """One object's bytes on their way past an engine."""

    def feed(self, data: memoryview) -> None:
        """The next bytes, of which nothing may be kept but a copy."""

    def finish(self) -> None:
        """Adds what was found to the findings. Raises NotAvailable when the engine cannot say."""

    def close(self) -> None:
        """Gives up what the scan holds, finished or not."""


@dataclass(frozen=True, slots=True)
class Engines:
    """How to begin a scan with each engine that is configured."""

    begin: Sequence[Callable[[Findings], Scan]] = ()

    def start(self, findings: Findings) -> "Scans":
        return Scans([each(findings) for each in self.begin])


class Scans:
    """All engines' scans of one object."""

    def __init__(self, scans: list[Scan]) -> None:
        self._scans = scans

    def feed(self, data: memoryview) -> None:
        for scan in self._scans:
            scan.feed(data)

    def finish(self) -> None:
        for scan in self._scans:
            scan.finish()

    def close(self) -> None:
        for scan in self._scans:
            scan.close()
