"""Whether an object may enter the archive: read along while it arrives, a Verdict at its end."""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final

from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.charset import decode_text, parse_charsets
from leadglass.dicom.encoding import LOCALISED_VRS
from leadglass.dicom.reader import Scan
from leadglass.dicom.tags import (
    PATIENT_ID,
    PATIENT_NAME,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from leadglass.dicom.uids import STORAGE_SOP_CLASSES, TransferSyntax, is_registered, parse_uid
from leadglass.errors import DataSetError
from leadglass.inspection.documents import MIME_TYPE
from leadglass.inspection.examiner import Examiner
from leadglass.inspection.pixels import DESCRIBING, ICON_IMAGE_SEQUENCE
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import Findings, Verdict, VerdictKind, kind_of, tag_text
from leadglass.model import DataSetLimits

__all__ = ["Inspector", "Verdict", "VerdictKind"]

BURNED_IN_ANNOTATION: Final = 0x00280301
#: What announces another character set in a text, PS3.5 6.1.2.5.
_ESC: Final = b"\x1b"
#: PS3.3 C.12.1, C.7.2.1 and C.7.3.1: type 1 in every composite object, and what the archive files it under.
_IDENTIFYING: Final[Mapping[int, tuple[Reason, Reason]]] = {
    SOP_CLASS_UID: (Reason.MISSING_SOP_CLASS, Reason.INVALID_SOP_CLASS),
    SOP_INSTANCE_UID: (Reason.MISSING_SOP_INSTANCE, Reason.INVALID_SOP_INSTANCE),
    STUDY_INSTANCE_UID: (Reason.MISSING_STUDY, Reason.INVALID_STUDY),
    SERIES_INSTANCE_UID: (Reason.MISSING_SERIES, Reason.INVALID_SERIES),
}
#: What inspection itself needs of an object, beside what its caller wants.
NEEDED: Final = frozenset(
    {*_IDENTIFYING, *DESCRIBING, SPECIFIC_CHARACTER_SET, PATIENT_NAME, PATIENT_ID, MIME_TYPE, BURNED_IN_ANNOTATION}
)


class Inspector:
    """Reads along while an object arrives, and gives a Verdict at its end.

    `wanted` and `wanted_sequences` are the elements that the caller needs in `Verdict.scan`, as for `DataSetScanner`.
    `thorough`: as for `Examiner`. `may_disarm`: whether the caller cuts what `leadglass.inspection.disarm` can cut; for
    one that does not, bytes after the data set are an error and a payload in a private element is quarantined, as it
    is without `may_remove`.
    `is_directory`: a DICOMDIR is no object of a study (PS3.10 8.6) and has none of its UIDs. `keep_fragments`: whether
    `Verdict.scan` has to tell where fragments lie. `inflated` is given the bytes of a deflated data set as they are
    inflated, for whoever reads along. Memory stays within a few hundred KiB beside what `wanted` keeps,
    whatever the object declares. To be used by one thread at a time.
    """

    def __init__(
        self,
        syntax: TransferSyntax,
        limits: DataSetLimits,
        *,
        wanted: Set[int],
        wanted_sequences: Set[int] = frozenset(),
        thorough: bool = False,
        may_disarm: bool = False,
        may_remove: bool = True,
        is_directory: bool = False,
        keep_fragments: bool = True,
        inflated: Callable[[memoryview], None] | None = None,
    ) -> None:
        self._is_directory = is_directory
        self.findings = Findings()
        self._examiner = Examiner(
            syntax,
            limits,
            self.findings,
            wanted=frozenset(wanted | NEEDED),
            wanted_sequences=frozenset(wanted_sequences | {ICON_IMAGE_SEQUENCE}),
            thorough=thorough,
            may_disarm=may_disarm,
            may_remove=may_remove,
            is_directory=is_directory,
            keep_fragments=keep_fragments,
            inflated=inflated,
        )

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes. Raises DataSetError as soon as they cannot be a data set within the limits."""
        self._examiner.feed(data)

    @property
    def data_length(self) -> int:
        """Bytes of the data set, without what follows its last element (inflated where it was deflated)."""
        return self._examiner.data_length

    def finish(self) -> Verdict:
        """The verdict on what was fed. Raises DataSetError when it is not a whole data set."""
        scan = self._examiner.finish()
        for reason in () if self._is_directory else _faults(scan):
            self.findings.add(reason)
        self._check_document(scan)
        self._check_kept(scan)
        return verdict_of(self.findings, scan)

    def _check_document(self, scan: Scan) -> None:
        if self._examiner.document is None:
            return
        kept = {tag: scan.elements[tag] for tag in (SOP_CLASS_UID, MIME_TYPE) if tag in scan.elements}
        texts = decode_elements(kept, scan.little_endian)
        self._examiner.document.compare(texts.get(SOP_CLASS_UID, ""), texts.get(MIME_TYPE, ""))

    def _check_kept(self, scan: Scan) -> None:
        element = scan.elements.get(BURNED_IN_ANNOTATION)
        if element is not None and element.value.startswith(b"YES"):
            self.findings.add(Reason.BURNED_IN, element.offset, tag_text(BURNED_IN_ANNOTATION))
        self._check_characters(scan)

    def _check_characters(self, scan: Scan) -> None:
        foreign = [
            each
            for each in scan.elements.values()
            if each.vr in LOCALISED_VRS and (not each.value.isascii() or _ESC in each.value)
        ]
        if not foreign:
            return
        charset = scan.elements.get(SPECIFIC_CHARACTER_SET)
        charsets = parse_charsets(charset.value.decode("ascii", "replace")) if charset is not None else ()
        for element in foreign:
            if not charsets or "\N{REPLACEMENT CHARACTER}" in decode_text(element.value, charsets, element.vr):
                self.findings.add(Reason.CHARSET, element.offset, tag_text(element.tag))


def verdict_of(findings: Findings, scan: Scan) -> Verdict:
    counts = tuple((reason.code, count) for reason, count in findings.counts.items())
    return Verdict(kind_of(findings.weight), tuple(findings.codes()), scan, tuple(findings.kept), counts)


def _faults(scan: Scan) -> Iterator[Reason]:
    needed: Mapping[int, tuple[Reason, Reason]] = _IDENTIFYING
    sop_class = scan.elements.get(SOP_CLASS_UID)
    if sop_class is not None and _is_without_patient(sop_class.value):
        yield Reason.NOT_STORABLE
        needed = {tag: _IDENTIFYING[tag] for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID)}
    for tag, (missing, invalid) in needed.items():
        element = scan.elements.get(tag)
        if element is None or not element.value.rstrip(b"\0 "):
            yield missing
            continue
        try:
            parse_uid(element.value)
        except DataSetError:
            yield invalid


def _is_without_patient(value: bytes) -> bool:
    """A class of the standard's that is none of the Storage Service Class: a palette, a protocol, a template."""
    uid = value.rstrip(b"\0 ").decode("ascii", "replace")
    return uid not in STORAGE_SOP_CLASSES and is_registered(uid)
