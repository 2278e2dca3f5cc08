"""What a steward is shown, who is told of it, and two stewards at once."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from leadglass.archive.review import accept, reject, review, reviews
from leadglass.errors import NotFound, UsageError
from leadglass.model import Role, Scope
from tests.archive.opened import LOCAL, device, opened, put
from tests.clients import ROOT, ct
from tests.served import Served

STUDY = f"{ROOT}.50"
STEWARD = device("steward", Role.STEWARD)
NORTHERN = device("northern", Role.STEWARD, "north")


def test_seeing_a_patient_is_an_event(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        put(archive, ct(study=STUDY, patient_name="Other^Name"))
        (listed,) = reviews(archive, STEWARD)
        assert set(asdict(listed)) == {
            *("id", "reason", "state", "created", "sop_instance_uid", "series_uid", "study_uid")
        }
        assert list(archive.index.events(action="review-shown")) == []
        assert review(archive, STEWARD, listed.id).patient_name == "Other^Name"
        (event,) = archive.index.events(action="review-shown")
        assert event.study_id == archive.index.studies(STUDY)[0].id
        content = json.loads(event.content)
        assert (content["p"], content["s"], content["d"]["review"]) == ("device:steward", STUDY, listed.id)
        assert "Name" not in json.dumps(content)


def test_a_steward_reviews_the_own_site(furnished: Served, tmp_path: Path) -> None:
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        put(archive, ct(study=STUDY, patient_name="Other^Name"))
        put(archive, ct(study=STUDY), device(site="north"))
        within, between = reviews(archive, LOCAL)
        assert list(reviews(archive, STEWARD)) == [within]
        assert list(reviews(archive, NORTHERN)) == []
        for act in (review, accept, reject):
            for hidden in (within, between):
                with pytest.raises(NotFound):
                    act(archive, NORTHERN, hidden.id)
            with pytest.raises(NotFound):
                act(archive, STEWARD, between.id)
        accept(archive, LOCAL, between.id)
        reject(archive, STEWARD, within.id)


def test_two_stewards_at_once(furnished: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second read the review as open, before the first decided it."""
    with opened(furnished.copy(tmp_path)) as archive:
        put(archive, ct(study=STUDY))
        put(archive, ct(study=STUDY, patient_name="Other^Name"))
        (listed,) = reviews(archive, LOCAL)
        stale = archive.index.review(listed.id, Scope(None))
        reject(archive, STEWARD, listed.id)
        monkeypatch.setattr(archive.index, "review", lambda *_: stale)
        for act in (accept, reject):
            with pytest.raises(UsageError, match="rejected already"):
                act(archive, LOCAL, listed.id)
        (decided,) = archive.index.events(action="review-rejected")
        assert decided.principal == "device:steward"
        assert list(archive.index.events(action="review-accepted")) == []
