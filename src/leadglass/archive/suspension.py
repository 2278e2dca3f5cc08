"""Who sends hostile content again and again is shut out, until a steward or an administrator has looked at it.

Counted are different objects that were held back and not released, so that one object that is sent without end suspends
nobody. A lifted suspension begins the count anew.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from leadglass.model import AccessEvent, Outcome, Principal

if TYPE_CHECKING:
    from leadglass.archive.holdings import Holdings


DEFAULT_OBJECTS: Final = 20
DEFAULT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class SuspensionLimits:
    """How many objects held back within how many seconds suspend their sender."""

    objects: int = DEFAULT_OBJECTS
    seconds: int = DEFAULT_SECONDS


def watch(archive: "Holdings", principal: Principal) -> None:
    """After an object of this sender was held back. A device is suspended, which ends its associations; for anybody
    else there is an event only, since a user's account is not the program that sends."""
    limits = archive.suspension
    since = time.time_ns() // 1000 - limits.seconds * 1_000_000
    device = archive.devices.devices.get(principal.name) if principal.kind == "device" else None
    if device is not None:
        since = max(since, device.resumed or 0)
    objects = archive.index.held_since(principal.label, since)
    if device is None and objects % limits.objects == 0:
        archive.committer.record(_alert(principal, objects))
    elif device is not None and device.suspended is None and objects >= limits.objects:
        archive.suspend(device.name, objects)


def _alert(principal: Principal, objects: int) -> AccessEvent:
    return AccessEvent(
        action="hostile-sender",
        outcome=Outcome.REFUSED,
        principal="system:leadglass",
        detail={"sender": principal.label, "objects": objects},
    )
