"""Disarming what arrives: its original is sealed in quarantine, and what is stored is the object without what no image
needs, byte for byte.

Order of writes: sealed original → fdatasync of its pack → sealed disarmed object → fdatasync of its pack → COMMIT of
one SQL transaction with both rows and the events → success. A disarmed object is on record only while its original is.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from leadglass.archive.committer import Writing
from leadglass.archive.identity import Placed
from leadglass.archive.incoming import Incoming, Layout, described_by
from leadglass.archive.placing import Placing, Then, settle, settling
from leadglass.archive.quarantine import SealedOriginal, Suspect, new_row
from leadglass.dicom.reader import Scan
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import DataSetError, Quarantined
from leadglass.index.attributes import WANTED_SEQUENCES, WANTED_TAGS
from leadglass.index.held_rows import NewQuarantined
from leadglass.inspection.disarm import Edit, Survey, apply, plan
from leadglass.inspection.inspector import Inspector, Verdict, VerdictKind
from leadglass.inspection.reasons import Reason
from leadglass.inspection.verdict import tag_text
from leadglass.model import AccessEvent, Outcome
from leadglass.pack.format import StudyKey
from leadglass.pack.writer import ObjectWriter, StoredObject

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings

#: What is cut away of an object, whatever else was found in it and pardoned.
_CUT: Final = frozenset({Reason.TRAILING.code, Reason.PRIVATE_PAYLOAD.code})


def is_to_be_disarmed(verdict: Verdict) -> bool:
    return not _CUT.isdisjoint(verdict.reasons)


@dataclass(frozen=True, slots=True)
class Armed:
    """An object as it arrived, sealed and synced. `incoming` describes it as a whole, `key` is its study's,
    `data_length` its bytes without what follows its last element."""

    original: SealedOriginal
    suspect: Suspect
    verdict: Verdict
    incoming: Incoming
    key: StudyKey
    data_length: int

    @property
    def syntax(self) -> TransferSyntax:
        return TRANSFER_SYNTAXES[self.incoming.transfer_syntax]


@dataclass(frozen=True, slots=True)
class _Was:
    """An object before it was disarmed, as the record tells of it. `received`: its SHA-256."""

    new: NewQuarantined
    suspect: Suspect
    reasons: tuple[str, ...]
    received: bytes


@dataclass(frozen=True, slots=True)
class _Rewritten:
    stored: StoredObject
    scan: Scan
    removed: tuple[str, ...]


def disarm(archive: "Holdings", armed: Armed, then: Then) -> Placed:
    """Store what is left of an object, and its original in quarantine. `then` runs in the same transaction.

    Raises DataSetError, with nothing kept but the sealed original, when it cannot be disarmed: it is to be held back.
    """
    archive.disk.check()
    edits, removed = _planned(archive, armed)
    written = archive.packs.begin()
    try:
        rewritten = _rewrite(archive, armed, edits, removed, written)
    except BaseException:
        written.abandon()
        raise
    incoming = replace(armed.incoming, stored=rewritten.stored, description=described_by(rewritten.scan))
    was = _Was(
        new_row(armed.suspect, armed.verdict, armed.original),
        armed.suspect,
        armed.verdict.reasons,
        armed.incoming.received,
    )
    noted = partial(_note, was=was, stored=rewritten.stored.digest, removed=rewritten.removed, then=then)
    with settling(written, armed.original.written):
        placed = Placing(archive, incoming, armed.key, written, noted).run()
    settle(written, kept=placed.keeps_bytes)
    settle(armed.original.written, kept=placed.keeps_original)
    return placed


def _planned(archive: "Holdings", armed: Armed) -> tuple[tuple[Edit, ...], tuple[str, ...]]:
    """The edits, and the elements that they take out."""
    offsets = [each.offset for each in armed.verdict.findings if each.reason is Reason.PRIVATE_PAYLOAD]
    survey = Survey(armed.syntax, archive.limits, offsets)
    reader = archive.open_stored(armed.original.stored, armed.original.key)
    for chunk in reader.chunks(0, armed.data_length):
        survey.feed(chunk)
    surveyed = survey.finish()
    # The standard's date-times are local unless the data set says otherwise (PS3.5 6.2, DT).
    edits = plan(surveyed, datetime.now().astimezone())
    return edits, tuple(tag_text(each.tag) for each in surveyed.removed)


def _rewrite(
    archive: "Holdings", armed: Armed, edits: tuple[Edit, ...], removed: tuple[str, ...], written: ObjectWriter
) -> _Rewritten:
    """Seal the edited stream, and look at it as at anything that arrives: what is left must be clean, but for what a
    steward has pardoned."""
    inspector = Inspector(armed.syntax, archive.limits, wanted=WANTED_TAGS, wanted_sequences=WANTED_SEQUENCES)
    reader = archive.open_stored(armed.original.stored, armed.original.key)
    for part in apply(edits, reader.chunks()):
        inspector.feed(part)
        written.write(part)
    verdict = inspector.finish()
    pardoned = armed.verdict.heavy(VerdictKind.QUARANTINE)
    if verdict.kind is VerdictKind.REJECT or not verdict.heavy(VerdictKind.QUARANTINE) <= pardoned:
        raise DataSetError("What is left of the object is not clean.")
    layout = Layout.of(verdict.scan.header_length, verdict.scan.pixel_data).encode()
    stored = written.finish(armed.key, layout)
    written.sync()
    return _Rewritten(stored, verdict.scan, removed)


def _note(writing: Writing, placed: Placed, was: _Was, stored: bytes, removed: tuple[str, ...], then: Then) -> Placed:
    """Inside the transaction that places it: the original beside it, unless that is there from before. `stored`: the
    SHA-256 of what is left."""
    placed = replace(then(writing, placed), disarmed=True, removed=removed)
    new = was.new
    known = writing.tx.quarantined(new.digest, new.site)
    if known is not None:
        writing.tx.count_attempt(known.id)
    if not placed.keeps_bytes:
        return placed
    if known is None:
        number = writing.tx.add_quarantined(new, "disarmed")
    elif known.wrapped_key is None:
        raise Quarantined("Its original was destroyed by a steward.")
    else:
        number = known.id
        if known.state == "held":  # by rules that are not today's
            writing.tx.decide_quarantined(number, "disarmed", was.suspect.principal.label)
    writing.tx.add_disarmed(placed.instance_id, number, removed)
    writing.record(_event(was, stored, removed, number), placed.study_id)
    return replace(placed, keeps_original=known is None)


def _event(was: _Was, stored: bytes, removed: tuple[str, ...], number: int) -> AccessEvent:
    principal = was.suspect.principal
    return AccessEvent(
        action="disarm",
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=was.suspect.study,
        peer=was.suspect.peer,
        detail={
            "quarantine": number,
            "instance": was.suspect.sop_instance,
            "received": was.received.hex(),
            "stored": stored.hex(),
            "reasons": list(was.reasons),
            "removed": list(removed),
        },
    )
