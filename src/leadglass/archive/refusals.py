"""Refused connections and associations, on record. Those of known devices are events one by one; those of strangers are
counted per source, reason and minute in one event, so that a port scan cannot fill the log.
"""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass

from leadglass.archive.admission import Refusal
from leadglass.archive.committer import Committer
from leadglass.errors import LeadglassError
from leadglass.model import AccessEvent, Outcome, Principal

ACTION = "association-refused"
#: Different strangers told apart in one minute; what comes beyond is counted together.
MAX_STRANGERS = 1024


@dataclass(frozen=True, slots=True)
class RefusedPeer:
    """Who was refused. `source` is an address without port; titles are as the peer gave them."""

    refusal: Refusal
    source: str
    calling: str = ""
    called: str = ""
    fingerprint: str = ""
    device: str = ""
    action: str = ACTION

    def event(self, count: int) -> AccessEvent:
        detail = {"reason": self.refusal.name.lower(), "calling": self.calling, "called": self.called, "count": count}
        return AccessEvent(
            action=self.action,
            outcome=Outcome.REFUSED,
            principal=f"device:{self.device}" if self.device else "stranger",
            credential=self.fingerprint,
            peer=self.source,
            detail={key: value for key, value in detail.items() if value != ""},
        )


def record_refusal(
    committer: Committer,
    principal: Principal,
    action: str,
    peer: str,
    error: LeadglassError,
    detail: Mapping[str, object] | None = None,
) -> None:
    """What an admitted principal was refused is an event too. An error's text holds no patient data (errors.py)."""
    committer.record(
        AccessEvent(
            action=action,
            outcome=Outcome.REFUSED,
            principal=principal.label,
            credential=principal.credential,
            person=principal.person,
            peer=peer,
            detail={**(detail or {}), "reason": error.message, "status": f"{error.dimse_status:04X}"},
        )
    )


class RefusalRecorder:
    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: Counter[RefusedPeer] = Counter()

    def record(self, peer: RefusedPeer) -> Future[None]:
        """Done when it is on record, or counted. It never fails: that an event could not be written is said by the
        committer, and a peer is turned away all the same."""
        noted: Future[None] = Future()
        if peer.device:
            self._committer.record(peer.event(1)).add_done_callback(lambda _: noted.set_result(None))
            return noted
        with self._lock:
            if peer not in self._counts and len(self._counts) >= MAX_STRANGERS:
                peer = RefusedPeer(peer.refusal, "many sources")
            self._counts[peer] += 1
        noted.set_result(None)
        return noted

    def flush_past(self) -> None:
        """Write the counts of a minute that is over."""
        minute = int(time.time()) // 60
        with self._lock:
            is_over = minute != self._minute
            self._minute = minute
        if is_over:
            self.flush()

    def flush(self) -> None:
        """Write all counts and wait until they are durable. Those that cannot be written (a full disk) are kept for the
        next time, and the first error raised."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        written = {peer: self._committer.record(peer.event(count)) for peer, count in counts.items()}
        wait(written.values())
        failed = {peer: future for peer, future in written.items() if future.exception() is not None}
        with self._lock:
            self._counts.update({peer: counts[peer] for peer in failed})
        for future in failed.values():
            future.result()
