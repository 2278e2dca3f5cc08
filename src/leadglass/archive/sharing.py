"""Sharing: a study of one's own site, shown to a named user until a moment. A grant, like all that lets somebody see.

Never more than the sharer may see now: what is shared with a user belongs to another site, and is not shared on.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Writing
from leadglass.archive.freshness import require_fresh
from leadglass.archive.users import grant
from leadglass.errors import NotAuthorised, NotFound, UsageError
from leadglass.index.account_rows import AccountRow, ShareRow
from leadglass.index.rows import StudyRow
from leadglass.model import Operation, Principal, Role

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

MAX_DAYS = 366
_DAY_US = 86_400 * 1_000_000
#: The roles of those who may see images at all.
VIEWERS = frozenset({Role.CLINICIAN.value, Role.STEWARD.value})


@dataclass(frozen=True, slots=True)
class Share:
    """One share that goes on; `until` is µs since 1970 UTC. `may_end` says whether the one who asks may end it."""

    id: int
    user: str
    sharer: str
    until: int
    may_end: bool


def share(archive: "Archive", principal: Principal, study_uid: str, user: str, until: int) -> None:
    """Raises NotAuthorised, ProofTooOld, NotFound for a study that is not of the principal's site or not visible to it,
    and UsageError for a user or a moment that cannot be meant."""
    authorise(principal, Operation.SHARE)
    now = archive.clock()
    require_fresh(principal, now)
    study = own_study(archive, principal, study_uid)
    recipient = _recipient(archive, principal, user)
    if not now < until <= now + MAX_DAYS * _DAY_US:
        raise UsageError(f"A share lasts at least a moment and at most {MAX_DAYS} days.", "Give another last day.")

    def write(writing: Writing) -> None:
        writing.tx.add_share(recipient.id, study.id, principal.account, now, until)
        event = grant(principal, "share", recipient.name, study=study.uid, until=until)
        writing.record(event, study.id)

    archive.committer.run(write)


def revoke_share(archive: "Archive", principal: Principal, study_uid: str, share_id: int) -> None:
    """By the sharer, or by a steward of the study's site. Raises NotAuthorised, NotFound."""
    authorise(principal, Operation.SHARE)
    study = own_study(archive, principal, study_uid)
    row = next((each for each in _going_on(archive, study) if each.id == share_id), None)
    if row is None:
        raise NotFound("That share is over already.")
    if not _may_end(principal, row):
        raise NotAuthorised("Only who shared a study, or a steward, ends that share.")
    user = archive.users.book.by_id[row.account_id].name

    def write(writing: Writing) -> None:
        writing.tx.revoke_share(row.id, archive.clock())
        writing.record(grant(principal, "share-end", user, study=study.uid), study.id)

    archive.committer.run(write)


def shares(archive: "Archive", principal: Principal, study_uid: str) -> tuple[Share, ...]:
    """Those that go on now; none for a study of another site. Raises NotAuthorised."""
    authorise(principal, Operation.SHARE)
    try:
        study = own_study(archive, principal, study_uid)
    except NotFound:
        return ()
    book = archive.users.book.by_id
    return tuple(
        Share(row.id, book[row.account_id].name, book[row.sharer].name, row.until, _may_end(principal, row))
        for row in _going_on(archive, study)
    )


def own_study(archive: "Archive", principal: Principal, study_uid: str) -> StudyRow:
    """The visible study of the principal's own site. Raises NotFound, for all others alike."""
    for study in archive.index.studies(study_uid):
        among_patients = principal.patients is None or (study.patient_id, study.issuer) in principal.patients
        if study.site == principal.site and study.instances and among_patients:
            return study
    raise NotFound("There is no such study at this site.")


def _recipient(archive: "Archive", principal: Principal, user: str) -> AccountRow:
    account = archive.users.book.by_name.get(user)
    if account is None or account.disabled or not VIEWERS & set(account.roles):
        raise UsageError("No user of that name may see images.", "Ask an administrator how the user is called.")
    if account.id == principal.account:
        raise UsageError("That is yourself.", "Name somebody else.")
    return account


def _going_on(archive: "Archive", study: StudyRow) -> tuple[ShareRow, ...]:
    now = archive.clock()
    return tuple(row for row in archive.index.shares(study.id) if row.revoked is None and row.until > now)


def _may_end(principal: Principal, row: ShareRow) -> bool:
    return row.sharer == principal.account or Role.STEWARD in principal.roles
