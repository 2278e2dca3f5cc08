"""Signing in: what was shown is checked, guesses are slowed down, and every failure is on record."""

from typing import Any

from leadglass.archive.committer import Committer, Writing
from leadglass.archive.credentials import Credentials
from leadglass.archive.lockouts import Lockouts
from leadglass.archive.passkeys import Passkeys, Place
from leadglass.archive.users import Users, grant
from leadglass.errors import LeadglassError, NotAuthenticated, VerificationFailed
from leadglass.index.account_rows import AccountRow
from leadglass.model import AccessEvent, Outcome, Principal


class SignIn:
    def __init__(
        self, users: Users, credentials: Credentials, passkeys: Passkeys, lockouts: Lockouts, committer: Committer
    ) -> None:
        self._users = users
        self._passkeys = passkeys
        self._credentials = credentials
        self._lockouts = lockouts
        self._committer = committer

    def with_password(self, name: str, password: str, code: str, peer: str) -> AccountRow:
        """A user's password and one-time code. Who has not enrolled a code yet gets in with the password alone only as
        far as enrolling one (`enrol_code`): the account comes back without `totp`.

        Raises NotAuthenticated with one text for every reason, LockedOut."""
        account = self._attempt(name, password, code, peer, "password")
        self._lockouts.succeeded(name, address_of(peer))
        return account

    def with_passcode(self, name: str, passcode: str, peer: str) -> AccountRow:
        """A user's password at an enrolled device, whose key is the second factor (PS3.7 D.3.3.7, type 2).

        Raises NotAuthenticated, LockedOut."""
        account = self._attempt(name, passcode, None, peer, "passcode")
        self._lockouts.succeeded(name, address_of(peer))
        return account

    def with_passkey(self, response: dict[str, Any], challenge: bytes, place: Place, peer: str) -> AccountRow:
        """Raises NotAuthenticated, LockedOut."""
        self._lockouts.begin("", address_of(peer))
        try:
            account, passkey, count = self._passkeys.authenticate(response, challenge, place)
        except VerificationFailed as error:
            self._refused("", "passkey", peer, error)
            raise NotAuthenticated(error.message, error.remedy) from None
        self._committer.run(lambda writing: self._passkeys.count(writing, passkey, count))
        self._lockouts.succeeded("", address_of(peer))
        return account

    def enrol_code(self, account: AccountRow, secret: str, code: str, peer: str) -> AccountRow:
        """The first code of an authenticator app, right after the password. Raises NotAuthenticated, LockedOut."""
        self._lockouts.begin(account.name, address_of(peer))
        try:
            step = self._credentials.proved_step(secret, code)
        except VerificationFailed as error:
            raise self._refused(account.name, "code", peer, error) from None

        def write(writing: Writing) -> None:
            self._users.require_current(account)
            if not self._credentials.enrol_code(writing, account, secret, step):
                raise NotAuthenticated("A code was enrolled meanwhile.", "Sign in with it.")
            writing.record(grant(_self(account), "totp-enrolled", account.name))

        self._users.change(write)
        self._lockouts.succeeded(account.name, address_of(peer))
        return self._users.book.by_id[account.id]

    def refuse(self, name: str, method: str, peer: str, error: LeadglassError) -> None:
        """Put on record what another way of signing in refused."""
        self._refused(name, method, peer, error)

    def _attempt(self, name: str, password: str, code: str | None, peer: str, method: str) -> AccountRow:
        self._lockouts.begin(name, address_of(peer))
        try:
            account = self._credentials.check_password(self._users.book.by_name.get(name), password)
            if code is not None and account.totp:
                self._credentials.check_code(account, code)
        except VerificationFailed as error:
            raise self._refused(name, method, peer, error) from None
        return account

    def _refused(self, name: str, method: str, peer: str, error: LeadglassError) -> NotAuthenticated:
        """The event names known users only: people type passwords into the field of names."""
        known = self._users.book.by_name.get(name)
        self._committer.record(
            AccessEvent(
                action="sign-in",
                outcome=Outcome.REFUSED,
                principal=f"user:{known.name}" if known is not None else "stranger",
                peer=peer,
                detail={"method": method, "reason": error.message},
            )
        )
        return NotAuthenticated("Name, password or code is wrong.", "Check all three; a code works only once.")


def address_of(peer: str) -> str:
    """`https:192.0.2.1` → `192.0.2.1`; DIMSE peers are addresses already."""
    return peer.removeprefix("https:")


def _self(account: AccountRow) -> Principal:
    """A user as the author of what it does before it has a session."""
    return Principal(kind="user", name=account.name, roles=frozenset(), person=account.person, account=account.id)
