"""The retrieve verb (PS3.4 C.4.3): find what was asked for, record it, then hand out verified bytes."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from leadglass.archive.access import Access
from leadglass.archive.authorise import authorise, scope_of
from leadglass.archive.committer import Writing
from leadglass.archive.header import stored_elements
from leadglass.archive.query import UNIQUE_KEYS, IdentifierError, QueryRequest, described, level_of
from leadglass.archive.refusals import record_refusal
from leadglass.dicom import tags
from leadglass.dicom.reader import DataSetScanner, Element
from leadglass.dicom.uids import TRANSFER_SYNTAXES
from leadglass.errors import LeadglassError, VerificationFailed
from leadglass.index.matching import is_universal
from leadglass.index.rows import InstanceRow
from leadglass.model import AccessEvent, Attributes, DataSetLimits, Operation, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings
    from leadglass.pack.reader import ObjectReader

__all__ = ["InstanceRow", "Retrieval", "opened", "retrieve"]

#: The event, and the reason of the review, of an instance that a decoder came to grief over.
DECODER_FAILED = "decoder-failed"
_WANTED = frozenset({tags.SOP_INSTANCE_UID})
#: Bytes that are looked at in one go for it; it stands near the beginning.
_STEP = 256


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The instances that a request names and its principal may see, in order of series and instance number. A context
    manager: leaving it ends the retrieval."""

    archive: "Holdings"
    instances: tuple[InstanceRow, ...]
    accesses: dict[int, Access]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.archive.ledger.end(self.accesses.values())

    def open(self, instance: InstanceRow) -> Iterator[bytearray]:
        """The bytes of one instance as they were received, the first of them opened already. Counted as disclosed once
        they are taken: a peer may keep them all and never say so.

        Raises VerificationFailed, at once or while they are read, when a seal does not hold or the sealed object is not
        the instance on record; that is an event of its own.
        """
        with self.watched(instance):
            reader = self.archive.open(instance)
            chunks = reader.chunks()
            first = next(chunks, bytearray())
            if not _names(first, instance, self.archive.limits):
                opened(self.archive, instance)
        return self._counted(instance, first, chunks)

    def count_part(self, instance: InstanceRow, octets: int) -> None:
        """So many bytes of an instance are about to leave."""
        self.archive.ledger.count_part(self.accesses[instance.study_id], instance.id, octets)

    def count_described(self, instance: InstanceRow, octets: int) -> None:
        """The attributes of an instance are about to leave, in so many bytes."""
        self.archive.ledger.count_described(self.accesses[instance.study_id], 1, octets)

    @contextmanager
    def watched(self, instance: InstanceRow) -> Iterator[None]:
        """Around whatever reads an instance: a seal that does not hold is an event of its own."""
        try:
            yield
        except VerificationFailed as error:
            detail = {"instance": instance.uid, "reason": error.message}
            event = self.accesses[instance.study_id].event("verification-failed", detail, Outcome.FAILED)
            self.archive.committer.record(event, instance.study_id)
            raise

    def note_decoder(self, instance: InstanceRow, failure: str) -> None:
        """A decoder crashed, hung or grew over an instance: an event, and a steward is asked about it. Once, until that
        is decided."""
        event = self.accesses[instance.study_id].event(
            DECODER_FAILED, {"instance": instance.uid, "reason": failure}, Outcome.FAILED
        )

        def write(writing: Writing) -> None:
            if not writing.tx.has_open_review(instance.id, DECODER_FAILED):
                writing.tx.add_review(instance.id, DECODER_FAILED)
                writing.record(event, instance.study_id)

        self.archive.committer.run(write)

    def _counted(self, instance: InstanceRow, first: bytearray, rest: Iterator[bytearray]) -> Iterator[bytearray]:
        self.archive.ledger.count(self.accesses[instance.study_id], instance.plain_length)
        yield first
        with self.watched(instance):
            yield from rest


def opened(
    archive: "Holdings",
    instance: InstanceRow,
    wanted: frozenset[int] = frozenset(),
    limits: DataSetLimits | None = None,
) -> tuple["ObjectReader", Mapping[int, Element]]:
    """A reader of an instance, and those of the wanted elements that it has and that `limits` allow to be held. Raises
    VerificationFailed when a seal does not hold or the sealed object is not the instance on record."""
    reader = archive.open(instance)
    syntax = TRANSFER_SYNTAXES[instance.transfer_syntax]
    elements = stored_elements(reader, syntax, limits or archive.limits, wanted | _WANTED)
    if _uid(elements) != instance.uid:
        raise VerificationFailed(
            "A sealed object is not the instance that the index says.", "Run `leadglass fsck --deep`."
        )
    return reader, elements


def _names(first: bytearray, instance: InstanceRow, limits: DataSetLimits) -> bool:
    """Whether the first bytes of a data set say already that it is the instance on record: they nearly always do, and
    then nothing has to be opened twice."""
    scanner = DataSetScanner(TRANSFER_SYNTAXES[instance.transfer_syntax], limits, wanted=_WANTED)
    view = memoryview(first)
    for start in range(0, len(first), _STEP):
        scanner.feed(view[start : start + _STEP])
        if scanner.elements:
            return _uid(scanner.elements) == instance.uid
    return False


def _uid(elements: Mapping[int, Element]) -> str:
    found = elements.get(tags.SOP_INSTANCE_UID)
    return "" if found is None else found.value.rstrip(b"\0 ").decode("ascii", "replace")


def retrieve(archive: "Holdings", principal: Principal, request: QueryRequest) -> Retrieval:
    """Locate what an identifier names; its begin events are durable when this returns.

    Raises NotAuthorised, DataSetError, and IdentifierError when the unique key of the level is missing
    (PS3.4 C.4.3.1.3.1).
    """
    try:
        authorise(principal, Operation.RETRIEVE)
        keys = unique_keys(request)
        rows = tuple(archive.index.locate(keys, scope_of(principal)))
        if keys.keys() == {tags.PATIENT_ID}:
            _require_one_patient(archive, rows)
    except LeadglassError as error:
        record_refusal(archive.committer, principal, "retrieve", request.peer, error)
        raise
    if not rows:
        archive.committer.record(nothing_found(principal, request)).result()
    accesses = {row.study_id: Access.of(principal, row.study_id, row.study_uid, request.peer) for row in rows}
    archive.ledger.begin(accesses.values())
    return Retrieval(archive, rows, accesses)


def nothing_found(principal: Principal, request: QueryRequest) -> AccessEvent:
    """Asking for what is not there, or not for this principal, tells it something too."""
    return AccessEvent(
        action="retrieve",
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        peer=request.peer,
        detail={"instances": 0, "keys": described(request.identifier)},
    )


def _require_one_patient(archive: "Holdings", rows: Iterable[InstanceRow]) -> None:
    """Two patients of one Patient ID never go out as one. Raises IdentifierError."""
    studies = map(archive.index.study, {row.study_id for row in rows})
    if len({study.issuer for study in studies}) > 1:
        raise IdentifierError("Several patients have this Patient ID; name its issuer.")


def unique_keys(request: QueryRequest) -> Attributes:
    """With the issuer of a Patient ID, which is part of it. Raises IdentifierError when the unique key of the level is
    missing (PS3.4 C.4.3.1.3.1)."""
    level = level_of(request.identifier, request.root)
    above = request.root[: request.root.index(level) + 1]
    tags_above = [UNIQUE_KEYS[each] for each in above]
    keys = {tag: request.identifier[tag] for tag in tags_above if request.identifier.get(tag)}
    asked = keys.get(UNIQUE_KEYS[level])
    if not isinstance(asked, str) or any(mark in asked for mark in "*?"):
        raise IdentifierError(f"The unique key of level {level.value} is missing.")
    issuer = request.identifier.get(tags.ISSUER_OF_PATIENT_ID)
    if tags.PATIENT_ID in keys and issuer and not is_universal(issuer):
        keys[tags.ISSUER_OF_PATIENT_ID] = issuer
    return keys
