"""The people who use the archive. Every change is a grant event and replaces the snapshot that the doors use."""

import os
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Committer, Writing
from leadglass.archive.freshness import require_fresh
from leadglass.errors import NotAuthenticated, NotFound, UsageError
from leadglass.index.account_rows import AccountRow
from leadglass.index.index import Index
from leadglass.model import DEFAULT_SITE, AccessEvent, Operation, Outcome, Principal, Role

USER_ROLES = (Role.CLINICIAN, Role.STEWARD, Role.ADMINISTRATOR, Role.AUDITOR)
#: Random, at most 64 bytes (WebAuthn 14.6.1).
HANDLE_BYTES = 32
#: Lower case only, so that nobody can be mistaken for somebody whose name looks the same.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._@-]{0,62}[a-z0-9])?")
#: A user, for those who must not reach into the index.
User = AccountRow
#: Now, in µs since 1970 UTC.
Clock = Callable[[], int]
T = TypeVar("T")


def now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class NewUser:
    """`person` is the full name, the user's name where it is empty; `subject` who it is to the OpenID provider."""

    name: str
    roles: tuple[str, ...]
    site: str = DEFAULT_SITE
    person: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class UserBook:
    """A snapshot of all users. A new one replaces it whenever one changes."""

    by_name: Mapping[str, AccountRow]
    by_id: Mapping[int, AccountRow]
    by_handle: Mapping[bytes, AccountRow]
    by_subject: Mapping[str, AccountRow]
    by_person: Mapping[str, tuple[AccountRow, ...]]

    @classmethod
    def of(cls, accounts: Iterable[AccountRow]) -> "UserBook":
        rows = tuple(accounts)
        persons: dict[str, tuple[AccountRow, ...]] = defaultdict(tuple)
        for row in rows:
            for name in {row.name, row.person}:
                persons[name] += (row,)
        return cls(
            MappingProxyType({row.name: row for row in rows}),
            MappingProxyType({row.id: row for row in rows}),
            MappingProxyType({row.handle: row for row in rows}),
            MappingProxyType({row.subject: row for row in rows if row.subject}),
            MappingProxyType(dict(persons)),
        )

    def stands(self, account: AccountRow) -> bool:
        """Whether what a user proved when the account was as given is worth something still."""
        now = self.by_id[account.id]
        return now.generation == account.generation and not now.disabled


class Users:
    """`book` is always the newest snapshot; reading it takes no lock."""

    def __init__(self, index: Index, committer: Committer, clock: Clock) -> None:
        self._index = index
        self._committer = committer
        self._clock = clock
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[UserBook], None]] = []
        #: Raised in the committer's thread, so that a job there knows of every change before it.
        self._generations: Counter[int] = Counter()
        self.book = UserBook.of(index.accounts())

    def subscribe(self, on_change: Callable[[UserBook], None]) -> None:
        """`on_change` is told of changes in order, before the verb that makes one returns; it makes none itself."""
        self._subscribers.append(on_change)

    def user(self, name: str) -> AccountRow:
        """Raises NotFound."""
        account = self.book.by_name.get(name)
        if account is None:
            raise NotFound(f"No user is named {name!r}.", "See `leadglass user list`.")
        return account

    def add(
        self, principal: Principal, user: NewUser, furnish: Callable[[Writing, int], None] | None = None
    ) -> AccountRow:
        """`furnish` gives the new account, by its number, what it signs in with: all of it or nothing is added. Raises
        UsageError for a name that is taken or none, and for roles that users do not have."""
        authorise(principal, Operation.ADMINISTER)
        require_fresh(principal, self._clock())
        check(user)

        def write(writing: Writing) -> int:
            added = writing.tx.add_account(
                user.name,
                user.person or user.name,
                user.site,
                user.roles,
                os.urandom(HANDLE_BYTES),
                self._clock(),
                user.subject,
            )
            writing.record(grant(principal, "user-add", user.name, roles=list(user.roles), site=user.site))
            if furnish is not None:
                furnish(writing, added)
            return added

        added = self.change(write)
        return self.book.by_id[added]

    def disable(self, principal: Principal, name: str) -> None:
        """Sessions, tokens and the user's associations end before this returns. Raises NotFound."""
        authorise(principal, Operation.ADMINISTER)
        account = self.user(name)

        def write(writing: Writing) -> None:
            writing.tx.disable_account(account.id)
            self.outdate(account.id)
            writing.record(grant(principal, "user-disable", name))

        self.change(write)

    def change(self, write: Callable[[Writing], T]) -> T:
        """Run a job that changes users; the book is new when this returns."""
        with self._lock:
            try:
                return self._committer.run(write)
            finally:  # a job that failed may have outdated somebody before it did
                rows = self._index.accounts()
                self.book = UserBook.of(replace(row, generation=self._generations[row.id]) for row in rows)
                for tell in self._subscribers:
                    tell(self.book)

    def outdate(self, account_id: int) -> None:
        """In a job of `change`: what the user has proved so far, in whatever step of signing in, is worth nothing."""
        self._generations[account_id] += 1

    def require_current(self, account: AccountRow) -> None:
        """In a job, which knows of every change that is durable before its own: the account is still as it was when
        its user proved something. Raises NotAuthenticated."""
        if account.disabled or self._generations[account.id] != account.generation:
            raise NotAuthenticated("The user was changed, reset or disabled meanwhile.", "Sign in once more.")


def role_of(account: AccountRow, asked: str) -> Role:
    """The one role of a session or token. Raises UsageError unless it is one of the user's, or the only one."""
    if not asked and len(account.roles) == 1:
        return Role(account.roles[0])
    if asked not in account.roles:
        raise UsageError("A session or token has one role of its user.", f"Name one: {_listed(account.roles)}.")
    return Role(asked)


def user_described(account: AccountRow, passkeys: int) -> dict[str, Any]:
    """A user for lists: whether there is a password, never the password; and how many passkeys there are."""
    return {
        "name": account.name,
        "person": account.person,
        "site": account.site,
        "roles": list(account.roles),
        "disabled": account.disabled,
        "created": account.created,
        "password": bool(account.password),
        "code": bool(account.totp),
        "passkeys": passkeys,
        "provider": bool(account.subject),
        "enrolled": bool(account.password or account.subject or passkeys),
    }


def check(user: NewUser) -> None:
    """Raises UsageError."""
    if not _NAME.fullmatch(user.name):
        raise UsageError(
            f"{user.name!r} cannot be a user's name.",
            "Use at most 64 lower-case letters, digits, dots, hyphens, underscores and @.",
        )
    known = {role.value for role in USER_ROLES}
    if not user.roles or not set(user.roles) <= known:
        raise UsageError("A user needs a role that users have.", f"Choose --role among {_listed(sorted(known))}.")
    if not user.site.strip() or not user.site.isprintable() or not user.person.isprintable():
        raise UsageError(
            "A site or a person's name has characters that do not print, or is empty.", "Give words that print."
        )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def grant(principal: Principal, action: str, user: str, **detail: object) -> AccessEvent:
    """An act that creates, changes or ends a way to see images: on the auditor's review list."""
    return AccessEvent(
        action=action,
        outcome=Outcome.DONE,
        principal=principal.label,
        credential=principal.credential,
        person=principal.person,
        detail={"user": user, **{key: value for key, value in detail.items() if value not in ("", [], None)}},
    )
