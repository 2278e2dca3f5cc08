"""kill -9 before each write of the store path. The writes are not chosen by hand: the test traces one store, takes
every system call that writes, syncs or sends, and kills a fresh archive before each of them in turn.

After each crash: what was acknowledged is there byte for byte, the archive starts and says what it repaired, fsck finds
nothing, and the sender's retry succeeds and is stored once. So too for an object that is disarmed, of which two packs
and one commit hold the original and what is stored: there is never one without the other.
"""

from pathlib import Path

import pytest

from leadglass.archive.identity import Placement
from leadglass.archive.quarantine import open_quarantined
from leadglass.dicom import tags
from leadglass.dimse.status import ELEMENTS_DISCARDED, SUCCESS
from leadglass.model import Scope
from tests.archive.opened import checked, opened, put
from tests.clients import ROOT, ct, find, get, instance_of, store
from tests.fault.killing import Point, Sending, check_order, kill_at_each, points_of_a_store
from tests.hostile.armed import ARCHIVED, armed
from tests.served import Served

ACKNOWLEDGED = ct(1)
STUDY = f"{ROOT}.2"
UNDER_WAY = Sending(ct(2, study=STUDY), SUCCESS)
ARMED = Sending(armed(UNDER_WAY.data_set), ELEMENTS_DISCARDED)


@pytest.fixture(scope="module")
def template(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """An archive, stopped, in which one object was acknowledged."""
    with furnished.copy(tmp_path_factory.mktemp("template")) as archive:
        assert store(archive, ACKNOWLEDGED)[0].status == SUCCESS
    return archive


def test_kill_before_each_write(template: Served, tmp_path: Path) -> None:
    (tmp_path / "traced").mkdir()
    points = points_of_a_store(template, tmp_path / "traced", UNDER_WAY)
    check_order(points)
    assert len(points) >= 8
    kill_at_each(points, template, tmp_path, UNDER_WAY, check_whole)


def test_kill_before_each_write_of_what_is_disarmed(template: Served, tmp_path: Path) -> None:
    (tmp_path / "traced").mkdir()
    points = points_of_a_store(template, tmp_path / "traced", ARMED)
    check_order(points)
    assert len({point.path for point in points if point.path.endswith(".pack")}) == 2
    # What comes before the first byte of a pack, and after the commit, is as for any other object.
    packs = [number for number, point in enumerate(points) if point.path.endswith(".pack")]
    answer = next(number for number, point in enumerate(points) if number > packs[-1] and point.path == "socket")
    kill_at_each(points[packs[0] : answer + 1], template, tmp_path, ARMED, check_disarmed)


def check_whole(archive: Served, was_told: bool, point: Point) -> None:
    with archive:
        _, _, first = get(archive, {tags.STUDY_INSTANCE_UID: f"{ROOT}.1"})
        assert first == {instance_of(ACKNOWLEDGED): ACKNOWLEDGED}, point
        study = {tags.STUDY_INSTANCE_UID: STUDY, tags.NUMBER_OF_STUDY_RELATED_INSTANCES: ""}
        if was_told:
            assert len(find(archive, "STUDY", study)) == 1, point
        assert UNDER_WAY.was_acknowledged(archive), point
        counted = [found[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] for found in find(archive, "STUDY", study)]
        assert counted == ["1"], point
        _, _, second = get(archive, {tags.STUDY_INSTANCE_UID: STUDY})
        assert second == {instance_of(UNDER_WAY.data_set): UNDER_WAY.data_set}, point
    with opened(archive) as closed:
        assert checked(closed).problems == (), point


def check_disarmed(archive: Served, was_told: bool, point: Point) -> None:
    """Without a door: what recovery makes of the packs is the same, and the sender's retry too."""
    with opened(archive) as closed:
        before = [row for row in closed.index.all_instances() if row.study_uid == STUDY]
        originals = list(closed.index.quarantine_rows(Scope(None), "disarmed"))
        assert len(before) == len(originals), point
        assert before or not was_told, point
        placed = put(closed, ARMED.data_set)
        assert placed.placement is (Placement.DUPLICATE if before else Placement.STORED), point
        (stored,) = (row for row in closed.index.all_instances() if row.study_uid == STUDY)
        second = b"".join(closed.open(stored).chunks())
        assert ARCHIVED[:4] not in second, point
        assert second.endswith(UNDER_WAY.data_set[UNDER_WAY.data_set.index(b"\xe0\x7f\x10\0") :]), point
        (original,) = closed.index.quarantine_rows(Scope(None), "disarmed")
        assert b"".join(open_quarantined(closed, original).chunks()) == ARMED.data_set, point
        assert checked(closed).problems == (), point
