"""Sessions, lock-outs, links and tokens as time passes: on a clock that the tests set."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyotp
import pytest

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.committer import Writing
from leadglass.archive.lockouts import MOST, LockedOut
from leadglass.archive.passkeys import Registered
from leadglass.archive.sessions import SessionLimits
from leadglass.archive.tokens import TokenRequest
from leadglass.archive.users import NewUser, user_described
from leadglass.errors import NotAuthenticated, NotAuthorised, ProofTooOld, UsageError, VerificationFailed
from leadglass.index.account_rows import AccountRow
from leadglass.model import Operation, Principal, Role
from tests.served import Served

LOCAL = Principal(kind="local", name="tester", roles=frozenset(), credential="uid:0")
PASSWORD = "a herd of purple llamas"
PEER = "https:192.0.2.7"
HOUR = 3600


class Clock:
    """In seconds; the archive asks for µs."""

    def __init__(self) -> None:
        self.now = 2_000_000_000

    def __call__(self) -> int:
        return self.now * 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(furnished: Served, tmp_path: Path, clock: Clock) -> Iterator[Archive]:
    with opened(furnished.copy(tmp_path), clock) as archive:
        yield archive


@contextmanager
def opened(served: Served, clock: Clock) -> Iterator[Archive]:
    config = ArchiveConfig(clock=clock, sessions=SessionLimits(idle=600, absolute=2 * HOUR))
    archive = open_archive(served.data, served.keys, config)
    try:
        yield archive
    finally:
        archive.close()


def enrolled(archive: Archive, name: str, *roles: str) -> tuple[AccountRow, pyotp.TOTP]:
    secret = archive.enrolments.add(LOCAL, NewUser(name, roles or ("clinician",)))
    totp = pyotp.TOTP(pyotp.random_base32())
    code = totp.at(archive.clock() // 1_000_000)
    return archive.enrolments.finish_with_password(secret, PASSWORD, totp.secret, code, PEER), totp


def sign_in(archive: Archive, account: AccountRow, totp: pyotp.TOTP, clock: Clock) -> str:
    clock.now += 30  # the next code
    archive.sign_in.with_password(account.name, PASSWORD, totp.at(clock.now), PEER)
    return archive.sessions.open(account, Role(account.roles[0]), "password", PEER)


def actions(archive: Archive) -> list[str]:
    archive.committer.run(lambda _: None)  # behind all that is queued
    return [event.action for event in archive.index.events()]


def test_idle_and_absolute_time_end_a_session(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    secret = sign_in(archive, account, totp, clock)
    for _ in range(11):
        clock.now += 599
        assert archive.sessions.principal(secret).name == "anna"
    clock.now += 601
    with pytest.raises(NotAuthenticated, match="without activity"):
        archive.sessions.principal(secret)
    secret = sign_in(archive, account, totp, clock)
    for _ in range(12):
        clock.now += 599
        archive.sessions.principal(secret)
    clock.now += 599
    with pytest.raises(NotAuthenticated):
        archive.sessions.principal(secret)
    assert actions(archive).count("session-timed-out") == 2


def test_sessions_that_nobody_uses_are_swept(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    sign_in(archive, account, totp, clock)
    clock.now += 601
    archive.sessions.sweep()
    assert archive.sessions.count == 0
    assert actions(archive)[-1] == "session-timed-out"
    assert archive.index.sessions() == ()


def test_last_use_survives_a_restart(furnished: Served, tmp_path: Path, clock: Clock) -> None:
    served = furnished.copy(tmp_path)
    with opened(served, clock) as archive:
        account, totp = enrolled(archive, "anna")
        secret = sign_in(archive, account, totp, clock)
        clock.now += 500
        archive.sessions.principal(secret)
        archive.sessions.sweep()
    clock.now += 500
    with opened(served, clock) as archive:
        assert archive.sessions.principal(secret).name == "anna"


def test_secrets_are_not_on_disk(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    session = sign_in(archive, account, totp, clock)
    token = archive.tokens.create(LOCAL, TokenRequest("anna", HOUR * 1_000_000))
    stored = repr((archive.index.sessions(), archive.index.tokens(), archive.index.accounts()))
    raw = b"".join(bytes(row.totp) + row.password.encode() for row in archive.index.accounts())
    for secret in (session, token, totp.secret, PASSWORD):
        assert secret not in stored
        assert secret.encode() not in raw


def test_grants_need_a_fresh_proof(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "boss", "administrator")
    secret = sign_in(archive, account, totp, clock)
    archive.enrolments.add(archive.sessions.principal(secret), NewUser("bert", ("clinician",)))
    clock.now += 301
    stale = archive.sessions.principal(secret)
    with pytest.raises(ProofTooOld):
        archive.enrolments.add(stale, NewUser("carl", ("clinician",)))
    with pytest.raises(ProofTooOld):
        archive.enrolments.reset(stale, "bert")
    with pytest.raises(ProofTooOld):
        archive.tokens.create(stale, TokenRequest("bert", HOUR))
    archive.sessions.prove(secret, account.id, PEER)
    archive.enrolments.reset(archive.sessions.principal(secret), "bert")
    archive.users.disable(stale, "bert")  # what takes away is never put off
    assert {"user-add", "user-invite", "user-reset", "user-disable", "sign-in-again"} <= set(actions(archive))


def test_a_token_grants_nothing(archive: Archive) -> None:
    enrolled(archive, "boss", "administrator")
    bearer = archive.tokens.principal(archive.tokens.create(LOCAL, TokenRequest("boss", HOUR * 1_000_000)))
    with pytest.raises(ProofTooOld):
        archive.tokens.create(bearer, TokenRequest("boss", HOUR))


def test_tokens_expire_and_keep_to_their_scope(archive: Archive, clock: Clock) -> None:
    enrolled(archive, "anna", "clinician", "steward")
    with pytest.raises(UsageError, match="one role"):
        archive.tokens.create(LOCAL, TokenRequest("anna", HOUR))
    with pytest.raises(UsageError, match="may not"):
        archive.tokens.create(LOCAL, TokenRequest("anna", HOUR, "clinician", ("store",)))
    with pytest.raises(UsageError, match="366"):
        archive.tokens.create(LOCAL, TokenRequest("anna", 367 * 24 * HOUR * 1_000_000, "clinician"))
    request = TokenRequest("anna", HOUR * 1_000_000, "clinician", ("query",), (("P-1", ""),))
    token = archive.tokens.create(LOCAL, request)
    bearer = archive.tokens.principal(token)
    assert bearer.only == frozenset({Operation.QUERY})
    assert bearer.patients == frozenset({("P-1", "")})
    clock.now += HOUR
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(token)


def test_an_account_is_locked_out_for_ever_longer(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    waits = []
    for _ in range(12):
        with pytest.raises(NotAuthenticated) as refused:
            archive.sign_in.with_password("anna", "wrong wrong wrong", "000000", PEER)
        if isinstance(refused.value, LockedOut):
            waits.append(refused.value.seconds)
            clock.now += refused.value.seconds
    assert waits == sorted(waits)
    assert waits[:3] == [30, 60, 120]
    with pytest.raises(LockedOut):  # however right, and from wherever
        archive.sign_in.with_password("anna", PASSWORD, totp.at(clock.now), "https:198.51.100.1")
    clock.now += 15 * 60
    sign_in(archive, account, totp, clock)
    with pytest.raises(NotAuthenticated) as refused:
        archive.sign_in.with_password("anna", "wrong wrong wrong", "000000", PEER)
    assert not isinstance(refused.value, LockedOut)


def test_an_address_is_locked_out_whatever_names_it_tries(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    found = []
    for number in range(32):
        with pytest.raises(NotAuthenticated) as refused:
            archive.sign_in.with_password(f"guess-{number}", "", "", "https:2001:db8::1")
        found.append(isinstance(refused.value, LockedOut))
    assert found == [False] * 31 + [True]
    with pytest.raises(LockedOut):  # the same subscriber's network
        archive.sign_in.with_password("other", "", "", "https:2001:db8::2")
    sign_in(archive, account, totp, clock)  # others are not


def test_lockouts_survive_a_restart(furnished: Served, tmp_path: Path, clock: Clock) -> None:
    served = furnished.copy(tmp_path)
    with opened(served, clock) as archive:
        enrolled(archive, "anna")
        for _ in range(6):
            with pytest.raises(NotAuthenticated):
                archive.sign_in.with_password("anna", "wrong wrong wrong", "", PEER)
    with opened(served, clock) as archive, pytest.raises(LockedOut):
        archive.sign_in.with_password("anna", PASSWORD, "", PEER)


def test_a_code_works_once_and_only_about_its_time(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    clock.now += 300
    code = totp.at(clock.now)
    assert archive.sign_in.with_password("anna", PASSWORD, code, PEER) == archive.users.user("anna")
    for replayed in (code, totp.at(clock.now - 30), totp.at(clock.now - 90), totp.at(clock.now + 90)):
        with pytest.raises(NotAuthenticated):
            archive.sign_in.with_password("anna", PASSWORD, replayed, PEER)
    assert archive.sign_in.with_password("anna", PASSWORD, totp.at(clock.now + 30), PEER).id == account.id


def test_links_expire_and_the_first_one_waits_for_serve(archive: Archive, clock: Clock) -> None:
    soon = archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)))
    first = archive.enrolments.add(LOCAL, NewUser("boss", ("administrator",)), waits=True)
    with pytest.raises(NotAuthenticated):
        archive.enrolments.account(first, PEER)
    clock.now += 100 * HOUR
    archive.enrolments.start_waiting()
    with pytest.raises(NotAuthenticated):
        archive.enrolments.account(soon, PEER)
    clock.now += 24 * HOUR - 1
    assert archive.enrolments.account(first, PEER).name == "boss"
    clock.now += 1
    with pytest.raises(NotAuthenticated):
        archive.enrolments.account(first, PEER)


def test_a_link_is_used_once_even_by_two_at_a_time(archive: Archive) -> None:
    secret = archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)))
    totp = pyotp.TOTP(pyotp.random_base32())
    code = totp.at(archive.clock() // 1_000_000)
    with pytest.raises(VerificationFailed):
        archive.enrolments.finish_with_password(secret, PASSWORD, totp.secret, "000000", PEER)
    archive.enrolments.finish_with_password(secret, PASSWORD, totp.secret, code, PEER)
    with pytest.raises(NotAuthenticated):
        archive.enrolments.finish_with_password(secret, PASSWORD, totp.secret, code, PEER)


@pytest.mark.parametrize(
    "user",
    [
        NewUser("", ("clinician",)),
        NewUser("Anna", ("clinician",)),
        NewUser("a b", ("clinician",)),
        NewUser("anna", ()),
        NewUser("anna", ("modality",)),
        NewUser("anna", ("root",)),
        NewUser("anna", ("clinician",), site=""),
        NewUser("anna", ("clinician",), person="a\x1b[2J"),
    ],
)
def test_users_that_cannot_be_meant(archive: Archive, user: NewUser) -> None:
    with pytest.raises(UsageError):
        archive.users.add(LOCAL, user)


@pytest.mark.parametrize("role", [Role.CLINICIAN, Role.STEWARD, Role.AUDITOR])
def test_only_administrators_manage_users(archive: Archive, role: Role) -> None:
    somebody = Principal(kind="user", name="x", roles=frozenset({role}), proved=archive.clock())
    with pytest.raises(NotAuthorised):
        archive.enrolments.add(somebody, NewUser("carl", ("clinician",)))
    with pytest.raises(NotAuthorised):
        archive.enrolments.reset(somebody, "carl")
    with pytest.raises(NotAuthorised):
        archive.users.disable(somebody, "carl")
    with pytest.raises(NotAuthorised):
        archive.tokens.create(somebody, TokenRequest("carl", HOUR))
    with pytest.raises(NotAuthorised):
        archive.tokens.listed(somebody)
    with pytest.raises(NotAuthorised):
        archive.tokens.revoke(somebody, "x")


def test_a_proof_that_was_given_before_a_reset_opens_nothing(archive: Archive, clock: Clock) -> None:
    totp = enrolled(archive, "anna")[1]
    clock.now += 30
    proved = archive.sign_in.with_password("anna", PASSWORD, totp.at(clock.now), PEER)
    archive.enrolments.reset(LOCAL, "anna")
    with pytest.raises(NotAuthenticated, match="meanwhile"):
        archive.sessions.open(proved, Role.CLINICIAN, "password", PEER)
    assert (archive.sessions.count, archive.index.sessions()) == (0, ())
    bert, _ = enrolled(archive, "bert")
    archive.users.disable(LOCAL, "bert")
    with pytest.raises(NotAuthenticated):
        archive.sessions.open(bert, Role.CLINICIAN, "password", PEER)


def test_a_session_that_is_ended_while_it_is_proved_stays_ended(archive: Archive, clock: Clock) -> None:
    account, totp = enrolled(archive, "anna")
    secret = sign_in(archive, account, totp, clock)
    held, proving = threading.Event(), ThreadPoolExecutor(1)
    archive.committer.submit(lambda _: held.wait(60))
    proof = proving.submit(archive.sessions.prove, secret, account.id, PEER)
    archive.sessions.end(secret, PEER)
    held.set()
    with pytest.raises(NotAuthenticated):
        proof.result(60)
    proving.shutdown()
    assert "sign-in-again" not in actions(archive)
    assert (archive.sessions.count, archive.index.sessions()) == (0, ())


def test_enrolling_a_code_brings_no_old_password_back(archive: Archive, clock: Clock) -> None:
    archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)), PASSWORD)
    begun = archive.sign_in.with_password("anna", PASSWORD, "", PEER)
    link, other = archive.enrolments.reset(LOCAL, "anna"), pyotp.TOTP(pyotp.random_base32())
    with pytest.raises(NotAuthenticated):
        archive.sign_in.enrol_code(begun, other.secret, other.at(clock.now), PEER)
    assert archive.users.user("anna").password == ""
    chosen = "a flock of yellow geese"
    archive.enrolments.finish_with_password(link, chosen, other.secret, other.at(clock.now), PEER)
    with pytest.raises(NotAuthenticated):
        archive.sign_in.enrol_code(begun, other.secret, other.at(clock.now), PEER)
    clock.now += 30
    with pytest.raises(NotAuthenticated):
        archive.sign_in.with_password("anna", PASSWORD, other.at(clock.now), PEER)
    assert archive.sign_in.with_password("anna", chosen, other.at(clock.now), PEER).totp


def test_of_two_codes_enrolled_at_once_one_counts(archive: Archive, clock: Clock) -> None:
    archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)), PASSWORD)
    begun = archive.sign_in.with_password("anna", PASSWORD, "", PEER)
    first, second = (pyotp.TOTP(pyotp.random_base32()) for _ in range(2))
    archive.sign_in.enrol_code(begun, first.secret, first.at(clock.now), PEER)
    with pytest.raises(NotAuthenticated, match="enrolled meanwhile"):
        archive.sign_in.enrol_code(begun, second.secret, second.at(clock.now), PEER)


def test_a_user_with_a_weak_password_is_not_added(archive: Archive) -> None:
    before = actions(archive)
    for password in ("short", "leadglass leadglass"):
        with pytest.raises(UsageError):
            archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)), password)
    assert "anna" not in archive.users.book.by_name
    assert actions(archive) == before
    archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)), PASSWORD)


def test_lockouts_that_are_over_leave_the_index(archive: Archive, clock: Clock) -> None:
    for number in range(20):
        archive.lockouts.begin(f"guess-{number}", "192.0.2.7")
    actions(archive)
    assert len(archive.index.lockouts()) == 21
    clock.now += 24 * HOUR + 1
    account, totp = enrolled(archive, "anna")
    sign_in(archive, account, totp, clock)
    actions(archive)
    assert archive.index.lockouts() == ()


def test_a_flood_of_names_lets_nobody_out_of_a_lockout(archive: Archive, clock: Clock) -> None:
    for _ in range(6):
        archive.lockouts.begin("anna", "192.0.2.1")
    clock.now += 1
    for number in range(MOST + 10):
        archive.lockouts.begin(f"guess-{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    with pytest.raises(LockedOut):
        archive.lockouts.begin("anna", "192.0.2.99")
    actions(archive)
    assert len(archive.index.lockouts()) <= MOST + 2


def test_lists_count_passkeys(archive: Archive) -> None:
    archive.enrolments.add(LOCAL, NewUser("anna", ("clinician",)))
    account = archive.users.user("anna")

    def two(writing: Writing) -> None:
        for number in range(2):
            archive.passkeys.add(writing, account, Registered("localhost", bytes([number]) * 16, b"key", 0))

    archive.users.change(two)
    described = user_described(account, archive.passkeys.counts()[account.id])
    assert (described["passkeys"], described["enrolled"], described["password"]) == (2, True, False)
