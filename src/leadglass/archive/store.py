"""The store verb: sealed while it streams, inspected alongside, durable before it is acknowledged.

Order of writes, each before the next (docs/formats/pack.md has every crash case): sealed bytes → fdatasync of the pack
→ COMMIT of one SQL transaction with instance row and event → success. The pack is synced in the caller's thread, while
the committer works out the transaction's rows.
"""

from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Job
from leadglass.archive.identity import Compare, Placed, Placement, place
from leadglass.archive.incoming import Incoming, Layout, Relation, relate
from leadglass.archive.quarantine import Suspect, hold, is_pardoned
from leadglass.archive.refusals import record_refusal
from leadglass.archive.studykeys import Claim, KeyedClaim
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.compare import ContentDigest, content_digest
from leadglass.dicom.reader import Scan
from leadglass.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import (
    DataSetError,
    IdentityConflict,
    LeadglassError,
    NotAuthorised,
    Quarantined,
    VerificationFailed,
)
from leadglass.index.attributes import INSTANCE_FIELDS, WANTED_SEQUENCES, WANTED_TAGS
from leadglass.index.rows import InstanceRow
from leadglass.inspection.inspector import Inspector, Verdict, VerdictKind
from leadglass.model import AccessEvent, Operation, Outcome, Principal
from leadglass.pack.writer import StoredObject

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: What tells one instance from another; the rest describes patient, study and series, which are mostly known.
OWN_TAGS = frozenset(
    {
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_CLASS_UID,
        tags.SOP_INSTANCE_UID,
        tags.STUDY_INSTANCE_UID,
        tags.SERIES_INSTANCE_UID,
        tags.PATIENT_ID,
        tags.ISSUER_OF_PATIENT_ID,
        *INSTANCE_FIELDS,
    }
)
#: Plain bytes above which a pack is synced before its object is placed.
SYNCED_FIRST = 8 * 1024 * 1024
CHECK_DISK_EVERY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """What a sender says about an object before its data set arrives. `operation` is STORE, IMPORT or, for what a
    steward releases, QUARANTINE; `study` the one that it must belong to, "" for any; `pardoned`: codes of reasons that
    a steward has seen."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    peer: str = ""
    operation: Operation = Operation.STORE
    site: str = ""
    issuer: str = ""
    study: str = ""
    pardoned: frozenset[str] = frozenset()


class StoreSession:
    """One object being received. Use as a context manager: leaving it without `finish` gives everything up. `study` and
    `series` are the UIDs that `finish` found, "" before."""

    def __init__(self, archive: "Archive", principal: Principal, received: Received) -> None:
        authorise(principal, received.operation)
        _check_sop_class(principal, received.sop_class)
        archive.disk.check()
        self._archive = archive
        self._principal = principal
        self._received = received
        self._syntax = _syntax(received.transfer_syntax)
        self._inspector = Inspector(self._syntax, archive.limits, wanted=WANTED_TAGS, wanted_sequences=WANTED_SEQUENCES)
        self._object = archive.packs.begin()
        self._unchecked = 0
        self._settled = False
        self.study = ""
        self.series = ""

    def __enter__(self) -> "StoreSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the object up unless it was finished."""
        if not self._settled:
            self._settled = True
            self._object.abandon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set, exactly as received. Raises DataSetError, OutOfResources."""
        view = memoryview(data)
        self._inspector.feed(view)
        self._object.write(view)
        self._unchecked += len(view)
        if self._unchecked >= CHECK_DISK_EVERY:
            self._unchecked = 0
            self._archive.disk.check()

    def finish(self) -> Placed:
        """Make the object durable and place it in the index.

        Raises DataSetError when it is not a whole data set or not the announced object, Quarantined when inspection
        holds it back (it is then kept apart), IdentityConflict when other pixels are known under its UID (it is then
        kept for comparison), OutOfResources.
        """
        verdict = self._inspector.finish()
        if verdict.kind is VerdictKind.REJECT:
            raise DataSetError(f"The object was rejected: {', '.join(verdict.reasons)}.")
        elements = verdict.scan.elements
        present = {tag: elements[tag] for tag in OWN_TAGS if tag in elements}
        attributes = decode_elements(present, verdict.scan.little_endian)
        self.study, self.series = attributes[tags.STUDY_INSTANCE_UID], attributes[tags.SERIES_INSTANCE_UID]
        self._check_announced(attributes)
        claim = self._claim(attributes)
        if self._is_held_back(verdict, claim):
            raise self._hold(verdict, claim, attributes)
        keyed = self._archive.keyring.acquire(claim)
        try:
            placed = self._place(verdict.scan, attributes, claim, keyed)
        finally:
            self._archive.keyring.release(claim)
        if placed.placement is Placement.REFUSED:
            raise IdentityConflict("Other pixels are stored under this SOP Instance UID.")
        return placed

    def _is_held_back(self, verdict: Verdict, claim: Claim) -> bool:
        if verdict.kind is not VerdictKind.QUARANTINE:
            return False
        if verdict.heavy(VerdictKind.QUARANTINE) <= self._received.pardoned:
            return False
        return not is_pardoned(self._archive, claim.site, self._object.digest)

    def _hold(self, verdict: Verdict, claim: Claim, attributes: dict[int, str]) -> Quarantined:
        suspect = Suspect(
            principal=self._principal,
            peer=self._received.peer,
            site=claim.site,
            issuer=claim.issuer,
            sop_class=self._received.sop_class,
            sop_instance=attributes[tags.SOP_INSTANCE_UID],
            study=claim.study,
            transfer_syntax=self._syntax.uid,
        )
        layout = Layout.of(verdict.scan.header_length, verdict.scan.pixel_data).encode()
        answer = hold(self._archive, suspect, verdict, self._object, layout)
        self._settled = True
        return answer

    def _place(self, scan: Scan, attributes: dict[int, str], claim: Claim, keyed: KeyedClaim) -> Placed:
        stored = self._object.finish(keyed.key, Layout.of(scan.header_length, scan.pixel_data).encode())
        incoming = Incoming(
            principal=self._principal,
            peer=self._received.peer,
            claim=claim,
            keyed=keyed,
            attributes=attributes,
            scan=scan,
            sop_class=self._received.sop_class,
            syntax=self._syntax,
            stored=stored,
        )
        try:
            placed = self._decide(incoming)
        except LeadglassError:
            raise  # rolled back for certain: `close` gives the bytes up
        except Exception:
            # Whether it was committed is unknown; the next start decides by the row (docs/formats/pack.md).
            self._settled = True
            self._object.forsake()
            raise
        self._settled = True
        if placed.keeps_bytes:
            self._object.release()
        else:
            self._object.abandon()
        return placed

    def _decide(self, incoming: Incoming) -> Placed:
        relations: dict[int, Relation] = {}
        salts = self._archive.salts
        new: ContentDigest | None = None
        answer = self._place_while_syncing(
            partial(place, incoming=incoming, relations=relations, salts=salts), incoming
        )
        while not isinstance(answer, Placed):
            new = new or self._digest(incoming.stored, incoming)
            relations |= self._relations(answer, incoming, new)
            answer = self._archive.committer.run(partial(place, incoming=incoming, relations=relations, salts=salts))
        return answer

    def _place_while_syncing(self, job: Job[Placed | Compare], incoming: Incoming) -> Placed | Compare:
        """The committer works out the rows while this thread syncs the pack, and waits for it before it commits.

        A long sync would keep everybody else's transaction waiting: large objects are synced first.
        """
        if incoming.stored.plain_length > SYNCED_FIRST:
            self._object.sync()
            return self._archive.committer.run(job)
        synced: Future[None] = Future()
        answer = self._archive.committer.submit(job, synced)
        try:
            self._object.sync()
        except BaseException as error:
            synced.set_exception(error)
            raise
        synced.set_result(None)
        return answer.result()

    def _relations(self, question: Compare, incoming: Incoming, new: ContentDigest) -> dict[int, Relation]:
        relations = {}
        for row in question.versions:
            syntax = _syntax(row.transfer_syntax)
            try:
                kept = content_digest(self._archive.open(row).chunks(), syntax, self._archive.limits)
            except VerificationFailed as error:
                self._record_damage(row, error)
                raise
            relations[row.id] = relate(kept, syntax, new, incoming.syntax)
        return relations

    def _record_damage(self, row: InstanceRow, error: VerificationFailed) -> None:
        """What an object is compared with turned out to be damaged: that is found by whoever comes upon it."""
        principal = self._principal
        self._archive.committer.record(
            AccessEvent(
                action="verification-failed",
                outcome=Outcome.FAILED,
                principal=principal.label,
                credential=principal.credential,
                person=principal.person,
                study=row.study_uid,
                peer=self._received.peer,
                detail={"instance": row.uid, "reason": error.message},
            ),
            row.study_id,
        )

    def _digest(self, stored: StoredObject, incoming: Incoming) -> ContentDigest:
        reader = self._archive.open_stored(stored, incoming.keyed.key)
        return content_digest(reader.chunks(), self._syntax, self._archive.limits)

    def _check_announced(self, attributes: dict[int, str]) -> None:
        announced = self._received
        # A file's meta information is often left over from before an anonymiser changed its data set, and nobody but
        # the file claims it; what a peer announces is what it takes our success for.
        is_sent = announced.operation is Operation.STORE
        if is_sent and attributes.get(tags.SOP_INSTANCE_UID) != announced.sop_instance:
            raise DataSetError("The data set's SOP Instance UID is not the one announced.")
        if attributes.get(tags.SOP_CLASS_UID) != self._received.sop_class:
            raise _SopClassMismatchError("The data set's SOP Class UID is not the one announced.")
        if announced.study not in ("", self.study):
            raise _OtherStudyError("The object belongs to another study than the request.")

    def _claim(self, attributes: dict[int, str]) -> Claim:
        """Patient = (PatientID, Issuer); an issuer that is not in the object comes from the device or the import."""
        patient_id = attributes.get(tags.PATIENT_ID, "")
        issuer = attributes.get(tags.ISSUER_OF_PATIENT_ID, "") or self._received.issuer or self._principal.issuer
        return Claim(
            study=attributes[tags.STUDY_INSTANCE_UID],
            patient_id=patient_id,
            issuer=issuer if patient_id else "",
            site=self._received.site or self._principal.site,
        )


class _SopClassMismatchError(DataSetError):
    dimse_status = 0xA900  # Data set does not match SOP Class, PS3.4 B.2.3


class _OtherStudyError(DataSetError):
    dimse_status = 0xA901  # of the same range: what was announced does not match, PS3.18 Table I.2-2


def record_refused_store(archive: "Archive", principal: Principal, received: Received, error: LeadglassError) -> None:
    record_refusal(archive.committer, principal, "store", received.peer, error, {"instance": received.sop_instance})


def _check_sop_class(principal: Principal, sop_class: str) -> None:
    if sop_class not in STORAGE_SOP_CLASSES and sop_class not in principal.private_sop_classes:
        raise NotAuthorised("This SOP class is not a storage class that the sender is enrolled for.")


def _syntax(uid: str) -> TransferSyntax:
    syntax = TRANSFER_SYNTAXES.get(uid)
    if syntax is None:
        raise DataSetError("The transfer syntax is not one that the archive keeps.")
    return syntax
