"""The steward's list and the deep check, over the control socket as the command line does it, without its start."""

from dataclasses import dataclass
from typing import Any

from leadglass.server.control_client import ControlClient
from tests.served import Served


@dataclass(frozen=True, slots=True)
class Review:
    number: int
    study: str
    reason: str


def call(archive: Served, verb: str, **params: Any) -> Any:
    """The result of a verb of the running archive. Raises what it raises."""
    client = ControlClient.connect(archive.data)
    try:
        return client.call(verb, params, (), lambda *_: None)
    finally:
        client.close()


def listed(archive: Served, instance: str, state: str = "open") -> list[Review]:
    """The reviews of one SOP Instance, oldest first."""
    rows = call(archive, "review-list", state=state)
    return [Review(row["id"], row["study_uid"], row["reason"]) for row in rows if row["sop_instance_uid"] == instance]


def only(archive: Served, instance: str, state: str = "open") -> Review:
    (review,) = listed(archive, instance, state)
    return review


def accept(archive: Served, review: Review) -> None:
    call(archive, "review-accept", id=review.number)


def reject(archive: Served, review: Review) -> None:
    call(archive, "review-reject", id=review.number)


def instances_on_record(archive: Served) -> int:
    """Instance rows in any state, by a deep check that must find nothing wrong."""
    checked = call(archive, "fsck", deep=True)
    assert checked["problems"] == []
    count: int = checked["instances"]
    return count
