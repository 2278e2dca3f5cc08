"""What waits for somebody: how much is held back and since when, what is to be reconciled, who was shut out.

Counts and names of devices alone, so that administrators and auditors may be told as well: nothing of a patient.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from leadglass.archive.authorise import may
from leadglass.archive.quarantine import DAYS_TO_DECIDE
from leadglass.archive.review import review_scope
from leadglass.model import Operation, Principal, Scope

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Attention:
    """`held` in quarantine, `overdue` of these longer than a steward has, all to be decided until `due` (µs since 1970
    UTC, of the oldest; 0 when there is none); `reviews` to be reconciled; `suspended` devices, shut out for what they
    sent."""

    held: int
    overdue: int
    due: int
    reviews: int
    suspended: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.held or self.reviews or self.suspended)


def attention(archive: "Archive", principal: Principal) -> Attention | None:
    """Of a steward's own site, of the whole archive for those who monitor it; None for everybody else."""
    if may(principal, Operation.QUARANTINE):
        scope = review_scope(principal)
    elif may(principal, Operation.MONITOR):
        scope = Scope(None)
    else:
        return None
    time_to_decide = DAYS_TO_DECIDE * _DAY_US
    held, overdue, oldest = archive.index.held_counts(archive.clock() - time_to_decide, scope)
    return Attention(
        held=held,
        overdue=overdue,
        due=oldest + time_to_decide if held else 0,
        reviews=archive.index.open_reviews(scope),
        suspended=tuple(
            device.name
            for device in archive.registry.book.devices.values()
            if device.suspended is not None and (scope.sites is None or device.site in scope.sites)
        ),
    )
