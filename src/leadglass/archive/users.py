"""The people who use the archive. Every change is a grant event and replaces the snapshot that the doors use."""

import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from leadglass.archive.authorise import authorise
from leadglass.archive.committer import Committer, Writing
from leadglass.archive.freshness import require_fresh
from leadglass.errors import NotFound, UsageError
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

    @classmethod
    def of(cls, accounts: Iterable[AccountRow]) -> "UserBook":
        rows = tuple(accounts)
        return cls(
            MappingProxyType({row.name: row for row in rows}),
            MappingProxyType({row.id: row for row in rows}),
            MappingProxyType({row.handle: row for row in rows}),
            MappingProxyType({row.subject: row for row in rows if row.subject}),
        )


class Users:
    """`book` is always the newest snapshot; reading it takes no lock."""

    def __init__(self, index: Index, committer: Committer, clock: Clock) -> None:
        self._index = index
        self._committer = committer
        self._clock = clock
        self._lock = threading.Lock()
        self.book = UserBook.of(index.accounts())

    def user(self, name: str) -> AccountRow:
        """Raises NotFound."""
        account = self.book.by_name.get(name)
        if account is None:
            raise NotFound(f"No user is named {name!r}.", "See `leadglass user list`.")
        return account

    def add(self, principal: Principal, user: NewUser) -> AccountRow:
        """Raises UsageError for a name that is taken or none, and for roles that users do not have."""
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
            return added

        added = self.change(write)
        return self.book.by_id[added]

    def disable(self, principal: Principal, name: str) -> None:
        """Sessions and tokens end before this returns. Raises NotFound."""
        authorise(principal, Operation.ADMINISTER)
        account = self.user(name)

        def write(writing: Writing) -> None:
            writing.tx.disable_account(account.id)
            writing.record(grant(principal, "user-disable", name))

        self.change(write)

    def change(self, write: Callable[[Writing], T]) -> T:
        """Run a job that changes users; the book is new when this returns."""
        with self._lock:
            result = self._committer.run(write)
            self.book = UserBook.of(self._index.accounts())
            return result


def role_of(account: AccountRow, asked: str) -> Role:
    """The one role of a session or token. Raises UsageError unless it is one of the user's, or the only one."""
    if not asked and len(account.roles) == 1:
        return Role(account.roles[0])
    if asked not in account.roles:
        raise UsageError(f"Name one role of {account.name}: {', '.join(account.roles)}.")
    return Role(asked)


def user_described(account: AccountRow) -> dict[str, Any]:
    """A user for lists: whether there is a password, never the password."""
    return {
        "name": account.name,
        "person": account.person,
        "site": account.site,
        "roles": list(account.roles),
        "disabled": account.disabled,
        "created": account.created,
        "enrolled": bool(account.password or account.subject),
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
        raise UsageError("A user needs a role that users have.", f"Choose --role among {', '.join(sorted(known))}.")
    if not user.site.strip() or not user.site.isprintable() or not user.person.isprintable():
        raise UsageError("A site or a person's name has characters that do not print, or is empty.")


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
