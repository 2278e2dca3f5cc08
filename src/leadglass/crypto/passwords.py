"""Passwords (NIST SP 800-63B 5.1.1) under Argon2id (RFC 9106)."""

import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from leadglass.errors import UsageError, VerificationFailed

LEAST = 12
#: Long enough for any sentence; a bound on what a stranger makes us hash.
MOST = 256
#: Each hash takes 64 MiB: strangers who try many at once may not take all memory.
AT_ONCE = 2


class Passwords:
    """Hashes in PHC form; those made with weaker parameters than today's are told by `is_dated`."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @cached_property
    def _nobodys(self) -> str:
        """What is compared where there is no password. Made when it is first needed: most commands verify none."""
        return self._hasher.hash("nobody's")

    def hash(self, password: str, name: str) -> str:
        """Raises UsageError for one that is too short, too long or easily guessed from the user's `name`."""
        if not LEAST <= len(password) <= MOST:
            raise UsageError(f"A password has {LEAST} to {MOST} characters.", "A sentence of a few words is good.")
        plain = password.casefold()
        if name.casefold() in plain or "leadglass" in plain or len(set(plain)) < 5:
            raise UsageError(
                "That password is easily guessed.", "Leave out your name, and use more than a few letters."
            )
        with self._turns:
            return self._hasher.hash(password)

    def verify(self, stored: str, password: str) -> None:
        """Raises VerificationFailed. `stored` is empty when there is none, which takes the same time to find out."""
        with self._turns:
            try:
                self._hasher.verify(stored or self._nobodys, password[:MOST])
            except (VerificationError, InvalidHashError):
                raise VerificationFailed("The password is wrong.") from None
        if not stored or len(password) > MOST:
            raise VerificationFailed("The password is wrong.")

    def is_dated(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)
