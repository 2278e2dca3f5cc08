"""Who is looking at which study: one `begin` event for each principal, credential and study, closed with counts after
15 idle minutes. The begin event is durable before the first byte leaves, and each instance is counted before its own
first byte does; an access that was never closed counts as the whole study (45 CFR 164.528 asks what was disclosed, not
how often a frame was fetched).
"""

import threading
import time
from collections.abc import Collection, Mapping
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
class _Tally:
    last: float
    #: Retrievals under way. However long they take, the access is not idle.
    running: int = 0
    instances: int = 0
    octets: int = 0
    #: Instances of which parts have left, each of them counted once.
    in_parts: set[int] = field(default_factory=set)
    #: Instances whose attributes have left without their pixels.
    described: int = 0


class AccessLedger:
    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._lock = threading.Lock()
        self._open: dict[Access, _Tally] = {}

    def begin(self, accesses: Collection[Access]) -> None:
        """A retrieval starts. Returns when a begin event for each access is durable, at once for those that are open
        already. `end` it."""
        with self._lock:
            fresh = [access for access in accesses if access not in self._open]
            for access in set(accesses) - set(fresh):
                self._open[access].running += 1
        if fresh:
            self._record_begin(fresh, set(accesses) - set(fresh))
        with self._lock:
            for access in fresh:
                self._open.setdefault(access, _Tally(time.monotonic())).running += 1

    def _record_begin(self, fresh: Collection[Access], held: Collection[Access]) -> None:
        events = tuple((access.event("retrieve", {}), access.study_id) for access in fresh)
        try:
            self._committer.run(partial(record_all, events=events))
        except BaseException:
            self.end(held)
            raise

    def count(self, access: Access, octets: int) -> None:
        """One more instance is about to leave, in a retrieval under way."""
        with self._lock:
            tally = self._open[access]
            tally.instances += 1
            tally.octets += octets

    def count_part(self, access: Access, instance_id: int, octets: int) -> None:
        """A frame or another part of an instance is about to leave: the instance counts once, its octets each time."""
        with self._lock:
            tally = self._open[access]
            if instance_id not in tally.in_parts:
                tally.in_parts.add(instance_id)
                tally.instances += 1
            tally.octets += octets

    def count_described(self, access: Access, instances: int, octets: int) -> None:
        """The attributes of so many instances are about to leave."""
        with self._lock:
            tally = self._open[access]
            tally.described += instances
            tally.octets += octets

    def end(self, accesses: Collection[Access]) -> None:
        """The retrieval is over, however it ended; idle time starts."""
        with self._lock:
            for access in accesses:
                tally = self._open[access]
                tally.running -= 1
                tally.last = time.monotonic()

    def close_idle(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """Write the closing events of accesses idle for so long; 0 closes all but those of retrievals under way."""
        with self._lock:
            limit = time.monotonic() - idle_seconds
            idle = [(access, tally) for access, tally in self._open.items() if tally.last <= limit]
            done = [(access, tally) for access, tally in idle if not tally.running]
            for access, _ in done:
                del self._open[access]
        for access, tally in done:
            detail = {"instances": tally.instances, "bytes": tally.octets, "described": tally.described}
            self._committer.record(access.event("retrieve-end", detail), access.study_id)
