"""A study as a ZIP with a DICOMDIR (PS3.10 8, PS3.12 V): opened and written as it goes out, kept nowhere.

Names in it are the server's: `DICOM/S0000001/I0000001`, components of at most 8 characters (PS3.10 8.2).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from leadglass.archive.authorise import scope_of
from leadglass.archive.query import STUDY_ROOT, QueryRequest
from leadglass.archive.retrieve import Retrieval, retrieve
from leadglass.archive.zipping import Buffer, zipped
from leadglass.dicom import tags
from leadglass.dicom.dicomdir import Entry, dicomdir
from leadglass.dicom.part10 import encode_file_meta
from leadglass.errors import NotFound
from leadglass.index.rows import InstanceRow
from leadglass.model import AccessEvent, Attributes, Level, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

_DESCRIBED = (
    *(tags.PATIENT_NAME, tags.PATIENT_ID, tags.STUDY_DATE, tags.STUDY_TIME, tags.ACCESSION_NUMBER),
    *(tags.STUDY_DESCRIPTION, tags.STUDY_ID, tags.MODALITY, tags.SERIES_NUMBER, tags.INSTANCE_NUMBER),
    *(tags.CONTENT_DATE, tags.CONTENT_TIME, tags.COMPLETION_FLAG, tags.VERIFICATION_FLAG, tags.CONTENT_LABEL),
    *(tags.PRESENTATION_CREATION_DATE, tags.PRESENTATION_CREATION_TIME, tags.CONTENT_CREATOR_NAME),
)


@dataclass(frozen=True, slots=True)
class Export:
    """`close` it however far `chunks` was taken: that ends the retrieval."""

    objects: int
    chunks: Iterator[bytes]
    close: Callable[[], None]


def export_study(archive: "Archive", principal: Principal, study_uid: str, peer: str) -> Export:
    """Raises NotAuthorised, and NotFound for a study that the principal may not see; while it goes out,
    VerificationFailed. The events that say so are durable when this returns."""
    identifier: Attributes = {tags.QUERY_RETRIEVE_LEVEL: Level.STUDY.value, tags.STUDY_INSTANCE_UID: study_uid}
    retrieval = retrieve(archive, principal, QueryRequest(STUDY_ROOT, identifier, peer=peer))
    try:
        if not retrieval.instances:
            raise NotFound("There is no such study, or it is not for you.")
        described = _described(archive, principal, study_uid)
        for study_id in retrieval.accesses:
            archive.committer.record(_event(principal, study_uid, peer), study_id).result()
        entries = tuple(_entries(retrieval.instances, described))
        directory = dicomdir(entries, f"2.25.{uuid4().int}")
    except BaseException:
        retrieval.__exit__()
        raise
    return Export(len(entries), zipped(_members(retrieval, entries, directory)), retrieval.__exit__)


def _described(archive: "Archive", principal: Principal, study_uid: str) -> Mapping[str, Attributes]:
    """What the index knows about each object, by SOP Instance UID."""
    identifier: dict[int, Any] = {tags.STUDY_INSTANCE_UID: study_uid, **dict.fromkeys(_DESCRIBED, "")}
    known = archive.index.supported(Level.IMAGE)
    asked = {tag: value for tag, value in identifier.items() if tag in known}
    answers = archive.index.find(Level.IMAGE, asked, scope_of(principal), limit=None)
    return {str(answer[tags.SOP_INSTANCE_UID]): answer for answer in answers}


def _entries(instances: tuple[InstanceRow, ...], described: Mapping[str, Attributes]) -> Iterator[Entry]:
    series: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for instance in instances:
        folder = series.setdefault(instance.series_uid, len(series) + 1)
        number = numbers[instance.series_uid] = numbers.get(instance.series_uid, 0) + 1
        texts = {tag: value for tag, value in described.get(instance.uid, {}).items() if isinstance(value, str)}
        yield Entry(
            file_id=("DICOM", f"S{folder:07}", f"I{number:07}"),
            sop_class=instance.sop_class,
            sop_instance=instance.uid,
            transfer_syntax=instance.transfer_syntax,
            attributes=texts
            | {tags.STUDY_INSTANCE_UID: instance.study_uid, tags.SERIES_INSTANCE_UID: instance.series_uid},
        )


def _members(
    retrieval: Retrieval, entries: tuple[Entry, ...], directory: bytes
) -> Iterator[tuple[str, Iterable[Buffer]]]:
    yield "DICOMDIR", (directory,)
    for instance, entry in zip(retrieval.instances, entries, strict=True):
        meta = encode_file_meta(instance.sop_class, instance.uid, instance.transfer_syntax)
        yield "/".join(entry.file_id), chain((meta,), retrieval.open(instance))


def _event(principal: Principal, study_uid: str, peer: str) -> AccessEvent:
    return AccessEvent(
        action="export",
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=study_uid,
        peer=peer,
    )
