"""Guessing made slow: failed sign-ins are counted for each account and each address, and shut it out for ever longer.

An attempt counts as failed from its begin until it has succeeded: a thousand at once are not a thousand free ones.
Names that nobody has are counted like the others: the answer tells nothing about who exists.
"""

import ipaddress
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile

from leadglass.archive.committer import Committer, Writing
from leadglass.errors import NotAuthenticated
from leadglass.index.account_rows import LockoutRow
from leadglass.index.index import Index

#: Failures in a row that cost nothing, for an account and for an address, behind which there may be a hospital.
FREE = {"account": 5, "address": 30}
FIRST_US = 30 * 1_000_000
LONGEST_US = 15 * 60 * 1_000_000
FORGET_US = 24 * 3600 * 1_000_000
#: Subjects told apart; beyond, a stranger could fill memory with names. Those with the fewest failures go, the oldest
#: of them first: whoever was shut out stays so.
MOST = 10_000


class LockedOut(NotAuthenticated):
    """`seconds` is when to try again."""

    http_status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many sign-ins have failed.", f"Try again in {_in_words(seconds)}.")
        self.seconds = seconds


class Lockouts:
    def __init__(self, index: Index, committer: Committer, clock: Callable[[], int]) -> None:
        self._committer = committer
        self._clock = clock
        self._lock = threading.Lock()
        #: Those that failed last stand last.
        self._rows = {row.subject: row for row in sorted(index.lockouts(), key=lambda row: row.last)}

    def begin(self, name: str, address: str) -> None:
        """An attempt begins, and counts as failed unless `succeeded` follows. Without a name, as with a passkey, only
        the address is counted. Raises LockedOut."""
        now = self._clock()
        subjects = _subjects(name, address)
        with self._lock:
            until = max((self._rows[each].until for each in subjects if each in self._rows), default=0)
            if until > now:
                raise LockedOut(-(-(until - now) // 1_000_000))
            forgotten = self._forget(now)
            rows = [_after_failure(self._rows.pop(each, None), each, now) for each in subjects]
            self._rows.update({row.subject: row for row in rows})

        def write(writing: Writing) -> None:
            for subject in forgotten:
                writing.tx.clear_lockout(subject)
            for row in rows:
                writing.tx.set_lockout(row)

        self._committer.submit(write)

    def succeeded(self, name: str, address: str) -> None:
        """The attempt that began was a good one: the account's failures are forgiven, and this one of the address."""
        account, source = f"account:{name[:64]}", _subjects("", address)[0]
        with self._lock:
            self._rows.pop(account, None)
            kept = self._rows.pop(source, None)
            if kept is not None and kept.failures > 1:
                kept = self._rows[source] = replace(kept, failures=kept.failures - 1, until=0)
            else:
                kept = None

        def write(writing: Writing) -> None:
            writing.tx.clear_lockout(account)
            if kept is not None:
                writing.tx.set_lockout(kept)
            else:
                writing.tx.clear_lockout(source)

        self._committer.submit(write)

    def _forget(self, now: int) -> tuple[str, ...]:
        old = [row.subject for row in takewhile(lambda row: now - row.last > FORGET_US, self._rows.values())]
        if len(self._rows) - len(old) >= MOST:
            spared = sorted(self._rows.values(), key=lambda row: (row.failures, row.last))
            old += [row.subject for row in spared[: MOST // 10]]
        forgotten = tuple(dict.fromkeys(old))
        for subject in forgotten:
            del self._rows[subject]
        return forgotten


def _subjects(name: str, address: str) -> tuple[str, ...]:
    source = f"address:{network_of(address)}"
    return (f"account:{name[:64]}", source) if name else (source,)


def network_of(address: str) -> str:
    """One subscriber has 2^64 addresses of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False))


def _after_failure(row: LockoutRow | None, subject: str, now: int) -> LockoutRow:
    failures = (row.failures if row is not None else 0) + 1
    beyond = failures - FREE[subject.partition(":")[0]]
    wait = min(FIRST_US << min(beyond - 1, 20), LONGEST_US) if beyond > 0 else 0
    return LockoutRow(subject, failures, now, now + wait if wait else 0)


def _in_words(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
