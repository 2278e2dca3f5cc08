"""Whether an object may enter the archive: a bounded parse of its data set, and the UIDs it must have."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leadglass.dicom.reader import DataSetScanner, Scan
from leadglass.dicom.tags import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from leadglass.dicom.uids import TransferSyntax, parse_uid
from leadglass.errors import DataSetError
from leadglass.model import DataSetLimits

#: PS3.3 C.12.1, C.7.2.1 and C.7.3.1: type 1 in every composite object, and what the archive files it under.
_IDENTIFYING: Final[Mapping[int, str]] = {
    SOP_CLASS_UID: "sop-class-uid",
    SOP_INSTANCE_UID: "sop-instance-uid",
    STUDY_INSTANCE_UID: "study-instance-uid",
    SERIES_INSTANCE_UID: "series-instance-uid",
}


class VerdictKind(StrEnum):
    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reasons`, codes without patient data: what was tolerated in accepting it, or why it was rejected: `missing-…` or
    `invalid-…` with one of sop-class-uid, sop-instance-uid, study-instance-uid and series-instance-uid.
    """

    kind: VerdictKind
    reasons: tuple[str, ...]
    scan: Scan


class Inspector:
    """Reads along while an object arrives, and gives a Verdict at its end.

    `wanted` and `wanted_sequences` are the elements that the caller needs in `Verdict.scan`, as for `DataSetScanner`;
    the four identifying UIDs must be among the first.
    """

    def __init__(
        self,
        syntax: TransferSyntax,
        limits: DataSetLimits,
        *,
        wanted: Container[int],
        wanted_sequences: Container[int] = (),
    ) -> None:
        self._scanner = DataSetScanner(syntax, limits, wanted=wanted, wanted_sequences=wanted_sequences)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes. Raises DataSetError as soon as they cannot be a data set within the limits."""
        self._scanner.feed(data)

    def finish(self) -> Verdict:
        """The verdict on what was fed. Raises DataSetError when it is not a whole data set."""
        scan = self._scanner.finish()
        faults = tuple(_faults(scan))
        return Verdict(VerdictKind.REJECT if faults else VerdictKind.ACCEPT, faults or scan.notes, scan)


def _faults(scan: Scan) -> Iterator[str]:
    for tag, name in _IDENTIFYING.items():
        element = scan.elements.get(tag)
        if element is None or not element.value.rstrip(b"\0 "):
            yield f"missing-{name}"
            continue
        try:
            parse_uid(element.value)
        except DataSetError:
            yield f"invalid-{name}"
