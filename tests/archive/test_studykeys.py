"""Study keys and log salts under rollbacks and races."""

from pathlib import Path

import pytest

from leadglass.archive.committer import Writing
from leadglass.index.attributes import study_from
from leadglass.model import AccessEvent, Outcome
from tests.archive.opened import checked, opened, put
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
