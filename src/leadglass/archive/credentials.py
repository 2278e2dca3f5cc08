"""What users know and have: passwords, TOTP secrets sealed under a key of their own, and how both are checked."""

from leadglass.archive.committer import Committer, Writing
from leadglass.archive.users import Clock, Users
from leadglass.crypto.passwords import Passwords
from leadglass.crypto.totp import matching_step
from leadglass.crypto.wrapping import unwrap_key, wrap_key
from leadglass.errors import VerificationFailed
from leadglass.index.account_rows import AccountRow


class Credentials:
    """`key` seals TOTP secrets, each bound to the archive and its account."""

    def __init__(self, users: Users, committer: Committer, key: bytes, archive_id: bytes, clock: Clock) -> None:
        self._users = users
        self._committer = committer
        self._key = key
        self._archive_id = archive_id
        self._clock = clock
        self._passwords = Passwords()

    def check_password(self, account: AccountRow | None, password: str) -> AccountRow:
        """Raises VerificationFailed, after the same time for a user that nobody is."""
        self._passwords.verify(account.password if account is not None else "", password)
        if account is None or account.disabled:
            raise VerificationFailed("The password is wrong.")
        return account

    def check_code(self, account: AccountRow, code: str) -> None:
        """Raises VerificationFailed, also for a code that was used before (RFC 6238 5.2)."""
        secret = unwrap_key(self._key, account.totp, self._bound_to(account)).decode()
        step = matching_step(secret, code, self._clock() // 1_000_000)
        if not self._committer.run(lambda writing: writing.tx.take_totp_step(account.id, step)):
            raise VerificationFailed("The code was used before.", "Wait for the next one.")

    def hashed(self, name: str, password: str) -> str:
        """Of a user's password. Raises UsageError for one that is too weak."""
        return self._passwords.hash(password, name)

    def set_password(self, writing: Writing, account: AccountRow, hashed: str, secret: str, step: int) -> None:
        """In the transaction of whoever lets the user do so. `step` is that of the code which proved `secret`."""
        writing.tx.set_password(account.id, hashed, self._sealed(account, secret) if secret else None)
        if secret:
            writing.tx.take_totp_step(account.id, step)

    def enrol_code(self, writing: Writing, account: AccountRow, secret: str, step: int) -> bool:
        """The same for one-time codes alone; whether there were none until now."""
        return writing.tx.enrol_totp(account.id, self._sealed(account, secret)) and writing.tx.take_totp_step(
            account.id, step
        )

    def proved_step(self, secret: str, code: str) -> int:
        """The step of a code that shows that an app holds a new secret. Raises VerificationFailed."""
        return matching_step(secret, code, self._clock() // 1_000_000)

    def _sealed(self, account: AccountRow, secret: str) -> bytes:
        return wrap_key(self._key, secret.encode(), self._bound_to(account))

    def _bound_to(self, account: AccountRow) -> bytes:
        return self._archive_id + b"totp" + account.id.to_bytes(8, "big")
