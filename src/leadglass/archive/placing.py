"""Putting an accepted object, sealed in a pack, into the index: one transaction, around the sync of its pack.

Whether it is new, the same again or a conflict is decided in there (`identity`); what needs the content of a kept
version is compared in the caller's thread, and asked again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from leadglass.archive.committer import Job, Writing
from leadglass.archive.identity import Compare, Placed, place
from leadglass.archive.incoming import Incoming, Relation, relate
from leadglass.dicom.compare import ContentDigest, content_digest
from leadglass.dicom.uids import TRANSFER_SYNTAXES, TransferSyntax
from leadglass.errors import LeadglassError, VerificationFailed
from leadglass.index.rows import InstanceRow
from leadglass.model import AccessEvent, Outcome
from leadglass.pack.format import StudyKey
from leadglass.pack.writer import ObjectWriter

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings

#: Plain bytes above which a pack is synced before its object is placed.
SYNCED_FIRST = 8 * 1024 * 1024
#: What else happens in the transaction that places an object (a job's part, see `Committer`); returns what then became
#: of it.
Then = Callable[[Writing, Placed], Placed]


def as_placed(_writing: Writing, placed: Placed) -> Placed:
    """Nothing else."""
    return placed


@contextmanager
def settling(*written: ObjectWriter) -> Iterator[None]:
    """Around a commit. What was rolled back for certain is cut off. Where that is unknown the bytes are left alone: the
    next start decides by the row (docs/formats/pack.md)."""
    try:
        yield
    except LeadglassError:
        for each in written:
            each.abandon()
        raise
    except BaseException:
        for each in written:
            each.forsake()
        raise


def settle(written: ObjectWriter, *, kept: bool) -> None:
    """After the commit: whether its row names these bytes."""
    if kept:
        written.release()
    else:
        written.abandon()


def _place(incoming: Incoming, relations: dict[int, Relation], then: Then, writing: Writing) -> Placed | Compare:
    """A job, once it is given what to place."""
    answer = place(writing, incoming, relations)
    return then(writing, answer) if isinstance(answer, Placed) else answer


@dataclass(frozen=True, slots=True)
class Placing:
    """`key` is its study's; `written` holds the sealed object, finished and not necessarily synced. `then` runs in the
    transaction, once the object has its place there, and may undo it by raising."""

    archive: "Holdings"
    incoming: Incoming
    key: StudyKey
    written: ObjectWriter
    then: Then = as_placed

    def run(self) -> Placed:
        """Durable when this returns. Raises LeadglassError when nothing was placed; after any other exception that is
        unknown. Whoever calls settles `written`."""
        relations: dict[int, Relation] = {}
        new: ContentDigest | None = None
        answer = self._place_while_syncing()
        while not isinstance(answer, Placed):
            new = new or self._digest()
            relations |= self._relations(answer, new)
            answer = self.archive.committer.run(self._job(relations))
        return answer

    def _job(self, relations: dict[int, Relation]) -> Job[Placed | Compare]:
        return partial(_place, self.incoming, relations, self.then)

    def _place_while_syncing(self) -> Placed | Compare:
        """The committer works out the rows while this thread syncs the pack, and waits for it before it commits.

        A long sync would keep everybody else's transaction waiting: large objects are synced first.
        """
        job, committer = self._job({}), self.archive.committer
        if self.incoming.stored.plain_length > SYNCED_FIRST:
            self.written.sync()
            return committer.run(job)
        return committer.run_beside(job, self.written.sync)

    def _relations(self, question: Compare, new: ContentDigest) -> dict[int, Relation]:
        relations = {}
        for row in question.versions:
            syntax = TRANSFER_SYNTAXES[row.transfer_syntax]
            try:
                kept = content_digest(self.archive.open(row).chunks(), syntax, self.archive.limits)
            except VerificationFailed as error:
                self._record_damage(row, error)
                raise
            relations[row.id] = relate(kept, syntax, new, self._syntax)
        return relations

    def _record_damage(self, row: InstanceRow, error: VerificationFailed) -> None:
        """What an object is compared with turned out to be damaged: that is found by whoever comes upon it."""
        sender = self.incoming.sender
        self.archive.committer.record(
            AccessEvent(
                action="verification-failed",
                outcome=Outcome.FAILED,
                principal=sender.label,
                credential=sender.credential,
                person=sender.person,
                study=row.study_uid,
                peer=sender.peer,
                detail={"instance": row.uid, "reason": error.message},
            ),
            row.study_id,
        )

    def _digest(self) -> ContentDigest:
        reader = self.archive.open_stored(self.incoming.stored, self.key)
        return content_digest(reader.chunks(), self._syntax, self.archive.limits)

    @property
    def _syntax(self) -> TransferSyntax:
        return TRANSFER_SYNTAXES[self.incoming.transfer_syntax]
