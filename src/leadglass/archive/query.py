"""The query verb (PS3.4 C.4.1): narrowed to what the principal may see, recorded before the first answer is shown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeVar

from leadglass.archive.authorise import authorise, scope_of
from leadglass.archive.refusals import record_refusal
from leadglass.dicom import tags
from leadglass.dicom.dictionary import keyword_of
from leadglass.errors import DataSetError, LeadglassError, OutOfResources
from leadglass.model import LITERAL, AccessEvent, Attributes, Level, Matching, Operation, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings

T = TypeVar("T")
#: Answers fetched before the event is written; a shorter answer is recorded with its exact number at once.
LOOK_AHEAD = 256

UNIQUE_KEYS = {
    Level.PATIENT: tags.PATIENT_ID,
    Level.STUDY: tags.STUDY_INSTANCE_UID,
    Level.SERIES: tags.SERIES_INSTANCE_UID,
    Level.IMAGE: tags.SOP_INSTANCE_UID,
}
#: Levels of each information model, PS3.4 C.6.1.1 and C.6.2.1.
PATIENT_ROOT = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)
STUDY_ROOT = (Level.STUDY, Level.SERIES, Level.IMAGE)


class IdentifierError(DataSetError):
    """The identifier does not fit the SOP class, PS3.4 Table C.4-1."""

    dimse_status = 0xA900


@dataclass(frozen=True, slots=True)
class QueryRequest:
    root: tuple[Level, ...]
    identifier: Attributes
    matching: Matching = LITERAL
    peer: str = ""


def level_of(identifier: Attributes, root: tuple[Level, ...]) -> Level:
    """The Query/Retrieve Level of an identifier. Raises IdentifierError."""
    text = identifier.get(tags.QUERY_RETRIEVE_LEVEL, "")
    level = next((level for level in root if level.value == text), None)
    if level is None:
        raise IdentifierError("The Query/Retrieve Level is missing or not one of this information model.")
    return level


def query(archive: "Holdings", principal: Principal, request: QueryRequest) -> Iterator[Attributes]:
    """Answers one by one. Raises NotAuthorised and DataSetError before the first, OutOfResources after the last
    allowed one when there are more: a capped answer never looks complete."""
    try:
        authorise(principal, Operation.QUERY)
        level = level_of(request.identifier, request.root)
        rows = archive.index.find(
            level,
            request.identifier,
            scope_of(principal),
            limit=archive.max_answers + 1,
            matching=request.matching,
        )
        first = list(islice(rows, LOOK_AHEAD))  # a key that cannot be meant is noticed here
    except LeadglassError as error:
        record_refusal(archive.committer, principal, "query", request.peer, error)
        raise
    complete = len(first) < LOOK_AHEAD
    event = _event(principal, request, level, "query", min(len(first), archive.max_answers), complete)
    archive.committer.record(event).result()
    return _first_and_rest(archive, principal, request, level, first, rows, complete)


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the answers to a query. `more`: there are others behind it."""

    rows: tuple[Attributes, ...]
    more: bool


def query_page(
    archive: "Holdings",
    principal: Principal,
    request: QueryRequest,
    make: Callable[[Page], T],
    limit: int | None = None,
    offset: int = 0,
) -> T:
    """What is made of at most `limit` answers, and never more than the archive gives to one query, after the first
    `offset`; made while the event is written, and recorded when this returns. Raises NotAuthorised, DataSetError, and
    what `make` raises."""
    allowed = archive.max_answers if limit is None else min(limit, archive.max_answers)
    try:
        authorise(principal, Operation.QUERY)
        level = level_of(request.identifier, request.root)
        rows = list(
            archive.index.find(
                level,
                request.identifier,
                scope_of(principal),
                limit=allowed + 1,
                matching=request.matching,
                offset=offset,
            )
        )
    except LeadglassError as error:
        record_refusal(archive.committer, principal, "query", request.peer, error)
        raise
    page = Page(tuple(rows[:allowed]), len(rows) > allowed)
    event = _event(principal, request, level, "query", len(page.rows), True)
    recorded = archive.committer.record(event)
    made = make(page)
    recorded.result()
    return made


def _first_and_rest(
    archive: "Holdings",
    principal: Principal,
    request: QueryRequest,
    level: Level,
    first: list[Attributes],
    rest: Iterator[Attributes],
    complete: bool,
) -> Iterator[Attributes]:
    sent = 0
    try:
        for row in chain(first, rest):
            if sent == archive.max_answers:
                raise OutOfResources(
                    f"More than {archive.max_answers} matches.", "Narrow the query, for example by a date range."
                )
            sent += 1
            yield row
    finally:
        if not complete:
            archive.committer.note(_event(principal, request, level, "query-end", sent, True))


def supported_keys(archive: "Holdings", level: Level) -> frozenset[int]:
    return archive.index.supported(level)


def _event(
    principal: Principal, request: QueryRequest, level: Level, action: str, count: int, exact: bool
) -> AccessEvent:
    return AccessEvent(
        action=action,
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        peer=request.peer,
        detail={
            "level": level.value,
            "keys": described(request.identifier),
            "answers" if exact else "answers_at_least": count,
        },
    )


def described(identifier: Attributes) -> dict[str, object]:
    """What was asked: matching keys with their values, return keys by name. Sealed with the event."""
    return {
        keyword_of(tag) or f"{tag:08X}": value if isinstance(value, str) else [described(item) for item in value]
        for tag, value in identifier.items()
        if tag != tags.QUERY_RETRIEVE_LEVEL
    }
