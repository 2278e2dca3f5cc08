"""Why a device cannot connect, in words: from its enrolment and from what the doors refused lately."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from leadglass.archive.admission import Refusal
from leadglass.archive.authorise import authorise
from leadglass.archive.refusals import ACTION
from leadglass.index.rows import DeviceRow
from leadglass.model import Operation, Principal

if TYPE_CHECKING:
    from leadglass.archive.archive import Archive

#: How many of the newest events are looked through.
SEARCHED = 20_000
_DAY_US = 86_400 * 1_000_000
SOON_US = 30 * _DAY_US

REMEDIES = {
    Refusal.UNKNOWN_KEY: "Install the certificate of its enrolment on it, or enrol its own with --cert or --csr.",
    Refusal.DISABLED: "Enrol it anew if it is to come back.",
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
    events = device_events(archive, principal, name, 50)
    refusals = dict.fromkeys(_in_words(event) for event in events if event["action"] == ACTION)
    seen = next((event["time"] for event in events if event["action"] == "association"), "")
    problems, notes = _standing(device)
    return Diagnosis(name, problems, notes, tuple(refusals), seen)


def device_events(archive: "Archive", principal: Principal, name: str, limit: int) -> list[dict[str, Any]]:
    """The newest events first: the device's own, and refusals of strangers that used one of its titles or keys, or
    that never got as far as naming themselves."""
    authorise(principal, Operation.ADMINISTER)
    device = archive.registry.device(name)
    archive.refusals.flush()
    fingerprints = {key.fingerprint for key in device.keys}
    found = (
        _shown(row.time_us, content)
        for row in archive.index.events(newest_first=True, limit=SEARCHED)
        if row.principal in (f"device:{name}", "stranger")
        and _concerns(content := json.loads(row.content), device, fingerprints)
    )
    return list(islice(found, limit))


def _concerns(content: dict[str, Any], device: DeviceRow, fingerprints: set[str]) -> bool:
    if content["p"] == f"device:{device.name}":
        return bool(content["a"] in (ACTION, "association"))
    calling, key = content["d"].get("calling", ""), content.get("c", "")
    return calling in device.aets or key in fingerprints or not (calling or key)


def _shown(time_us: int, content: dict[str, Any]) -> dict[str, Any]:
    when = datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="seconds")
    detail = content.get("d", {})
    return {"time": when, "action": content["a"], "peer": content.get("f", ""), **detail}


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
    good = [key for key in device.keys if key.retired_at is None or key.retired_at > now]
    lasting = max((key.not_after for key in good), default=0)
    if lasting <= now:
        return (f"{Refusal.CERTIFICATE_EXPIRED.value}. {REMEDIES[Refusal.CERTIFICATE_EXPIRED]}",), ()
    if lasting <= now + SOON_US:
        days = (lasting - now) // _DAY_US
        return (), (f"its certificate expires in {days} days. {REMEDIES[Refusal.CERTIFICATE_EXPIRED]}",)
    return (), ()
