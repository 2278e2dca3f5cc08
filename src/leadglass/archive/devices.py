"""Enrolment of devices. Every change is a grant event, replaces the snapshot that doors use, and tells subscribers,
so that `disable` bites live associations too.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from leadglass.archive.admission import DeviceBook
from leadglass.archive.authorise import authorise, may
from leadglass.archive.committer import Committer, Writing
from leadglass.archive.freshness import require_fresh
from leadglass.crypto.certificates import Certificate
from leadglass.errors import NotFound, UsageError
from leadglass.index.index import Index
from leadglass.index.rows import DeviceRow, NewDevice, NewDeviceKey
from leadglass.model import AccessEvent, Operation, Outcome, Principal, Role

#: What enrolment says about a device, and what is known of it, for those who must not reach into the index.
Enrolment = NewDevice
Device = DeviceRow
DEVICE_ROLES = (Role.MODALITY, Role.CLINICIAN, Role.STEWARD)
OVERLAP_DAYS = 30
_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Credential:
    """A device's certificate, and what it is trusted by when that is not our own authority."""

    certificate: Certificate
    anchor: bytes | None = None

    def row(self) -> NewDeviceKey:
        certificate = self.certificate
        return NewDeviceKey(
            fingerprint=certificate.fingerprint,
            certificate=certificate.der,
            anchor=self.anchor,
            not_before=int(certificate.not_before.timestamp() * 1_000_000),
            not_after=int(certificate.not_after.timestamp() * 1_000_000),
        )


class Registry:
    """The enrolled devices. `book` is always the newest snapshot; reading it takes no lock."""

    def __init__(self, index: Index, committer: Committer, authority: bytes) -> None:
        self._index = index
        self._committer = committer
        self._authority = authority
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[DeviceBook], None]] = []
        self.book = DeviceBook.of(index.devices(), authority)

    def subscribe(self, on_change: Callable[[DeviceBook], None]) -> None:
        """`on_change` is told of changes in order, before the verb that makes one returns; it makes none itself."""
        self._subscribers.append(on_change)

    def device(self, name: str) -> DeviceRow:
        """Raises NotFound."""
        device = self.book.devices.get(name)
        if device is None:
            raise _unknown(name)
        return device

    def add(self, principal: Principal, device: NewDevice, credential: Credential) -> None:
        """Enrol a device. Raises UsageError when its name or key is taken, or it has no title or role."""
        authorise(principal, Operation.ADMINISTER)
        require_fresh(principal, time.time_ns() // 1000)
        _check(device)
        if device.name in self.book.devices:
            raise UsageError(f"A device named {device.name!r} exists.", "Use `device renew` for a new certificate.")
        self._check_key_is_free(credential, None)

        def write(writing: Writing) -> None:
            device_id = writing.tx.add_device(device)
            writing.tx.add_device_key(device_id, credential.row())
            writing.record(_grant(principal, "device-add", device.name, credential))

        self._change(write)

    def renew(self, principal: Principal, name: str, credential: Credential, overlap_days: int = OVERLAP_DAYS) -> None:
        """Give a device a further certificate; earlier keys go on for `overlap_days`. Raises NotFound, UsageError."""
        authorise(principal, Operation.ADMINISTER)
        require_fresh(principal, time.time_ns() // 1000)
        device = self.device(name)
        if device.disabled:
            raise UsageError(f"{name} is disabled.", "Enrol it under a new name with a new key.")
        self._check_key_is_free(credential, device)
        until = time.time_ns() // 1000 + overlap_days * _DAY_US

        def write(writing: Writing) -> None:
            for key in device.keys:
                if key.fingerprint == credential.certificate.fingerprint:
                    writing.tx.retire_device_key(key.id, 0)  # the same key under a newer certificate
                elif key.retired_at is None or key.retired_at > until:
                    writing.tx.retire_device_key(key.id, until)
            writing.tx.add_device_key(device.id, credential.row())
            writing.record(_grant(principal, "device-renew", name, credential))

        self._change(write)

    def disable(self, principal: Principal, name: str) -> None:
        """Takes effect before this returns, on live associations too. Raises NotFound."""
        authorise(principal, Operation.ADMINISTER)
        device = self.device(name)

        def write(writing: Writing) -> None:
            writing.tx.update_device(device.id, disabled=True)
            writing.record(_grant(principal, "device-disable", name, None))

        self._change(write)

    def suspend(self, name: str, objects: int) -> None:
        """Shut a device out for so many objects that were held back; at once, as `disable`. Raises NotFound."""
        device = self.device(name)

        def write(writing: Writing) -> None:
            writing.tx.suspend_device(device.id, time.time_ns() // 1000)
            writing.record(
                AccessEvent(
                    action="device-suspended",
                    outcome=Outcome.REFUSED,
                    principal="system:leadglass",
                    detail={"device": name, "objects": objects},
                )
            )

        self._change(write)

    def enable(self, principal: Principal, name: str) -> None:
        """Lift a suspension. Stewards of its site may, since they have seen what was held back. Raises NotFound, for
        stewards also when the device belongs to another site, UsageError."""
        administers = may(principal, Operation.ADMINISTER)
        if not administers:
            authorise(principal, Operation.QUARANTINE)
        device = self.device(name)
        if not administers and device.site != principal.site:
            raise _unknown(name)
        require_fresh(principal, time.time_ns() // 1000)
        if device.disabled:
            raise UsageError(f"{name} is disabled, and stays so.", "Enrol it under a new name with a new key.")
        if device.suspended is None:
            raise UsageError(f"{name} is not suspended.")

        def write(writing: Writing) -> None:
            writing.tx.resume_device(device.id, time.time_ns() // 1000)
            writing.record(_grant(principal, "device-enable", name, None))

        self._change(write)

    def _check_key_is_free(self, credential: Credential, device: DeviceRow | None) -> None:
        holder = self.book.by_fingerprint.get(credential.certificate.fingerprint)
        if holder is not None and (device is None or holder[0].id != device.id):
            raise UsageError(
                f"That key is enrolled for {holder[0].name!r} already.", "A device is bound to a key of its own."
            )

    def _change(self, write: Callable[[Writing], None]) -> None:
        with self._lock:
            self._committer.run(write)
            self.book = DeviceBook.of(self._index.devices(), self._authority)
            # Under the lock too: a subscriber that heard of two changes in the wrong order would keep the older book.
            for tell in self._subscribers:
                tell(self.book)


def described(device: DeviceRow) -> dict[str, Any]:
    """A device by the names of its fields, without its certificates' bytes."""
    shown = {field.name: getattr(device, field.name) for field in fields(device) if field.name != "keys"}
    shown["keys"] = [
        {
            "fingerprint": key.fingerprint,
            "not_before": key.not_before,
            "not_after": key.not_after,
            "retired_at": key.retired_at,
            "pinned": key.anchor is not None,
        }
        for key in device.keys
    ]
    return shown


def _check(device: NewDevice) -> None:
    if not device.aets or not device.roles:
        raise UsageError("A device needs at least one AE title and one role.", "Give --aet and --role.")
    for title in device.aets:
        # PS3.5 6.2, AE: 1 to 16 characters, no backslash and no control characters, not only spaces.
        if not 0 < len(title.strip()) <= 16 or "\\" in title or not title.isascii() or not title.isprintable():
            raise UsageError(f"{title!r} is not an AE title.", "Give 1 to 16 printable ASCII characters.")
    if any(Role(role) not in DEVICE_ROLES for role in device.roles):
        raise UsageError("A device can be a modality, a clinician's workstation or a steward's.", "Choose --role so.")


def _unknown(name: str) -> NotFound:
    return NotFound(f"No device is named {name!r}.", "See `leadglass device list`.")


def _grant(principal: Principal, action: str, name: str, credential: Credential | None) -> AccessEvent:
    detail: dict[str, object] = {"device": name}
    if credential is not None:
        detail["fingerprint"] = credential.certificate.fingerprint
    return AccessEvent(
        action=action,
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        detail=detail,
    )
