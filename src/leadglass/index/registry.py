"""Rows of enrolled devices, their AE titles and their keys."""

import json
import time
from typing import Any

from leadglass.errors import UsageError
from leadglass.index.rows import DeviceKeyRow, DeviceRow, NewDevice, NewDeviceKey

_INSERT_DEVICE = (
    "INSERT INTO device (name, site, roles, issuer, person, may_revise, private_sop_classes, destination, disabled, "
    "created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
)
_INSERT_KEY = (
    "INSERT INTO device_key (device_id, fingerprint, certificate, anchor, not_before, not_after) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)


class RegistryWriter:
    """Changes the registry, in the writer's transaction."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def add_device(self, device: NewDevice) -> int:
        """Raises UsageError when the name is taken."""
        if self._cursor.execute("SELECT 1 FROM device WHERE name = ?", (device.name,)).fetchone():
            raise UsageError(f"A device named {device.name!r} exists.")
        values = (
            device.name,
            device.site,
            json.dumps(device.roles),
            device.issuer,
            device.person,
            int(device.may_revise),
            json.dumps(device.private_sop_classes),
            device.destination,
            time.time_ns() // 1000,
        )
        device_id = int(self._cursor.execute(_INSERT_DEVICE, values).lastrowid)
        self._cursor.executemany(
            "INSERT INTO device_aet (device_id, position, title) VALUES (?, ?, ?)",
            [(device_id, position, title) for position, title in enumerate(device.aets)],
        )
        return device_id

    def update_device(self, device_id: int, *, disabled: bool) -> None:
        self._cursor.execute("UPDATE device SET disabled = ? WHERE id = ?", (int(disabled), device_id))

    def suspend_device(self, device_id: int, moment: int) -> None:
        self._cursor.execute("UPDATE device SET suspended = ? WHERE id = ?", (moment, device_id))

    def resume_device(self, device_id: int, moment: int) -> None:
        self._cursor.execute("UPDATE device SET suspended = NULL, resumed = ? WHERE id = ?", (moment, device_id))

    def add_device_key(self, device_id: int, key: NewDeviceKey) -> int:
        """Raises UsageError when a key with that fingerprint is active already."""
        query = "SELECT 1 FROM device_key WHERE fingerprint = ? AND retired_at IS NULL"
        if self._cursor.execute(query, (key.fingerprint,)).fetchone():
            raise UsageError("That key is enrolled already.", "A device is bound to a key of its own.")
        values = (device_id, key.fingerprint, key.certificate, key.anchor, key.not_before, key.not_after)
        return int(self._cursor.execute(_INSERT_KEY, values).lastrowid)

    def retire_device_key(self, key_id: int, retired_at: int) -> None:
        """The key serves until `retired_at`."""
        self._cursor.execute("UPDATE device_key SET retired_at = ? WHERE id = ?", (retired_at, key_id))


def devices(cursor: Any) -> tuple[DeviceRow, ...]:
    """All devices by name, with their titles and all their keys, retired ones too."""
    titles: dict[int, list[str]] = {}
    for device_id, title in cursor.execute("SELECT device_id, title FROM device_aet ORDER BY device_id, position"):
        titles.setdefault(device_id, []).append(title)
    keys: dict[int, list[DeviceKeyRow]] = {}
    for device_id, *key in cursor.execute(
        "SELECT device_id, id, fingerprint, certificate, anchor, not_before, not_after, retired_at "
        "FROM device_key ORDER BY id"
    ):
        keys.setdefault(device_id, []).append(DeviceKeyRow(*key))
    rows = cursor.execute(
        "SELECT id, name, site, roles, issuer, person, may_revise, private_sop_classes, destination, disabled, "
        "created, suspended, resumed FROM device ORDER BY name"
    )
    return tuple(_device(row, titles.get(row[0], []), keys.get(row[0], [])) for row in rows)


def _device(row: tuple[Any, ...], titles: list[str], keys: list[DeviceKeyRow]) -> DeviceRow:
    return DeviceRow(
        id=row[0],
        name=row[1],
        site=row[2],
        roles=tuple(json.loads(row[3])),
        aets=tuple(titles),
        issuer=row[4],
        person=row[5],
        may_revise=bool(row[6]),
        private_sop_classes=tuple(json.loads(row[7])),
        destination=row[8],
        disabled=bool(row[9]),
        created=row[10],
        suspended=row[11],
        resumed=row[12],
        keys=tuple(keys),
    )
