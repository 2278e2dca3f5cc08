"""The store verb: sealed while it streams, inspected alongside, durable before it is acknowledged.

Order of writes, each before the next (docs/formats/pack.md has every crash case): sealed bytes → fdatasync of the pack
→ COMMIT of one SQL transaction with instance row and event → success. `placing` does the second half, `disarming` what
has to be cut first, `quarantine` what is held back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Writing
from leadglass.archive.disarming import Armed, disarm, is_to_be_disarmed
from leadglass.archive.identity import Placed, Placement
from leadglass.archive.incoming import Incoming, Layout, Sender, described_by
from leadglass.archive.placing import Placing, Then, as_placed, settle, settling
from leadglass.archive.quarantine import Suspect, decide, hold, is_pardoned, seal_original
from leadglass.archive.refusals import record_refusal
from leadglass.archive.reinspection import restore
from leadglass.archive.studykeys import Claim, KeyedClaim
from leadglass.dicom import tags
from leadglass.dicom.attributes import decode_elements
from leadglass.dicom.uids import STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError, IdentityConflict, LeadglassError, NotAuthorised, NotAvailable
from leadglass.index.attributes import INSTANCE_FIELDS, WANTED_SEQUENCES, WANTED_TAGS
from leadglass.inspection.engines import Scans
from leadglass.inspection.inspector import Inspector, Verdict, VerdictKind
from leadglass.inspection.preamble import HeadCheck
from leadglass.model import Operation, Principal
from leadglass.pack.writer import StoredObject

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings

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
CHECK_DISK_EVERY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """What a sender says about an object before its data set arrives. `operation` is STORE, IMPORT or, for what a
    steward releases, QUARANTINE, with `releases`, its number there; `study` the one that it must belong to, "" for any;
    `pardoned`: codes of reasons that a steward has seen."""

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    peer: str = ""
    operation: Operation = Operation.STORE
    site: str = ""
    issuer: str = ""
    study: str = ""
    pardoned: frozenset[str] = frozenset()
    releases: int = 0
    #: What precedes the data set in a file. It is looked at, and not kept.
    head: bytes = field(default=b"", repr=False)


class StoreSession:
    """One object being received. Use as a context manager: leaving it without `finish` gives everything up. `study` and
    `series` are the UIDs that `finish` found, "" before."""

    def __init__(self, archive: "Holdings", principal: Principal, received: Received) -> None:
        authorise(principal, received.operation)
        _check_sop_class(principal, received)
        archive.disk.check()
        self._archive = archive
        self._principal = principal
        self._received = received
        self._syntax = _syntax(received.transfer_syntax)
        self._inspector = Inspector(
            self._syntax,
            archive.limits,
            wanted=WANTED_TAGS,
            wanted_sequences=WANTED_SEQUENCES,
            # Offsets are those of the inflated data set, and nothing can be cut there.
            may_disarm=not self._syntax.deflated,
            may_remove=archive.removes_private,
            inflated=self._scan,
        )
        self._scans = _started(archive, self._inspector)
        self._head = HeadCheck(self._inspector.findings, received.head)
        self._object = archive.packs.begin()
        self._unchecked = 0
        self.study = ""
        self.series = ""

    def __enter__(self) -> "StoreSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the object up unless it was finished."""
        self._scans.close()
        self._object.abandon()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set, exactly as received. Raises DataSetError, OutOfResources, NotAvailable
        when a scanner that is configured does not answer."""
        view = memoryview(data)
        self._inspector.feed(view)
        self._head.feed(view)
        if not self._syntax.deflated:
            self._scan(view)
        self._object.write(view)
        self._unchecked += len(view)
        if self._unchecked >= CHECK_DISK_EVERY:
            self._unchecked = 0
            self._archive.disk.check()

    def _scan(self, part: memoryview) -> None:
        with _refusing():
            self._scans.feed(part)

    def finish(self) -> Placed:
        """Make the object durable and place it in the index.

        Raises DataSetError when it is not a whole data set or not the announced object, Quarantined when inspection
        holds it back (it is then kept apart), IdentityConflict when other pixels are known under its UID (it is then
        kept for comparison), OutOfResources.
        """
        self._head.finish()
        with _refusing():
            self._scans.finish()
        verdict = self._inspector.finish()
        if verdict.kind is VerdictKind.REJECT:
            raise DataSetError(f"The object was rejected: {', '.join(verdict.reasons)}.")
        elements = verdict.scan.elements
        present = {tag: elements[tag] for tag in OWN_TAGS if tag in elements}
        attributes = decode_elements(present, verdict.scan.little_endian)
        self.study, self.series = attributes[tags.STUDY_INSTANCE_UID], attributes[tags.SERIES_INSTANCE_UID]
        self._check_announced(attributes)
        claim = self._claim(attributes)
        layout = Layout.of(verdict.scan.header_length, verdict.scan.pixel_data).encode()
        if self._is_held_back(verdict, claim):
            original = seal_original(self._archive, self._object, layout)
            raise hold(self._archive, self._suspect(claim, attributes), verdict, original)
        keyed = self._archive.keyring.acquire(claim)
        try:
            whole = self._disarmed if is_to_be_disarmed(verdict) else self._whole
            placed = whole(verdict, attributes, keyed, layout)
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

    def _suspect(self, claim: Claim, attributes: dict[int, str]) -> Suspect:
        return Suspect(
            principal=self._principal,
            peer=self._received.peer,
            site=claim.site,
            issuer=claim.issuer,
            sop_class=self._received.sop_class,
            sop_instance=attributes[tags.SOP_INSTANCE_UID],
            study=claim.study,
            transfer_syntax=self._syntax.uid,
        )

    def _whole(self, verdict: Verdict, attributes: dict[int, str], keyed: KeyedClaim, layout: bytes) -> Placed:
        """Kept byte for byte."""
        stored = self._object.finish(keyed.key, layout)
        incoming = self._incoming(verdict, attributes, keyed, stored)
        with settling(self._object):
            placed = Placing(self._archive, incoming, keyed.key, self._object, self._then()).run()
        settle(self._object, kept=placed.keeps_bytes)
        return placed

    def _disarmed(self, verdict: Verdict, attributes: dict[int, str], keyed: KeyedClaim, layout: bytes) -> Placed:
        original = seal_original(self._archive, self._object, layout)
        suspect = self._suspect(keyed.claim, attributes)
        incoming = self._incoming(verdict, attributes, keyed, original.stored)
        armed = Armed(original, suspect, verdict, incoming, keyed.key, self._inspector.data_length)
        try:
            return disarm(self._archive, armed, self._then())
        except DataSetError as error:
            raise hold(self._archive, suspect, verdict, original) from error

    def _incoming(
        self, verdict: Verdict, attributes: dict[int, str], keyed: KeyedClaim, stored: StoredObject
    ) -> Incoming:
        return Incoming(
            sender=Sender.of(self._principal, self._received.peer),
            claim=keyed.claim,
            wrapped_key=keyed.wrapped,
            attributes=attributes,
            description=described_by(verdict.scan),
            sop_class=self._received.sop_class,
            transfer_syntax=self._syntax.uid,
            stored=stored,
            received=stored.digest,
            findings=verdict.reported(),
        )

    def _then(self) -> Then:
        """A release is decided where its object gets its place."""
        number = self._received.releases
        return partial(_released, principal=self._principal, number=number) if number else as_placed

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


class _NotScannedError(NotAvailable):
    """Nothing passes unscanned: the sender is told to try again."""

    dimse_status = 0xA700  # Refused: out of resources, PS3.4 B.2.3


class _OtherStudyError(DataSetError):
    dimse_status = 0xA901  # of the same range: what was announced does not match, PS3.18 Table I.2-2


def record_refused_store(archive: "Holdings", principal: Principal, received: Received, error: LeadglassError) -> None:
    record_refusal(archive.committer, principal, "store", received.peer, error, {"instance": received.sop_instance})


@contextmanager
def _refusing() -> Iterator[None]:
    """Around what a rule engine or a virus scanner does."""
    try:
        yield
    except NotAvailable as error:
        raise _NotScannedError(error.message, error.remedy) from error


def _started(archive: "Holdings", inspector: Inspector) -> Scans:
    with _refusing():
        return archive.engines.start(inspector.findings)


def _released(writing: Writing, placed: Placed, principal: Principal, number: int) -> Placed:
    """What is refused for its pixels stays in quarantine."""
    if placed.placement is not Placement.REFUSED:
        decide(writing, principal, number, "released")
        restore(writing, placed.instance_id)
    return placed


def _check_sop_class(principal: Principal, received: Received) -> None:
    sop_class = received.sop_class
    # What is released was let in by its own sender's enrolment.
    is_known = sop_class in STORAGE_SOP_CLASSES or received.operation is Operation.QUARANTINE
    if not is_known and sop_class not in principal.private_sop_classes:
        raise NotAuthorised("This SOP class is not a storage class that the sender is enrolled for.")


def _syntax(uid: str) -> TransferSyntax:
    syntax = TRANSFER_SYNTAXES.get(uid)
    if syntax is None:
        raise DataSetError("The transfer syntax is not one that the archive keeps.")
    return syntax
