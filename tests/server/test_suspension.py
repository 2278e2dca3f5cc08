"""A device whose objects are held back again and again is shut out until somebody has looked at it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.dimse.status import SUCCESS
from leadglass.errors import LeadglassError, Quarantined
from tests.archive.opened import opened
from tests.clients import ROOT, ct, store
from tests.hostile.armed import infected
from tests.served import Served

SETTINGS = "[inspection]\nsuspend_after = 3\n"


@pytest.fixture
def strict(furnished: Served, tmp_path: Path) -> Iterator[Served]:
    with furnished.copy(tmp_path, settings=SETTINGS) as served:
        yield served


def hostile(number: int) -> bytes:
    return infected(ct(number, study=f"{ROOT}.71"))


def until_cut(archive: Served, *data_sets: bytes) -> None:
    """The last of them suspends its sender: whether that is still answered is a matter of who is faster."""
    try:
        store(archive, *data_sets)
    except (LeadglassError, OSError):
        return


def test_suspended_until_somebody_lifts_it(strict: Served) -> None:
    first = [response.status for response in store(strict, hostile(1), hostile(2), hostile(1), hostile(1))]
    assert first == [Quarantined.dimse_status] * 4
    assert store(strict, ct(9, study=f"{ROOT}.72"))[0].status == SUCCESS
    until_cut(strict, hostile(3))
    with pytest.raises((LeadglassError, OSError)):
        store(strict, ct(10, study=f"{ROOT}.72"))
    assert "suspended" in strict.run("device", "list")
    told = strict.run("device", "test", "scanner", status=1)
    assert "PROBLEM  the device is suspended" in told
    assert "refused" in told
    assert store(strict, ct(11, study=f"{ROOT}.73"), device="steward")[0].status == SUCCESS
    strict.run("device", "enable", "scanner")
    assert "suspended" not in strict.run("device", "list")
    # The count begins anew.
    assert [response.status for response in store(strict, hostile(4), ct(12, study=f"{ROOT}.72"))] == [
        Quarantined.dimse_status,
        SUCCESS,
    ]
    strict.stop()
    with opened(strict) as archive:
        (event,) = archive.index.events(action="device-suspended")
        assert json.loads(event.content)["d"] == {"device": "scanner", "objects": 3}
        (event,) = archive.index.events(action="device-enable")
        assert json.loads(event.content)["d"]["device"] == "scanner"


def test_what_is_not_suspended_is_not_lifted(archive: Served) -> None:
    assert "is not suspended" in archive.run("device", "enable", "scanner", status=2)
    assert "No device is named" in archive.run("device", "enable", "nobody", status=1)
