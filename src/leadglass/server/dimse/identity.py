"""The user that a workstation names (PS3.7 D.3.3.7): a proof must hold, and a name alone is a claim, recorded as one.

A workstation may know its users by names that nobody has here: these stay claims, and earn it nothing.
"""

from leadglass.archive.admission import AssociationRefused, Refusal
from leadglass.archive.archive import Archive
from leadglass.dimse.items import UserIdentity
from leadglass.errors import NotAuthenticated
from leadglass.index.rows import AccountRow

USERNAME = 1
USERNAME_AND_PASSCODE = 2


def claimed(identity: UserIdentity | None) -> str:
    """The name that nobody has verified."""
    if identity is None or identity.type not in (USERNAME, USERNAME_AND_PASSCODE):
        return ""
    return identity.primary.decode("utf-8", "replace")[:64]


def verified(archive: Archive, identity: UserIdentity | None, peer: str, device: str) -> AccountRow | None:
    """The user who has proved who it is; None when no proof was offered, or of a kind that nobody here can check.
    Raises AssociationRefused when the proof is no good."""
    if identity is None or identity.type != USERNAME_AND_PASSCODE:
        return None
    name = identity.primary.decode("utf-8", "replace")
    if name not in archive.users.book.by_name:
        return None
    try:
        return archive.sign_in.with_passcode(name, identity.secondary.decode("utf-8", "replace"), peer)
    except NotAuthenticated:
        raise AssociationRefused(Refusal.USER, device) from None
