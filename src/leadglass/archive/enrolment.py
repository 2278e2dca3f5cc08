"""Single-use links by which users set up what they sign in with. Kept as SHA-256; the secret travels in a fragment."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Committer, Writing
from leadglass.archive.credentials import Credentials
from leadglass.archive.freshness import require_fresh
from leadglass.archive.lockouts import Lockouts
from leadglass.archive.passkeys import Passkeys, Registered
from leadglass.archive.sessions import Sessions
from leadglass.archive.signin import address_of
from leadglass.archive.tokens import Tokens, digest_of
from leadglass.archive.users import Clock, NewUser, Users, check, grant
from leadglass.errors import NotAuthenticated, UsageError
from leadglass.index.account_rows import AccountRow, EnrolmentRow
from leadglass.index.index import Index
from leadglass.model import Operation, Principal

LIFE_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What enrolment works with."""

    index: Index
    committer: Committer
    users: Users
    sessions: Sessions
    tokens: Tokens
    credentials: Credentials
    passkeys: Passkeys
    lockouts: Lockouts
    clock: Clock


class Enrolments:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def add(self, principal: Principal, user: NewUser, password: str = "", *, waits: bool = False) -> str:
        """A new user with a link's secret, or with a password: then none, and a code is enrolled at first sign-in.
        A link that `waits` lives from the first `serve`. Raises as `Users.add`, and UsageError for a weak password."""
        authorise(principal, Operation.ADMINISTER)
        check(user)
        secret = "" if password else secrets.token_urlsafe(32)
        hashed = self._parts.credentials.hashed(user.name, password) if password else ""
        expires = None if waits else self._parts.clock() + LIFE_US

        def furnish(writing: Writing, account_id: int) -> None:
            if secret:
                self._invite(writing, principal, account_id, user.name, secret, expires)
                return
            writing.tx.set_password(account_id, hashed, None)
            writing.record(grant(principal, "user-password", user.name))

        self._parts.users.add(principal, user, furnish)
        return secret

    def reset(self, principal: Principal, name: str) -> str:
        """Forget what a user signs in with, end its sessions and tokens, and make a link. Raises NotFound, UsageError,
        ProofTooOld."""
        parts = self._parts
        authorise(principal, Operation.ADMINISTER)
        account = parts.users.user(name)
        require_fresh(principal, parts.clock())
        if account.disabled:
            raise UsageError(f"{name} is disabled, and stays so.", "Add the user under another name.")

        secret = secrets.token_urlsafe(32)

        def write(writing: Writing) -> None:
            writing.tx.clear_credentials(account.id, parts.clock())
            parts.users.outdate(account.id)
            writing.record(grant(principal, "user-reset", name))
            self._invite(writing, principal, account.id, name, secret, parts.clock() + LIFE_US)

        parts.users.change(write)
        parts.sessions.end_of(account)
        parts.tokens.refresh()
        return secret

    def start_waiting(self) -> None:
        """`serve` begins: the time of links that waited for it runs."""
        expires = self._parts.clock() + LIFE_US
        self._parts.committer.run(lambda writing: writing.tx.start_enrolments(expires))

    def account(self, secret: str, peer: str) -> AccountRow:
        """Whose link it is. Raises NotAuthenticated, with one text for every reason, and LockedOut."""
        self._parts.lockouts.begin("", address_of(peer))
        _, account = self._good(secret)
        self._parts.lockouts.succeeded("", address_of(peer))
        return account

    def finish_with_password(self, secret: str, password: str, totp: str, code: str, peer: str) -> AccountRow:
        """Raises NotAuthenticated, UsageError for a weak password, VerificationFailed for a wrong code."""
        _, account = self._good(secret)
        credentials = self._parts.credentials
        hashed = credentials.hashed(account.name, password)
        step = credentials.proved_step(totp, code)
        return self._finish(
            secret, "password", peer, lambda writing: credentials.set_password(writing, account, hashed, totp, step)
        )

    def finish_with_passkey(self, secret: str, registered: Registered, peer: str) -> AccountRow:
        """Raises NotAuthenticated, UsageError when the passkey is known already."""
        _, account = self._good(secret)
        passkeys = self._parts.passkeys
        return self._finish(secret, "passkey", peer, lambda writing: passkeys.add(writing, account, registered))

    def _finish(self, secret: str, method: str, peer: str, store: Callable[[Writing], None]) -> AccountRow:
        row, account = self._good(secret)
        author = Principal(
            kind="user", name=account.name, roles=frozenset(), person=account.person, credential=f"link:{row.id}"
        )

        def write(writing: Writing) -> None:
            if not writing.tx.use_enrolment(row.id, self._parts.clock()):
                raise _refused()
            store(writing)
            writing.record(grant(author, "user-enrolled", account.name, method=method, peer=peer))

        self._parts.users.change(write)
        return self._parts.users.book.by_id[account.id]

    def _invite(
        self, writing: Writing, principal: Principal, account_id: int, name: str, secret: str, expires: int | None
    ) -> None:
        writing.tx.add_enrolment(account_id, digest_of(secret), self._parts.clock(), expires)
        writing.record(grant(principal, "user-invite", name))

    def _good(self, secret: str) -> tuple[EnrolmentRow, AccountRow]:
        row = self._parts.index.enrolment(digest_of(secret))
        if row is None or row.used is not None or row.expires is None or row.expires <= self._parts.clock():
            raise _refused()
        account = self._parts.users.book.by_id[row.account_id]
        if account.disabled:
            raise _refused()
        return row, account


def _refused() -> NotAuthenticated:
    return NotAuthenticated(
        "This link is not good: it works once, and for 24 hours.",
        "Ask an administrator for a new one: leadglass user reset NAME.",
    )
