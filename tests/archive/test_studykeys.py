"""Study keys and log salts under rollbacks and races."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from leadglass.archive.committer import Writing
from leadglass.archive.studykeys import Claim, Keyring
from leadglass.crypto.keys import KeyDirectory
from leadglass.errors import NotAvailable, VerificationFailed
from leadglass.index.attributes import study_from
from leadglass.index.rows import StudyRow
from leadglass.model import AccessEvent, Outcome
from tests.archive.opened import TellingLock, checked, opened, put
from tests.clients import ROOT, ct
from tests.served import Served

STUDY = f"{ROOT}.40"


class _FailureError(Exception):
    pass


def test_a_salt_of_a_study_that_was_rolled_back_is_forgotten(furnished: Served, tmp_path: Path) -> None:
    """Its number goes to the next study, whose events are salted otherwise."""
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive:

        def fail(writing: Writing) -> None:
            tx = writing.tx
            study = tx.add_study(
                study_from({}),
                uid=STUDY,
                owner=True,
                patient_key=tx.patient("P-1", ""),
                site="default",
                wrapped_key=b"key",
                log_salt=archive.salts.new(),
            )
            writing.record(AccessEvent("store", Outcome.DONE, "device:scanner"), study)
            raise _FailureError

        with pytest.raises(_FailureError):
            archive.committer.run(fail)
        put(archive, ct(study=STUDY))
    with opened(folder) as archive:
        assert checked(archive).problems == ()


def test_a_row_that_names_another_studys_object_is_refused(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        put(archive, ct(study=f"{STUDY}.2"))
        one, other = archive.index.all_instances()
        assert archive.open(other).length == other.plain_length  # so that its study's key lies ready
        swapped = replace(one, location=other.location, object_id=other.object_id)
        with pytest.raises(VerificationFailed):
            archive.open(swapped).read(0, 1)


def test_an_object_under_a_key_that_is_not_its_studys_is_rolled_back(furnished: Served, tmp_path: Path) -> None:
    folder = furnished.copy(tmp_path)
    with opened(folder) as archive:
        put(archive, ct(1, study=STUDY))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive.index, "studies", lambda _: [])
            archive.keyring = Keyring(KeyDirectory.open(folder.keys).root(), archive.archive_id, archive.index)
            with pytest.raises(NotAvailable):
                put(archive, ct(2, study=STUDY))
        assert archive.index.counts().instances == 1
        assert checked(archive).problems == ()


def test_two_that_begin_a_study_use_one_key(furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when the first has stored, and its key is not kept any more, between two steps of the second."""
    with opened(furnished.copy(tmp_path)) as archive:
        keyring, data_set = archive.keyring, ct(study=STUDY)
        lock, read = TellingLock(), archive.index.studies
        monkeypatch.setattr(keyring, "_lock", lock)
        monkeypatch.setattr("leadglass.archive.studykeys.CACHED_KEYS", 1)

        def store_first() -> None:
            put(archive, data_set)
            keyring.acquire(Claim(f"{STUDY}.9", "", "", ""))  # takes the only place
            lock.awaited.set()

        first = threading.Thread(target=store_first)

        def overtaken(uid: str) -> list[StudyRow]:
            found = read(uid)
            if first.ident is None:
                first.start()
                lock.awaited.wait()
            return found

        monkeypatch.setattr(archive.index, "studies", overtaken)
        second = keyring.acquire(Claim(STUDY, "P-1", "", "default"))
        first.join()
        assert [study.wrapped_key for study in read(STUDY)] == [second.wrapped]
