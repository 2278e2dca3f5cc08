"""Who is looking at which study: one `begin` event for each principal, credential and study, closed with counts after
15 idle minutes. The begin event is durable before the first byte leaves, and each instance is counted before its own
first byte does; an access that was never closed counts as the whole study (45 CFR 164.528 asks what was disclosed, not
how often a frame was fetched).

The ledger of the process that commits has its accesses on record in the log. One in another process counts for itself
and has its accesses on record in that ledger: it opens them there, and hands over what it has counted.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from leadglass.archive.committer import Committer, record_all
from leadglass.model import AccessEvent, Outcome, Principal

IDLE_SECONDS = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """One principal reading one study."""

    principal: str
    credential: str
    person: str
    study_id: int
    study: str
    peer: str

    @classmethod
    def of(cls, principal: Principal, study_id: int, study: str, peer: str) -> "Access":
        return cls(principal.label, principal.credential, principal.person, study_id, study, peer)

    def event(self, action: str, detail: Mapping[str, object], outcome: Outcome = Outcome.DONE) -> AccessEvent:
        return AccessEvent(
            action=action,
            outcome=outcome,
            principal=self.principal,
            credential=self.credential,
            person=self.person,
            study=self.study,
            peer=self.peer,
            detail=detail,
        )


@dataclass(slots=True)
class Taken:
    """What an access has taken. `octets` are counted each time."""

    instances: int = 0
    octets: int = 0
    #: Instances (ids) of which parts have left, each of them counted once.
    in_parts: set[int] = field(default_factory=set)
    #: Instances whose attributes have left without their pixels.
    described: int = 0

    def add(self, other: "Taken") -> None:
        self.instances += other.instances
        self.octets += other.octets
        self.in_parts |= other.in_parts
        self.described += other.described


class AccessRecord(ABC):
    """Where accesses are on record."""

    @abstractmethod
    def open(self, accesses: Collection[Access]) -> None:
        """Returns when each has begun, durably."""

    @abstractmethod
    def close(self, access: Access, taken: Taken) -> None:
        """It has ended. Does not wait."""


class AccessLog(AccessRecord):
    """The log itself."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def open(self, accesses: Collection[Access]) -> None:
        events = tuple((access.event("retrieve", {}), access.study_id) for access in accesses)
        self._committer.run(partial(record_all, events=events))

    def close(self, access: Access, taken: Taken) -> None:
        instances = taken.instances + len(taken.in_parts)
        detail = {"instances": instances, "bytes": taken.octets, "described": taken.described}
        self._committer.note(access.event("retrieve-end", detail), access.study_id)


@dataclass(slots=True)
class _Tally:
    last: float
    #: Done when the access is on record.
    opened: Future[None] = field(default_factory=Future)
    #: Retrievals under way. However long they take, the access is not idle.
    running: int = 0
    taken: Taken = field(default_factory=Taken)


class AccessLedger:
    def __init__(self, record: AccessRecord, idle_seconds: float = IDLE_SECONDS) -> None:
        self._record = record
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._open: dict[Access, _Tally] = {}

    def begin(self, accesses: Collection[Access]) -> None:
        """A retrieval starts. Returns when each access is on record, at once for those that are open already. `end` it.
        Raises what the record raises."""
        with self._lock:
            fresh = {access: _Tally(time.monotonic()) for access in accesses if access not in self._open}
            self._open |= fresh
            tallies = [self._open[access] for access in set(accesses)]
            for tally in tallies:
                tally.running += 1
        try:
            if fresh:
                self._put_on_record(fresh)
            for tally in tallies:
                tally.opened.result()
        except BaseException:
            with self._lock:
                for tally in tallies:
                    tally.running -= 1
            raise

    def _put_on_record(self, fresh: Mapping[Access, _Tally]) -> None:
        try:
            self._record.open(tuple(fresh))
        except BaseException as error:
            with self._lock:
                for access, tally in fresh.items():
                    del self._open[access]
                    tally.opened.set_exception(error)
            raise
        for tally in fresh.values():
            tally.opened.set_result(None)

    def count(self, access: Access, octets: int) -> None:
        """One more instance is about to leave, in a retrieval under way."""
        with self._lock:
            taken = self._open[access].taken
            taken.instances += 1
            taken.octets += octets

    def count_part(self, access: Access, instance_id: int, octets: int) -> None:
        """A frame or another part of an instance is about to leave: the instance counts once, its octets each time."""
        with self._lock:
            taken = self._open[access].taken
            taken.in_parts.add(instance_id)
            taken.octets += octets

    def count_described(self, access: Access, instances: int, octets: int) -> None:
        """The attributes of so many instances are about to leave."""
        with self._lock:
            taken = self._open[access].taken
            taken.described += instances
            taken.octets += octets

    def count_elsewhere(self, access: Access, taken: Taken) -> None:
        """Another process has counted this much, in a retrieval under way."""
        with self._lock:
            self._open[access].taken.add(taken)

    def end(self, accesses: Collection[Access]) -> None:
        """The retrieval is over, however it ended; idle time starts."""
        with self._lock:
            for access in set(accesses):
                tally = self._open[access]
                tally.running -= 1
                tally.last = time.monotonic()

    def close_idle(self) -> None:
        """Close the accesses that have been idle for long enough."""
        self._close(time.monotonic() - self._idle_seconds)

    def close_all(self) -> None:
        """Close every access but those of retrievals under way."""
        self._close(time.monotonic())

    def _close(self, idle_since: float) -> None:
        with self._lock:
            done = {
                access: tally.taken
                for access, tally in self._open.items()
                if not tally.running and tally.last <= idle_since
            }
            for access, taken in done.items():
                del self._open[access]
                # Before anybody can begin it anew: an end belongs to the last begin before it.
                self._record.close(access, taken)
