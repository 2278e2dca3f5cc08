"""Who has looked at a study (45 CFR 164.528: an accounting of disclosures), for stewards of its site and auditors."""

import json
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leadglass.archive.authorise import authorise, may
from leadglass.archive.committer import Writing
from leadglass.archive.sharing import own_study
from leadglass.errors import NotFound
from leadglass.index.rows import EventRow
from leadglass.model import AccessEvent, Operation, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: The newest that are listed.
MOST = 500
_OPENED = "Opened it"
_IN_WORDS = {
    "retrieve": _OPENED,
    "export": "Downloaded it",
    "share": "Shared it",
    "share-end": "Ended a share",
    "verification-failed": "Was refused: a seal does not hold",
}


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One access. `time_us` is its beginning, µs since 1970 UTC; `what` in words."""

    time_us: int
    principal: str
    person: str
    peer: str
    what: str


def disclosures(archive: "Archive", principal: Principal, study_uid: str) -> tuple[Disclosure, ...]:
    """The newest first; asking is an event itself. Raises NotAuthorised, and NotFound for a study that is not there or
    not of a steward's site."""
    if may(principal, Operation.AUDIT):
        studies = [study.id for study in archive.index.studies(study_uid)]
    else:
        authorise(principal, Operation.REVIEW)
        studies = [own_study(archive, principal, study_uid).id]
    if not studies:
        raise NotFound("No study of that UID was ever here.", "Check the Study Instance UID.")
    asked = AccessEvent(
        action="disclosures-shown",
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        study=study_uid,
    )

    def write(writing: Writing) -> None:
        for study_id in studies:
            writing.record(asked, study_id)

    archive.committer.run(write)
    return tuple(shown for study_id in studies for shown in _in_words(archive.index.disclosures(study_id, MOST)))


def _in_words(newest_first: Iterable[EventRow]) -> Iterable[Disclosure]:
    """Beginnings of access to one study, with the counts of the ends that belong to them."""
    # One key has several when accesses overlap in the log, as they do where several processes wrote begins and ends.
    ends: defaultdict[tuple[str, str, str, str], deque[dict[str, Any]]] = defaultdict(deque)
    for row in newest_first:
        content = json.loads(row.content)
        peer, person = content.get("f", ""), content.get("h", "")
        key = (row.principal, content.get("c", ""), person, peer)
        if row.action == "retrieve-end":
            ends[key].append(content["d"])
        elif row.action in _IN_WORDS and content.get("o") != Outcome.REFUSED.value:
            detail = content.get("d", {})
            end = ends[key].popleft() if row.action == "retrieve" and ends[key] else None
            yield Disclosure(row.time_us, row.principal, person, peer, _described(row.action, detail, end))


def _described(action: str, detail: dict[str, Any], end: dict[str, Any] | None) -> str:
    if end is not None:
        count = max(end["instances"], end.get("described", 0))
        return f"{_OPENED}: {count} {'object' if count == 1 else 'objects'}"
    user = detail.get("user")
    return f"{_IN_WORDS[action]} with {user}" if user else _IN_WORDS[action]
