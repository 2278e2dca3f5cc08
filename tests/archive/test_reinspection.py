"""Everything in the archive by rules that it did not have when it was stored."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from leadglass.archive import reinspection
from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.identity import Placement
from leadglass.archive.quarantine import open_quarantined, quarantined, release
from leadglass.archive.reinspection import Reinspected, Request, reinspect
from leadglass.dicom import tags
from leadglass.errors import NotAuthorised, Quarantined
from leadglass.index.rows import InstanceState
from leadglass.inspection.batch import Settings, engines_of
from leadglass.model import Level, Role, Scope
from tests.archive.opened import LOCAL, checked, device, opened, put
from tests.clients import ROOT, ct, instance_of
from tests.served import Served

STUDY = f"{ROOT}.76"
MARKED = ct(2, study=STUDY, ImageComments="LEADGLASS-RULE-TEST")
STEWARD = device("steward", Role.STEWARD)
REPORT, MOVE = Request(True, 1 << 30, False), Request(False, 1 << 30, False)


@contextmanager
def updated(folder: Served) -> Iterator[Archive]:
    """The archive with a rule that it did not have before."""
    rule = folder.folder / "new.yar"
    rule.write_text('rule marked { strings: $a = "LEADGLASS-RULE-TEST" condition: $a }\n')
    config = ArchiveConfig(engines=engines_of(Settings(extra_rules=(rule,))))
    archive = open_archive(folder.data, folder.keys, config)
    try:
        yield archive
    finally:
        archive.close()


@pytest.fixture
def folder(furnished: Served, tmp_path: Path) -> Served:
    """Three instances, one of which the rule will not like."""
    copy = furnished.copy(tmp_path)
    with opened(copy) as archive:
        for data_set in (ct(1, study=STUDY), MARKED, ct(3, study=STUDY) + bytes(8)):
            put(archive, data_set)
    return copy


def run(archive: Archive, request: Request) -> Reinspected:
    return reinspect(archive, LOCAL, request, lambda *_: None)


def shown(archive: Archive) -> list[str]:
    found = archive.index.find(
        Level.IMAGE, {tags.STUDY_INSTANCE_UID: STUDY, tags.SOP_INSTANCE_UID: ""}, Scope(None), limit=None
    )
    return sorted(str(each[tags.SOP_INSTANCE_UID]) for each in found)


def test_what_is_found_is_withdrawn_and_sealed_apart(folder: Served) -> None:
    with updated(folder) as archive:
        everything = shown(archive)
        found = run(archive, MOVE)
        assert (found.instances, found.held_back, found.problems) == (3, 1, [])
        (row,) = quarantined(archive, STEWARD)
        assert (row.id, row.sop_instance) == (found.found[0].quarantine, instance_of(MARKED))
        assert b"".join(open_quarantined(archive, row).chunks()) == MARKED
        assert shown(archive) == [each for each in everything if each != instance_of(MARKED)]
        assert list(archive.index.locate({tags.SOP_INSTANCE_UID: instance_of(MARKED)}, Scope(None))) == []
        assert checked(archive).problems == ()
        (event,) = archive.index.events(action="withdraw")
        assert json.loads(event.content)["d"]["reasons"] == ["rule"]
        (event,) = archive.index.events(action="reinspect")
        assert json.loads(event.content)["d"]["held_back"] == 1
        assert run(archive, MOVE).held_back == 0
        with pytest.raises(Quarantined):
            put(archive, MARKED)


def test_released_it_is_shown_again_and_not_found_again(folder: Served) -> None:
    with updated(folder) as archive:
        everything = shown(archive)
        number = run(archive, MOVE).found[0].quarantine
        packs = archive.index.pack_ends()
        release(archive, STEWARD, number)
        assert shown(archive) == everything
        assert archive.index.pack_ends() == packs
        assert run(archive, MOVE).held_back == 0
        assert put(archive, MARKED).placement is Placement.DUPLICATE
        assert checked(archive).problems == ()


def test_beside_a_version_that_came_meanwhile_a_released_one_waits(folder: Served) -> None:
    with updated(folder) as archive:
        number = run(archive, MOVE).found[0].quarantine
        clean = ct(2, study=STUDY, ImageComments="nothing")
        assert put(archive, clean).placement is Placement.STORED
        release(archive, STEWARD, number)
        states = sorted(row.state for row in archive.index.all_instances() if row.uid == instance_of(MARKED))
        assert states == [InstanceState.VISIBLE, InstanceState.REVISION]
        assert [each.reason for each in archive.index.reviews(Scope(None))] == ["other-header"]


def test_it_can_be_reported_only(folder: Served) -> None:
    with updated(folder) as archive:
        everything = shown(archive)
        found = run(archive, REPORT)
        assert [(each.instance, each.quarantine) for each in found.found] == [(instance_of(MARKED), 0)]
        assert shown(archive) == everything
        assert list(quarantined(archive, STEWARD)) == []


def test_an_interrupted_run_goes_on(folder: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reinspection, "_NOTED_EVERY", 1)

    def interrupt(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with updated(folder) as archive, pytest.raises(KeyboardInterrupt):
        reinspect(archive, LOCAL, REPORT, interrupt)
    with updated(folder) as archive:
        assert run(archive, REPORT).instances == 1
        assert run(archive, REPORT).instances == 3


def test_who_may(folder: Served) -> None:
    with updated(folder) as archive:
        for nobody in (device(), device("workstation", Role.CLINICIAN)):
            with pytest.raises(NotAuthorised):
                reinspect(archive, nobody, REPORT, lambda *_: None)


def test_at_the_command_line(folder: Served) -> None:
    assert "3 instances" in folder.run("reinspect")
    rule = folder.folder / "new.yar"
    rule.write_text('rule marked { strings: $a = "LEADGLASS-RULE-TEST" condition: $a }\n')
    configured = folder.folder / "rules.toml"
    configured.write_text(f'[inspection]\nextra_rules = ["{rule}"]\n')
    told = folder.run("reinspect", "--report-only", "--config", str(configured), status=1)
    assert f"FOUND     {instance_of(MARKED)}: rule (left)" in told
    assert "1 with findings" in folder.run("reinspect", "--rate", "1", "--config", str(configured), status=1)
    assert "0 with findings" in folder.run("reinspect", "--anew", "--config", str(configured))
