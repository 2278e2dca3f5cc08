"""Who has looked at a study, and how much of it: in the listing each end stands with the begin that it belongs to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.archive.access import Access, AccessLog, Taken
from leadglass.archive.archive import Archive
from leadglass.archive.disclosures import disclosures
from leadglass.model import Principal, Role
from tests.archive.opened import device, opened, put
from tests.clients import ROOT, ct
from tests.served import Served

STUDY = f"{ROOT}.1"
AUDITOR = Principal("user", "auditor", frozenset({Role.AUDITOR}), site="")


@pytest.fixture
def archive(furnished: Served, tmp_path: Path) -> Iterator[Archive]:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(1))
        yield archive


def read_by(person: str, study_id: int) -> Access:
    """At the same workstation, whoever it is."""
    return Access.of(replace(device("workstation"), person=person), study_id, STUDY, "192.0.2.1")


def listed(archive: Archive) -> list[tuple[str, str]]:
    """By whom and how much, the newest first."""
    return [(each.person, each.what) for each in disclosures(archive, AUDITOR, STUDY)]


def test_several_accesses_of_one_person(archive: Archive) -> None:
    """The first was never closed, the last is open still."""
    (study,) = archive.index.studies(STUDY)
    log, access = AccessLog(archive.committer), read_by("Ada", study.id)
    log.open([access])
    for instances in (2, 3):
        log.open([access])
        log.close(access, Taken(instances))
    log.open([access])
    assert [what for _, what in listed(archive)] == [
        "Opened it",
        "Opened it: 3 objects",
        "Opened it: 2 objects",
        "Opened it",
    ]


def test_no_end_is_lost_where_accesses_overlap(archive: Archive) -> None:
    """As two processes with a ledger each wrote them."""
    (study,) = archive.index.studies(STUDY)
    log, access = AccessLog(archive.committer), read_by("Ada", study.id)
    log.open([access])
    log.open([access])
    log.close(access, Taken(2))
    log.close(access, Taken(3))
    assert [what for _, what in listed(archive)] == ["Opened it: 3 objects", "Opened it: 2 objects"]


def test_several_people_at_one_workstation(archive: Archive) -> None:
    (study,) = archive.index.studies(STUDY)
    log, ada, ben = AccessLog(archive.committer), read_by("Ada", study.id), read_by("Ben", study.id)
    log.open([ada])
    log.open([ben])
    log.close(ben, Taken(3))
    log.close(ada, Taken(2))
    assert listed(archive) == [("Ben", "Opened it: 3 objects"), ("Ada", "Opened it: 2 objects")]


def test_an_end_is_of_its_own_study(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sites have one of this UID. The newest event of one is an end, whose begin is not listed any more; whoever
    reads the other has not ended."""
    put(archive, ct(2), device("north-ct", site="north"))
    one, other = archive.index.studies(STUDY)
    log = AccessLog(archive.committer)
    log.open([read_by("Ada", one.id)])
    log.close(read_by("Ada", one.id), Taken(2))
    log.open([read_by("Ada", other.id)])
    monkeypatch.setattr("leadglass.archive.disclosures.MOST", 1)
    assert listed(archive) == [("Ada", "Opened it")]
