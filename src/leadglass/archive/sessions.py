"""Sessions: 256 random bits in a cookie, kept as their SHA-256, bound to one user and one role.

They end by sign-out, after idle time, after absolute time (45 CFR 164.312(a)(2)(iii)), and with the user.
"""

import secrets
import threading
from dataclasses import dataclass, replace

from leadglass.archive.committer import Committer, Writing
from leadglass.archive.tokens import digest_of, shown
from leadglass.archive.users import Clock, Users
from leadglass.errors import NotAuthenticated
from leadglass.index.account_rows import AccountRow, SessionRow
from leadglass.index.index import Index
from leadglass.model import AccessEvent, Outcome, Principal, Role

_SECOND = 1_000_000
#: How stale the time of last use may be on disk; in memory it is exact.
SAVED_EVERY_US = 60 * _SECOND


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds without a request, and in all, after which somebody must sign in again."""

    idle: int = 30 * 60
    absolute: int = 12 * 3600


class Sessions:
    """All live sessions in memory, so that a request costs no query; written through to the index."""

    def __init__(self, index: Index, committer: Committer, users: Users, clock: Clock, limits: SessionLimits) -> None:
        self._committer = committer
        self._users = users
        self._clock = clock
        self._limits = limits
        self._lock = threading.Lock()
        self._live = {row.digest: row for row in index.sessions()}
        self._saved = {row.digest: row.seen for row in self._live.values()}

    @property
    def count(self) -> int:
        return len(self._live)

    @property
    def idle_seconds(self) -> int:
        return self._limits.idle

    def open(self, account: AccountRow, role: Role, method: str, peer: str, proved: int | None = None) -> str:
        """A new session's secret, once its event is durable. `account` is as it was when its user proved who it is,
        and that was `proved`, just now unless it is said: raises NotAuthenticated when it was reset, disabled or
        changed since."""
        secret = secrets.token_urlsafe(32)
        digest, now = digest_of(secret), self._clock()
        proved = now if proved is None else proved

        def write(writing: Writing) -> None:
            self._users.require_current(account)
            session_id = writing.tx.add_session(account.id, digest, role, method, peer, now, proved)
            detail: dict[str, object] = {"method": method, "role": role.value}
            writing.record(_event(account, f"session:{shown(digest)}", "sign-in", peer, detail))
            # Here, before any later job: a reset that follows ends it with the others. Nobody has the secret yet.
            with self._lock:
                self._live[digest] = SessionRow(session_id, account.id, digest, role, method, peer, now, now, proved)
                self._saved[digest] = now

        try:
            self._committer.run(write)
        except BaseException:
            with self._lock:
                self._live.pop(digest, None)
            raise
        return secret

    def principal(self, secret: str) -> Principal:
        """Who a cookie's secret belongs to; the session counts as used now. Raises NotAuthenticated."""
        row, account = self._good(digest_of(secret))
        now = self._clock()
        with self._lock:
            if row.digest in self._live:
                self._live[row.digest] = replace(self._live[row.digest], seen=max(now, row.seen))
        return _principal(row, account)

    def prove(self, secret: str, account_id: int, peer: str) -> None:
        """The user of an account has just proved once more who it is, for a session of its own. Raises
        NotAuthenticated, also when the session is somebody else's: a proof is no good for a cookie from elsewhere."""
        row, account = self._good(digest_of(secret))
        if account.id != account_id:
            raise NotAuthenticated("That session is somebody else's.", "Sign out, and sign in once more.")
        now = self._clock()

        def write(writing: Writing) -> None:
            if row.digest not in self._live:
                raise _not_signed_in()
            writing.tx.touch_session(row.id, now, now)
            writing.record(_event(account, f"session:{shown(row.digest)}", "sign-in-again", peer, {}))

        self._committer.run(write)
        with self._lock:
            # It may have ended meanwhile, and stays ended.
            if row.digest in self._live:
                self._live[row.digest] = replace(row, seen=now, proved=now)

    def end(self, secret: str, peer: str) -> str:
        """Sign-out, at once; on record soon after. How its user had signed in; empty, and nothing happens, when there
        is no such session."""
        row = self._live.get(digest_of(secret))
        if row is None:
            return ""
        self._end(row, "sign-out", peer)
        return row.method

    def end_of(self, account: AccountRow) -> None:
        """All of a user's: after it was disabled or reset, whose event says why."""
        with self._lock:
            for row in [row for row in self._live.values() if row.account_id == account.id]:
                del self._live[row.digest]

    def sweep(self) -> None:
        """End what timed out, and save when the others were last used."""
        for row in tuple(self._live.values()):
            if self._users.book.by_id[row.account_id].disabled or self._is_over(row, self._clock()):
                self._end(row, "session-timed-out", "")
        stale = [row for row in self._live.values() if row.seen - self._saved.get(row.digest, 0) > SAVED_EVERY_US]
        if stale:
            self._committer.run(lambda writing: _touch(writing, stale))
            self._saved = {row.digest: row.seen for row in tuple(self._live.values())}

    def _good(self, digest: bytes) -> tuple[SessionRow, AccountRow]:
        row = self._live.get(digest)
        if row is None:
            raise _not_signed_in()
        account = self._users.book.by_id[row.account_id]
        if account.disabled or row.role not in account.roles:
            raise _not_signed_in()
        if self._is_over(row, self._clock()):
            self._end(row, "session-timed-out", "")
            raise NotAuthenticated("You were signed out after a time without activity.", "Sign in again.")
        return row, account

    def _is_over(self, row: SessionRow, now: int) -> bool:
        idle, age = now - row.seen, now - row.created
        return idle > self._limits.idle * _SECOND or age > self._limits.absolute * _SECOND

    def _end(self, row: SessionRow, action: str, peer: str) -> None:
        with self._lock:
            if self._live.pop(row.digest, None) is None:
                return
        account = self._users.book.by_id[row.account_id]

        def write(writing: Writing) -> None:
            writing.tx.end_session(row.id)
            writing.record(_event(account, f"session:{shown(row.digest)}", action, peer, {}))

        self._committer.submit(write)


def _not_signed_in() -> NotAuthenticated:
    return NotAuthenticated("You are not signed in.", "Sign in.")


def _touch(writing: Writing, rows: list[SessionRow]) -> None:
    for row in rows:
        writing.tx.touch_session(row.id, row.seen, row.proved)


def _principal(row: SessionRow, account: AccountRow) -> Principal:
    return Principal(
        kind="user",
        name=account.name,
        roles=frozenset({Role(row.role)}),
        site=account.site,
        credential=f"session:{shown(row.digest)}",
        person=account.person,
        account=account.id,
        proved=row.proved,
    )


def _event(account: AccountRow, credential: str, action: str, peer: str, detail: dict[str, object]) -> AccessEvent:
    return AccessEvent(
        action=action,
        outcome=Outcome.DONE,
        principal=f"user:{account.name}",
        credential=credential,
        person=account.person,
        peer=peer,
        detail=detail,
    )
