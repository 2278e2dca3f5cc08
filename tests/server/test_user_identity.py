"""Users at workstations: User Identity Negotiation, PS3.7 D.3.3.7."""

from pathlib import Path

import pytest

from leadglass.dicom import tags, uids
from leadglass.dimse.connection import AssociationRefused
from leadglass.dimse.items import UserIdentity
from tests.archive.issuer import issuing
from tests.clients import ROOT, connected, ct, store
from tests.served import Served
from tests.server.log import events

PASSWORD = "a herd of purple llamas"
FIND = (uids.STUDY_ROOT_FIND, uids.EXPLICIT_LE)


def add(archive: Served, name: str, role: str, site: str = "default") -> None:
    words = ("user", "add", name, "--role", role, "--site", site, "--password-stdin")
    archive.run(*words, stdin=f"{PASSWORD}\n")


def named(name: str, passcode: str = PASSWORD, *, respond: bool = True) -> UserIdentity:
    return UserIdentity(2, respond, name.encode(), passcode.encode())


def test_a_user_with_the_right_passcode_is_the_person_on_record(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path)
    add(archive, "doctor", "clinician")
    with archive:
        for respond in (True, False):
            with connected(archive, "workstation", FIND, user=named("doctor", respond=respond)) as requestor:
                answered = requestor.accepted.user.user_identity_response
                assert answered == (b"" if respond else None)
                list(requestor.find(uids.STUDY_ROOT_FIND, {tags.QUERY_RETRIEVE_LEVEL: "STUDY"}))
        with pytest.raises(AssociationRefused), connected(archive, "workstation", FIND, user=named("doctor", "wrong")):
            pass
    queries = events(archive, "query")
    assert [(event["p"], event["h"]) for event in queries] == [("device:workstation", "user:doctor")] * 2
    refused = events(archive, "association-refused", "sign-in")
    assert [event["o"] for event in refused] == ["refused", "refused"]
    assert {event["p"] for event in refused} == {"user:doctor", "device:workstation"}
    assert PASSWORD not in str(events(archive))
    assert PASSWORD not in archive.log.read_text()


def test_a_user_narrows_what_the_device_may(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path)
    add(archive, "boss", "administrator")
    add(archive, "northern", "clinician", "north")
    add(archive, "gone", "clinician")
    archive.run("user", "disable", "gone")
    with archive:
        with connected(archive, "workstation", FIND) as requestor:
            assert requestor.contexts
        with connected(archive, "workstation", FIND, user=named("boss")) as requestor:
            assert not requestor.contexts
        for name in ("northern", "gone"):
            with pytest.raises(AssociationRefused), connected(archive, "workstation", FIND, user=named(name)):
                pass
        assert "belongs to another site" in archive.run("device", "test", "workstation", status=1)


def test_guessing_at_a_device_is_slowed_down(furnished: Served, tmp_path: Path) -> None:
    archive = furnished.copy(tmp_path)
    add(archive, "doctor", "clinician")
    with archive:
        for _ in range(6):
            with pytest.raises(AssociationRefused), connected(archive, "workstation", FIND, user=named("doctor", "no")):
                pass
        with pytest.raises(AssociationRefused), connected(archive, "workstation", FIND, user=named("doctor")):
            pass


def test_a_patients_token_sees_this_patient_only(furnished: Served, tmp_path: Path) -> None:
    """Type 5: what both the device and the user's token may, of this patient's studies."""
    (tmp_path / "issuer").mkdir()
    with issuing(tmp_path / "issuer") as issuer, furnished.copy(tmp_path, settings=issuer.settings()) as archive:
        store(archive, ct(study=f"{ROOT}.1", patient_id="P-1"), ct(study=f"{ROOT}.2", patient_id="P-2"))
        token = issuer.token_now(scope="patient/ImagingStudy.rs", patient_id="P-2")
        user = UserIdentity(5, True, token.encode(), b"")
        with connected(archive, "workstation", FIND, user=user) as requestor:
            keys = {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: ""}
            answers = list(requestor.find(uids.STUDY_ROOT_FIND, keys))
        assert [found[tags.STUDY_INSTANCE_UID] for _, found in answers[:-1]] == [f"{ROOT}.2"]
        strange = UserIdentity(5, True, issuer.token_now(aud="https://other.example").encode(), b"")
        with pytest.raises(AssociationRefused), connected(archive, "workstation", FIND, user=strange):
            pass
