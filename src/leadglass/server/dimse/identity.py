"""The user that a workstation names (PS3.7 D.3.3.7): a proof must hold, and a name alone is a claim, recorded as one.

A workstation may know its users by names that nobody has here: these stay claims, and earn it nothing.
"""

from dataclasses import dataclass

from leadglass.archive.admission import AssociationRefused, Refusal
from leadglass.archive.devices import Device
from leadglass.archive.holdings import Holdings
from leadglass.archive.users import User, UserBook
from leadglass.dimse.items import UserIdentity
from leadglass.errors import NotAuthenticated, NotAuthorised, NotAvailable
from leadglass.model import Principal, Role

USERNAME = 1
USERNAME_AND_PASSCODE = 2
JSON_WEB_TOKEN = 5


@dataclass(frozen=True, slots=True)
class Verified:
    """A user who has proved who it is. `account` is as it was then; None for one whom only the provider knows."""

    principal: Principal
    account: User | None


def claimed(identity: UserIdentity | None) -> str:
    """The name that nobody has verified."""
    if identity is None or identity.type not in (USERNAME, USERNAME_AND_PASSCODE):
        return ""
    return identity.primary.decode("utf-8", "replace")[:64]


def people_of(device: Device, book: UserBook) -> tuple[User, ...]:
    """The users here, by name or full name, whom a device is enrolled to: its associations end when one of them is
    disabled, reset or changed. Raises AssociationRefused when all of them are disabled."""
    known = book.by_person.get(device.person, ())
    enabled = tuple(user for user in known if not user.disabled)
    if known and not enabled:
        raise AssociationRefused(Refusal.PERSON, device.name)
    return enabled


def verified(archive: Holdings, identity: UserIdentity | None, peer: str, device: str) -> Verified | None:
    """The user who has proved who it is; None when no proof was offered, or of a kind that nobody here can check.
    Raises AssociationRefused when the proof is no good."""
    try:
        if identity is not None and identity.type == USERNAME_AND_PASSCODE:
            return _by_passcode(archive, identity, peer)
        if identity is not None and identity.type == JSON_WEB_TOKEN:
            principal = archive.principal_by_token(identity.primary.decode("ascii", "replace"))
            return None if principal is None else Verified(principal, archive.people.by_id.get(principal.account))
    except (NotAuthenticated, NotAuthorised, NotAvailable):
        raise AssociationRefused(Refusal.USER, device) from None
    return None


def _by_passcode(archive: Holdings, identity: UserIdentity, peer: str) -> Verified | None:
    name = identity.primary.decode("utf-8", "replace")
    if name not in archive.people.by_name:
        return None
    account = archive.user_by_passcode(name, identity.secondary.decode("utf-8", "replace"), peer)
    roles = frozenset(map(Role, account.roles))
    return Verified(Principal(kind="user", name=name, roles=roles, site=account.site), account)
