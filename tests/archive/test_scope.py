"""What shares and patients' tokens add to and take from what a principal sees, in searches and retrievals."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.authorise import scope_of
from leadglass.archive.query import STUDY_ROOT, QueryRequest, query
from leadglass.archive.sharing import revoke_share, share, shares
from leadglass.archive.tokens import TokenRequest
from leadglass.archive.users import NewUser
from leadglass.dicom import tags
from leadglass.errors import NotFound, ProofTooOld
from leadglass.model import Principal, Role
from tests.clients import ROOT, ct, store
from tests.served import Served

LOCAL = Principal(kind="local", name="tester", roles=frozenset(), credential="uid:0")
HERE, THERE = f"{ROOT}.501", f"{ROOT}.502"
DAY = 86_400 * 1_000_000


@pytest.fixture(scope="module")
def filled(furnished: Served, tmp_path_factory: pytest.TempPathFactory) -> Served:
    served = furnished.copy(tmp_path_factory.mktemp("filled"))
    with served:
        store(served, ct(study=HERE, patient_id="P-1"))
        store(served, ct(study=THERE, patient_id="P-2"), device="north-scanner")
    return served


@pytest.fixture
def archive(filled: Served, tmp_path: Path) -> Iterator[Archive]:
    served = filled.copy(tmp_path)
    opened = open_archive(served.data, served.keys, ArchiveConfig())
    for name, site in (("anna", "default"), ("nora", "north")):
        opened.users.add(LOCAL, NewUser(name, ("clinician",), site))
    yield opened
    opened.close()


def somebody(archive: Archive, name: str) -> Principal:
    account = archive.users.user(name)
    return Principal(
        kind="user",
        name=name,
        roles=frozenset({Role.CLINICIAN}),
        site=account.site,
        account=account.id,
        proved=archive.clock(),
    )


def seen(archive: Archive, principal: Principal) -> set[str]:
    """By searching, and the same by retrieving."""
    request = QueryRequest(STUDY_ROOT, {tags.QUERY_RETRIEVE_LEVEL: "STUDY", tags.STUDY_INSTANCE_UID: ""})
    found = {str(answer[tags.STUDY_INSTANCE_UID]) for answer in query(archive, principal, request)}
    keys = {tags.STUDY_INSTANCE_UID: f"{HERE}\\{THERE}"}
    assert {row.study_uid for row in archive.index.locate(keys, scope_of(principal))} == found
    return found


def test_a_share_shows_one_study_until_it_ends(archive: Archive) -> None:
    anna, nora = somebody(archive, "anna"), somebody(archive, "nora")
    assert (seen(archive, anna), seen(archive, nora)) == ({HERE}, {THERE})
    share(archive, nora, THERE, "anna", archive.clock() + DAY)
    assert (seen(archive, anna), seen(archive, nora)) == ({HERE, THERE}, {THERE})
    with pytest.raises(NotFound):  # what is shared is not shared on
        share(archive, anna, THERE, "nora", archive.clock() + DAY)
    revoke_share(archive, nora, THERE, shares(archive, nora, THERE)[0].id)
    assert seen(archive, anna) == {HERE}


def test_a_share_is_never_more_than_the_sharer_may_see_now(archive: Archive) -> None:
    anna = somebody(archive, "anna")
    share(archive, somebody(archive, "nora"), THERE, "anna", archive.clock() + DAY)
    nora = archive.users.user("nora")

    def changed(site: str, role: Role) -> set[str]:
        archive.users.change(lambda writing: writing.tx.set_standing(nora.id, site, (role.value,)))
        return seen(archive, anna)

    # A provider may say of a user tomorrow what it does not say today.
    assert changed("default", Role.CLINICIAN) == changed("north", Role.ADMINISTRATOR) == {HERE}
    assert changed("north", Role.STEWARD) == {HERE, THERE}
    archive.users.disable(LOCAL, "nora")
    assert seen(archive, anna) == {HERE}


def test_sharing_needs_a_fresh_proof(archive: Archive) -> None:
    nora = somebody(archive, "nora")
    stale = Principal(
        kind="user", name="nora", roles=nora.roles, site="north", account=nora.account, proved=nora.proved - 301_000_000
    )
    with pytest.raises(ProofTooOld):
        share(archive, stale, THERE, "anna", archive.clock() + DAY)


def test_a_patients_token_sees_this_patient_only(archive: Archive) -> None:
    share(archive, somebody(archive, "nora"), THERE, "anna", archive.clock() + DAY)
    for patient, expected in (("P-1", {HERE}), ("P-2", {THERE}), ("P-3", set()), ("", set()), ("P-*", set())):
        request = TokenRequest("anna", DAY, patients=((patient, ""),))
        assert seen(archive, archive.tokens.principal(archive.tokens.create(LOCAL, request))) == expected
    other_issuer = TokenRequest("anna", DAY, patients=(("P-1", "ELSEWHERE"),))
    assert seen(archive, archive.tokens.principal(archive.tokens.create(LOCAL, other_issuer))) == set()
