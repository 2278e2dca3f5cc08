"""Who is let in: a device is its key's fingerprint, and an AE title only names which of its titles it uses.

AE titles identify, they never authenticate: the decision starts from the fingerprint that TLS proved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType

from leadglass.archive.authorise import RIGHTS
from leadglass.errors import NotAuthorised
from leadglass.index.rows import DeviceKeyRow, DeviceRow
from leadglass.model import Operation, Principal, Role


class Refusal(Enum):
    """Why an association or connection was refused, in words for `device log` and `device test`."""

    UNKNOWN_KEY = "its key is not enrolled"
    DISABLED = "the device is disabled"
    SUSPENDED = "the device is suspended: what it sent was held back again and again"
    KEY_RETIRED = "its key was replaced by a renewal and the overlap is over"
    CERTIFICATE_EXPIRED = "its certificate is expired"
    CALLING_AE = "the calling AE title is not one of the device's"
    CALLED_AE = "the called AE title is not this archive's"
    APPLICATION_CONTEXT = "it asked for another application context"
    TOO_MANY = "too many associations are open"
    TLS = "the TLS handshake failed"
    NO_CERTIFICATE = "it showed no client certificate"
    UNTRUSTED = "its certificate does not chain to an authority that is trusted here"
    PROTOCOL = "it did not speak the DICOM upper layer protocol"
    TIMEOUT = "it did not finish in time"
    BEARER = "its bearer token is not good"
    USER = "the user that it names did not prove who it is, or belongs to another site"
    PERSON = "the user that it is enrolled to is disabled"


class AssociationRefused(NotAuthorised):
    def __init__(self, refusal: Refusal, device: str = "") -> None:
        super().__init__(f"Refused: {refusal.value}.")
        self.refusal = refusal
        self.device = device


@dataclass(frozen=True, slots=True)
class DeviceBook:
    """A snapshot of the registry. A new one replaces it whenever a device changes."""

    devices: Mapping[str, DeviceRow]
    by_fingerprint: Mapping[str, tuple[DeviceRow, DeviceKeyRow]]
    anchors: tuple[bytes, ...]

    @classmethod
    def of(cls, devices: tuple[DeviceRow, ...], authority: bytes) -> "DeviceBook":
        pairs = [(device, key) for device in devices for key in device.keys]
        # A key's newest certificate speaks for it.
        by_fingerprint = {key.fingerprint: (device, key) for device, key in sorted(pairs, key=lambda pair: pair[1].id)}
        anchors = dict.fromkeys([authority, *(key.anchor for _, key in pairs if key.anchor)])
        named = {device.name: device for device in devices}
        return cls(MappingProxyType(named), MappingProxyType(by_fingerprint), tuple(anchors))

    def owner_of(self, fingerprint: str, now_us: int) -> DeviceRow:
        """The device that a proved key belongs to. Raises AssociationRefused."""
        found = self.by_fingerprint.get(fingerprint)
        if found is None:
            raise AssociationRefused(Refusal.UNKNOWN_KEY)
        device, key = found
        if device.disabled:
            raise AssociationRefused(Refusal.DISABLED, device.name)
        if device.suspended is not None:
            raise AssociationRefused(Refusal.SUSPENDED, device.name)
        if key.retired_at is not None and key.retired_at <= now_us:
            raise AssociationRefused(Refusal.KEY_RETIRED, device.name)
        if key.not_after <= now_us:
            raise AssociationRefused(Refusal.CERTIFICATE_EXPIRED, device.name)
        return device


def principal_of(device: DeviceRow, fingerprint: str, claimed: str = "") -> Principal:
    """`claimed` is a user name that nobody has verified: it never replaces the enrolled person, and is marked where it
    stands in for one."""
    return Principal(
        kind="device",
        name=device.name,
        roles=frozenset(Role(role) for role in device.roles),
        site=device.site,
        credential=fingerprint,
        person=device.person or (f"claimed:{claimed}" if claimed else ""),
        issuer=device.issuer,
        may_revise=device.may_revise,
        private_sop_classes=frozenset(device.private_sop_classes),
    )


def narrowed(device: Principal, user: Principal) -> Principal:
    """A device with a user who has proved who it is (PS3.7 D.3.3.7): what both may, at the site that both belong to.
    Storing stays the device's own affair, since it shows nobody anything. Raises AssociationRefused."""
    if user.site != device.site:
        raise AssociationRefused(Refusal.USER, device.name)
    rights = frozenset[Operation]().union(*(RIGHTS[role] for role in user.roles))
    allowed = rights if user.only is None else rights & user.only
    return replace(
        device,
        person=f"user:{user.name}",
        only=allowed | {Operation.ECHO, Operation.STORE},
        patients=user.patients,
    )


def admit(book: DeviceBook, fingerprint: str, calling: str, called: str, our_title: str, now_us: int) -> DeviceRow:
    """The device behind an association request. Raises AssociationRefused with the first reason that holds."""
    device = book.owner_of(fingerprint, now_us)
    if called != our_title:
        raise AssociationRefused(Refusal.CALLED_AE, device.name)
    if calling not in device.aets:
        raise AssociationRefused(Refusal.CALLING_AE, device.name)
    return device
