"""Opaque bearer tokens (RFC 6750): 256 random bits, kept as their SHA-256, bound to a user, one role and a scope."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from leadglass.archive.authorise import RIGHTS, authorise
from leadglass.archive.committer import Committer, Writing
from leadglass.archive.freshness import require_fresh
from leadglass.archive.users import Clock, Users, grant, role_of
from leadglass.errors import NotAuthenticated, NotFound, UsageError
from leadglass.index.account_rows import AccountRow, TokenRow
from leadglass.index.index import Index
from leadglass.model import Operation, Principal, Role

#: So that scanners of source code and logs recognise one that was left lying about.
PREFIX = "leadglass_"
MAX_LIFE_US = 366 * 86_400 * 1_000_000


class Issuer(Protocol):
    """Somebody else whose tokens are good here."""

    def principal(self, token: str) -> Principal:
        """Raises NotAuthenticated, NotAuthorised, NotAvailable."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """`role` may be empty when the user has one only. `operations` and `patients` (Patient ID, Issuer) narrow it."""

    user: str
    life_us: int
    role: str = ""
    operations: tuple[str, ...] | None = None
    patients: tuple[tuple[str, str], ...] | None = None


class Tokens:
    """All tokens in memory, so that a request costs no query; written through to the index."""

    def __init__(
        self, index: Index, committer: Committer, users: Users, clock: Clock, issuer: Issuer | None = None
    ) -> None:
        self._index = index
        self._issuer = issuer
        self._committer = committer
        self._users = users
        self._clock = clock
        self._lock = threading.Lock()
        self._by_digest: Mapping[bytes, TokenRow] = {}
        self._reload()

    def create(self, principal: Principal, request: TokenRequest) -> str:
        """A new token, shown this once. Raises NotFound, UsageError, ProofTooOld."""
        authorise(principal, Operation.ADMINISTER)
        now = self._clock()
        require_fresh(principal, now)
        account = self._users.user(request.user)
        role = role_of(account, request.role)
        _check(account, role, request)
        token = PREFIX + secrets.token_urlsafe(32)
        digest = digest_of(token)

        def write(writing: Writing) -> None:
            self._users.require_current(account)
            writing.tx.add_token(
                account.id,
                digest,
                role,
                request.operations,
                request.patients,
                principal.label,
                now,
                now + request.life_us,
            )
            writing.record(
                grant(
                    principal,
                    "token-create",
                    account.name,
                    token=shown(digest),
                    role=role.value,
                    operations=list(request.operations or ()),
                    patients=[list(patient) for patient in request.patients or ()],
                    expires=now + request.life_us,
                )
            )

        self._change(write)
        return token

    def revoke(self, principal: Principal, name: str) -> None:
        """`name` is as `listed` shows it. Raises NotFound."""
        authorise(principal, Operation.ADMINISTER)
        found = next((row for row in self._by_digest.values() if shown(row.digest) == name), None)
        if found is None:
            raise NotFound(f"No token is named {name!r}.", "See `leadglass token list`.")
        user = self._users.book.by_id[found.account_id].name

        def write(writing: Writing) -> None:
            writing.tx.revoke_token(found.id, self._clock())
            writing.record(grant(principal, "token-revoke", user, token=name))

        self._change(write)

    def listed(self, principal: Principal) -> tuple[TokenRow, ...]:
        authorise(principal, Operation.ADMINISTER)
        return tuple(self._by_digest.values())

    def principal(self, token: str) -> Principal:
        """Whom a bearer token of ours, or of the configured issuer, speaks for. Raises NotAuthenticated with one text
        for every reason; for an issuer's token also NotAuthorised and NotAvailable."""
        if self._issuer is not None and not self.is_own(token):
            return self._issuer.principal(token)
        row = self._by_digest.get(digest_of(token))
        account = None if row is None else self._users.book.by_id[row.account_id]
        if row is None or account is None or not _is_good(row, account, self._clock()):
            raise NotAuthenticated("The bearer token is not good.", "Ask an administrator for a new one.")
        return Principal(
            kind="user",
            name=account.name,
            roles=frozenset({Role(row.role)}),
            site=account.site,
            credential=f"token:{shown(row.digest)}",
            person=account.person,
            account=account.id,
            only=None if row.operations is None else frozenset(map(Operation, row.operations)),
            patients=None if row.patients is None else frozenset(row.patients),
        )

    def is_own(self, token: str) -> bool:
        """Whether `principal` answers from memory, without asking an issuer."""
        return self._issuer is None or token.startswith(PREFIX)

    def refresh(self) -> None:
        """After a change of users that ended tokens."""
        with self._lock:
            self._reload()

    def _change(self, write: Callable[[Writing], None]) -> None:
        with self._lock:
            self._committer.run(write)
            self._reload()

    def _reload(self) -> None:
        self._by_digest = MappingProxyType({row.digest: row for row in self._index.tokens()})


def digest_of(secret: str) -> bytes:
    """A secret of 256 random bits needs no slow hash: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def shown(digest: bytes) -> str:
    """What a session or token is called in events and lists: it tells nothing of the secret."""
    return digest[:6].hex()


def token_described(row: TokenRow, account: AccountRow) -> dict[str, Any]:
    return {
        "name": shown(row.digest),
        "user": account.name,
        "role": row.role,
        "operations": list(row.operations or ()),
        "patients": len(row.patients) if row.patients is not None else None,
        "created_by": row.created_by,
        "expires": row.expires,
        "revoked": row.revoked,
    }


def _is_good(row: TokenRow, account: AccountRow, now: int) -> bool:
    return row.revoked is None and now < row.expires and not account.disabled and row.role in account.roles


def _check(account: AccountRow, role: Role, request: TokenRequest) -> None:
    if account.disabled:
        raise UsageError(f"{account.name} is disabled.", "Add the user under another name.")
    if not 0 < request.life_us <= MAX_LIFE_US:
        raise UsageError("A token lives for at most 366 days.", "Give --expires, for example 1h or 30d.")
    allowed = {operation.value for operation in RIGHTS[role]}
    unknown = sorted(set(request.operations or ()) - allowed)
    if unknown:
        raise UsageError(
            f"A {role} may not {', '.join(unknown)}.", f"Choose --scope among {', '.join(sorted(allowed))}."
        )
