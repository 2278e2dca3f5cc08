"""What waits for somebody, on the page where that person's work begins."""

from dataclasses import dataclass

from leadglass.archive.archive import Archive
from leadglass.archive.attention import Attention, attention
from leadglass.archive.authorise import may
from leadglass.model import Operation, Principal
from leadglass.server.web.console import present


@dataclass(frozen=True, slots=True)
class Waiting:
    """`due` is the day until which the oldest is to be decided; what leads where depends on what somebody may."""

    attention: Attention
    due: str
    may_decide: bool
    may_administer: bool


def waiting(archive: Archive, principal: Principal) -> Waiting | None:
    """None when nothing waits, or for somebody else."""
    found = attention(archive, principal)
    if not found:
        return None
    may_decide, may_administer = may(principal, Operation.QUARANTINE), may(principal, Operation.ADMINISTER)
    return Waiting(found, present.day(found.due), may_decide, may_administer)
