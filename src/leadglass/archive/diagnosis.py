"""Why a device cannot connect, in words: from its enrolment and from what the doors refused lately."""

import ipaddress
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from leadglass.archive.admission import Refusal
from leadglass.archive.authorise import authorise
from leadglass.archive.refusals import ACTION
from leadglass.index.rows import DeviceRow, EventRow
from leadglass.model import Operation, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: How many of the newest refusals a diagnosis is made from.
REFUSALS = 50
_DAY_US = 86_400 * 1_000_000
SOON_US = 30 * _DAY_US

REMEDIES = {
    Refusal.UNKNOWN_KEY: "Install the certificate of its enrolment on it, or enrol its own with --cert or --csr.",
    Refusal.DISABLED: "If it is to come back, enrol it under a new name with a new key.",
    Refusal.SUSPENDED: "Look at it with `leadglass quarantine list`; when it is clean, lift this with `device enable`.",
    Refusal.KEY_RETIRED: "Install the certificate of its last renewal on the device.",
    Refusal.CERTIFICATE_EXPIRED: "Give it a new one with `leadglass device renew`.",
    Refusal.CALLING_AE: "Set the device's own AE title to one of its enrolment, or enrol that title too.",
    Refusal.CALLED_AE: "Set the called AE title on the device to this archive's.",
    Refusal.APPLICATION_CONTEXT: "The device asks for something that is not DICOM; see its manual.",
    Refusal.TOO_MANY: "Let the device keep fewer associations open at once.",
    Refusal.TLS: "Look at the device's TLS settings: TLS 1.2 or 1.3 with an AES-GCM cipher suite (PS3.15 B.12).",
    Refusal.NO_CERTIFICATE: "Install a client certificate on the device and switch mutual authentication on.",
    Refusal.UNTRUSTED: "Enrol its certificate with --cert, or the authority that issued it with --ca.",
    Refusal.PROTOCOL: "Check that the device speaks DICOM over TLS on this port, and not plain DICOM or HTTP.",
    Refusal.BEARER: "Make it a new token with `leadglass token create`.",
    Refusal.USER: "Check name and passcode, and with `leadglass user list` the user's site.",
    Refusal.PERSON: "Enrol the workstation under a new name, to somebody who may use it.",
    Refusal.TIMEOUT: "Look for a firewall or a slow line between the device and the archive.",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`problems` would stop the device now, `notes` will some day; `refusals` are what the doors refused that may have
    been it."""

    device: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    refusals: tuple[str, ...]
    last_seen: str


def diagnose(archive: "Archive", principal: Principal, name: str) -> Diagnosis:
    """Raises NotFound for a device that is not enrolled."""
    authorise(principal, Operation.ADMINISTER)
    device = archive.registry.device(name)
    refusals = dict.fromkeys(_in_words(_shown(row)) for row in islice(_refusals(archive, device), REFUSALS))
    seen = next((_shown(row)["time"] for row in _associations(archive, device)), "")
    problems, notes = _standing(device)
    return Diagnosis(name, problems, notes, tuple(refusals), seen)


def device_events(archive: "Archive", principal: Principal, name: str, limit: int) -> list[dict[str, Any]]:
    """The newest events first: the device's own, and refusals of strangers that used one of its titles or keys, or
    that never got as far as naming themselves."""
    authorise(principal, Operation.ADMINISTER)
    device = archive.registry.device(name)
    rows = merge(_refusals(archive, device), _associations(archive, device), key=lambda row: row.id, reverse=True)
    return [_shown(row) for row in islice(rows, limit)]


def _associations(archive: "Archive", device: DeviceRow) -> Iterator[EventRow]:
    return archive.index.events(action="association", principal=f"device:{device.name}", newest_first=True)


def _refusals(archive: "Archive", device: DeviceRow) -> Iterator[EventRow]:
    archive.refusals.flush()
    own = f"device:{device.name}"
    last = next(_associations(archive, device), None)
    is_remote = last is not None and not _is_loopback(json.loads(last.content).get("f", ""))
    for row in archive.index.events(action=ACTION, newest_first=True):
        if row.principal == own:
            yield row
        elif row.principal == "stranger":
            stranger = json.loads(row.content)
            # From this very machine knocks the archive itself, to see whether its doors are closed.
            if _may_be(device, stranger) and not (is_remote and _is_loopback(stranger.get("f", ""))):
                yield row


def _may_be(device: DeviceRow, stranger: dict[str, Any]) -> bool:
    calling, key = stranger["d"].get("calling", ""), stranger.get("c", "")
    return calling in device.aets or any(key == each.fingerprint for each in device.keys) or not (calling or key)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _shown(row: EventRow) -> dict[str, Any]:
    content = json.loads(row.content)
    when = f"{datetime.fromtimestamp(row.time_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    # Whom a workstation claims to be used by stays in the sealed event: administrators need it for nothing here.
    detail = {key: value for key, value in content.get("d", {}).items() if key != "claimed"}
    return {"time": when, "action": row.action, "peer": content.get("f", ""), **detail}


def _in_words(event: dict[str, Any]) -> str:
    refusal = Refusal[str(event["reason"]).upper()]
    times = f" ({event['count']} times within a minute)" if event.get("count", 1) > 1 else ""
    titles = f" as {event['calling']!r} to {event['called']!r}" if event.get("calling") else ""
    return f"{event['time']} from {event['peer']}{titles}: {refusal.value}{times}. {REMEDIES[refusal]}"


def _standing(device: DeviceRow) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems and notes of its enrolment."""
    now = time.time_ns() // 1000
    if device.disabled:
        return (f"{Refusal.DISABLED.value}. {REMEDIES[Refusal.DISABLED]}",), ()
    if device.suspended is not None:
        return (f"{Refusal.SUSPENDED.value}. {REMEDIES[Refusal.SUSPENDED]}",), ()
    good = [key for key in device.keys if key.retired_at is None or key.retired_at > now]
    lasting = max((key.not_after for key in good), default=0)
    if lasting <= now:
        return (f"{Refusal.CERTIFICATE_EXPIRED.value}. {REMEDIES[Refusal.CERTIFICATE_EXPIRED]}",), ()
    if lasting <= now + SOON_US:
        days = (lasting - now) // _DAY_US
        return (), (f"its certificate expires in {days} days. {REMEDIES[Refusal.CERTIFICATE_EXPIRED]}",)
    return (), ()
