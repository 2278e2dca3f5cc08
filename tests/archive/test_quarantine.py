"""What inspection holds back: kept once and sealed, shown to nobody, released as it was seen or destroyed for good."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from leadglass.archive.archive import Archive
from leadglass.archive.identity import Placement
from leadglass.archive.quarantine import (
    described,
    destroy,
    open_quarantined,
    quarantine_row,
    quarantined,
    release,
)
from leadglass.errors import NotAuthorised, NotFound, Quarantined, UsageError
from leadglass.index.held_rows import QuarantineRow
from leadglass.model import Level, Role, Scope
from tests.archive.opened import LOCAL, checked, device, opened, put
from tests.clients import ROOT, ct, instance_of
from tests.hostile.samples import EICAR_FILE
from tests.served import Served

T = TypeVar("T")
STUDY = f"{ROOT}.60"
STEWARD = device("steward", Role.STEWARD)
NORTHERN = device("northern", Role.STEWARD, "north")
HOSTILE = ct(1, study=STUDY, ImageComments=EICAR_FILE.decode())


def held_back(archive: Archive, data_set: bytes = HOSTILE) -> int:
    with pytest.raises(Quarantined, match="test-virus"):
        put(archive, data_set)
    return next(row.id for row in quarantined(archive, STEWARD) if row.sop_instance == instance_of(data_set))


def test_it_is_kept_once_and_shown_to_nobody(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)
        packs = archive.index.pack_ends()
        assert held_back(archive) == number
        assert archive.index.pack_ends() == packs
        (row,) = quarantined(archive, STEWARD)
        assert (row.attempts, row.state, row.principal) == (2, "held", "device:scanner")
        assert b"".join(open_quarantined(archive, row).chunks()) == HOSTILE
        assert list(archive.index.all_instances()) == []
        assert list(archive.index.find(Level.STUDY, {}, Scope(None), limit=None)) == []
        assert checked(archive).problems == ()
        events = [json.loads(event.content) for event in archive.index.events(action="quarantine")]
        assert [event["d"]["reasons"][0] for event in events] == ["test-virus", "test-virus"]


def test_why_is_told_without_a_word_of_the_patient(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        shown = described(quarantine_row(archive, STEWARD, held_back(archive)))
        assert shown["findings"][0]["path"] == "(0020,4000)"
        assert "Planted" not in json.dumps(shown)
        assert not {"wrapped_key", "object_id", "location"} & shown.keys()


def test_released_it_is_stored_and_its_retries_are_duplicates(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)
        release(archive, STEWARD, number)
        (stored,) = archive.index.all_instances()
        assert b"".join(archive.open(stored).chunks()) == HOSTILE
        assert put(archive, HOSTILE).placement is Placement.DUPLICATE
        assert quarantine_row(archive, STEWARD, number).state == "released"
        with pytest.raises(UsageError, match="released already"):
            destroy(archive, STEWARD, number)
        assert checked(archive).problems == ()
        (event,) = archive.index.events(action="quarantine-released")
        assert json.loads(event.content)["p"] == "device:steward"


def test_destroyed_nothing_opens_it_and_it_is_not_kept_again(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)
        destroy(archive, LOCAL, number)
        row = quarantine_row(archive, STEWARD, number)
        assert (row.state, row.wrapped_key) == ("destroyed", None)
        with pytest.raises(NotFound, match="destroyed"):
            open_quarantined(archive, row)
        packs = archive.index.pack_ends()
        with pytest.raises(Quarantined):
            put(archive, HOSTILE)
        assert archive.index.pack_ends() == packs
        assert list(quarantined(archive, STEWARD)) == []
        with pytest.raises(UsageError, match="destroyed already"):
            release(archive, STEWARD, number)
        assert checked(archive).problems == ()


def test_what_was_not_on_record_holds_it_back_still(furnished: Served, tmp_path: Path) -> None:
    """As after an update of the rules: of what is found today, the steward saw nothing."""
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)
        archive.committer.run(
            lambda writing: writing.tx._cursor.execute("UPDATE quarantine SET findings = '[]' WHERE id = ?", (number,))
        )
        with pytest.raises(Quarantined):
            release(archive, STEWARD, number)
        assert quarantine_row(archive, STEWARD, number).state == "held"
        assert list(archive.index.all_instances()) == []


def test_what_is_decided_meanwhile_is_not_stored(
    furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place and the decision are one transaction: a steward who destroys it first wins."""
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)

        class Overtaken:
            def __init__(self, row: QuarantineRow) -> None:
                self._reader = open_quarantined(archive, row)

            def chunks(self) -> Iterator[bytes]:
                yield from map(bytes, self._reader.chunks())
                destroy(archive, LOCAL, number)

        monkeypatch.setattr("leadglass.archive.quarantine.open_quarantined", lambda _, row: Overtaken(row))
        with pytest.raises(UsageError, match="destroyed already"):
            release(archive, STEWARD, number)
        assert list(archive.index.all_instances()) == []
        assert list(archive.index.events(action="store")) == []


@pytest.mark.parametrize("sent", [HOSTILE, ct(2, study=STUDY), ct(3, study=STUDY) + bytes(8)])
def test_what_may_have_been_committed_is_not_cut_off(
    furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """Held back, stored or disarmed: where nobody knows whether the transaction took place, the bytes stay."""
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive:
        with monkeypatch.context() as patched:
            submit, run_beside = archive.committer.submit, archive.committer.run_beside
            patched.setattr(archive.committer, "submit", lambda *job: _lost(submit(*job)))
            patched.setattr(archive.committer, "run_beside", lambda *job: _lose(run_beside(*job)))
            with pytest.raises(OSError, match="lost"):
                put(archive, sent)
        assert checked(archive).problems == ()
        assert put(archive, ct(4, study=STUDY)).placement is Placement.STORED
    with opened(folder) as archive:
        assert archive.repaired == ()
        assert checked(archive).problems == ()
        known = [*archive.index.quarantine_rows(Scope(None)), *archive.index.all_instances()]
        assert len(known) == 2


def _lost(answer: Future[T]) -> Future[T]:
    """The transaction took place, and its answer got lost."""
    lost: Future[T] = Future()
    answer.add_done_callback(lambda _: lost.set_exception(OSError("lost")))
    return lost


def _lose(_: object) -> Any:
    raise OSError("lost")


def test_who_may_decide(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        number = held_back(archive)
        for nobody in (device("scanner"), device("workstation", Role.CLINICIAN)):
            for verb in (release, destroy, quarantine_row):
                with pytest.raises(NotAuthorised):
                    verb(archive, nobody, number)
        assert list(quarantined(archive, NORTHERN)) == []
        for verb in (release, destroy, quarantine_row):
            with pytest.raises(NotFound):
                verb(archive, NORTHERN, number)


def test_it_is_there_after_a_restart(furnished: Served, tmp_path: Path) -> None:
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive:
        number = held_back(archive)
    with opened(folder) as archive:
        assert archive.repaired == ()
        row = quarantine_row(archive, LOCAL, number)
        assert b"".join(open_quarantined(archive, row).chunks()) == HOSTILE
        assert put(archive, ct(2, study=STUDY)).placement is Placement.STORED
