"""What `device log` and `device test` find does not depend on how busy the others are."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.admission import Refusal
from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.committer import Writing
from leadglass.archive.diagnosis import REFUSALS, device_events, diagnose
from leadglass.archive.refusals import RefusedPeer
from leadglass.model import AccessEvent, Outcome, Principal
from tests.served import Served

ADMINISTRATOR = Principal("local", "root", frozenset(), credential="uid:0")
OTHERS = 20_001


@pytest.fixture
def busy(furnished: Served, tmp_path: Path) -> Iterator[Archive]:
    """The scanner was here once and was then refused once, long before a great many queries of others."""
    copy = furnished.copy(tmp_path)
    archive = open_archive(copy.data, copy.keys, ArchiveConfig(reserve_bytes=0))
    try:
        archive.committer.record(AccessEvent("association", Outcome.DONE, "device:scanner"))
        archive.refusals.record(RefusedPeer(Refusal.CALLED_AE, "192.0.2.1", "SCANNER", "OTHER", device="scanner"))

        def query(writing: Writing) -> None:
            for _ in range(OTHERS):
                writing.record(AccessEvent("query", Outcome.DONE, "device:workstation"))

        archive.committer.run(query)
        yield archive
    finally:
        archive.close()


def test_a_busy_archive_forgets_nothing(busy: Archive) -> None:
    found = device_events(busy, ADMINISTRATOR, "scanner", 50)
    assert [event["action"] for event in found] == ["association-refused", "association"]
    diagnosis = diagnose(busy, ADMINISTRATOR, "scanner")
    assert diagnosis.last_seen == found[-1]["time"]
    (refusal,) = diagnosis.refusals
    assert Refusal.CALLED_AE.value in refusal


def test_the_archives_own_look_at_its_doors_is_not_taken_for_a_device(busy: Archive) -> None:
    """A stranger from this machine may be a device that was seen here, and is none that was seen elsewhere."""

    def refused(address: str) -> int:
        busy.committer.record(AccessEvent("association", Outcome.DONE, "device:scanner", peer=address)).result()
        return len(diagnose(busy, ADMINISTRATOR, "scanner").refusals)

    busy.refusals.record(RefusedPeer(Refusal.NO_CERTIFICATE, "127.0.0.1"))
    assert [refused(address) for address in ("127.0.0.1", "192.0.2.1", "127.0.0.1")] == [2, 1, 2]
    busy.refusals.record(RefusedPeer(Refusal.NO_CERTIFICATE, "192.0.2.7"))
    assert refused("192.0.2.1") == 2


def test_many_refusals_do_not_hide_when_it_was_seen(busy: Archive) -> None:
    for _ in range(REFUSALS):
        busy.refusals.record(RefusedPeer(Refusal.CALLED_AE, "192.0.2.1", "SCANNER", "OTHER", device="scanner"))
    busy.committer.run(lambda _: None)
    assert diagnose(busy, ADMINISTRATOR, "scanner").last_seen
