"""Rows of users and of what they sign in with."""

import json
from typing import Any

from leadglass.errors import UsageError
from leadglass.index.account_rows import (
    AccountRow,
    EnrolmentRow,
    LockoutRow,
    PasskeyRow,
    SessionRow,
    ShareRow,
    TokenRow,
)

_ACCOUNT = (
    "SELECT id, name, person, site, roles, handle, coalesce(password, ''), coalesce(totp, x''), "
    "coalesce(totp_step, 0), coalesce(subject, ''), disabled, created FROM account"
)
_TOKEN = "SELECT id, account_id, digest, role, operations, patients, created, created_by, expires, revoked FROM token"  # noqa: S105 - SQL
_SESSION = "SELECT id, account_id, digest, role, method, peer, created, seen, proved FROM session"
_PASSKEY = "SELECT id, account_id, credential, public_key, sign_count, host, label, created FROM passkey"
_ENROLMENT = "SELECT id, account_id, digest, created, expires, used FROM enrolment"


class AccountWriter:
    """Changes users and their credentials, in the writer's transaction. Times are µs since 1970 UTC."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def add_account(
        self, name: str, person: str, site: str, roles: tuple[str, ...], handle: bytes, now: int, subject: str = ""
    ) -> int:
        """Raises UsageError when the name is taken."""
        if self._cursor.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone():
            raise UsageError(
                f"A user named {name!r} exists.", "Choose another name; `user reset` lets that user in again."
            )
        insert = (
            "INSERT INTO account (name, person, site, roles, handle, subject, disabled, created) "
            "VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
        )
        values = (name, person, site, json.dumps(roles), handle, subject or None, now)
        return int(self._cursor.execute(insert, values).lastrowid)

    def disable_account(self, account_id: int) -> None:
        self._cursor.execute("UPDATE account SET disabled = 1 WHERE id = ?", (account_id,))

    def set_standing(self, account_id: int, site: str, roles: tuple[str, ...]) -> None:
        """What an OpenID provider says about the user now."""
        values = (site, json.dumps(roles), account_id)
        self._cursor.execute("UPDATE account SET site = ?, roles = ? WHERE id = ?", values)

    def set_password(self, account_id: int, password: str, totp: bytes | None) -> None:
        """An Argon2id hash, and with it a new sealed TOTP secret; None leaves that as it is."""
        self._cursor.execute("UPDATE account SET password = ? WHERE id = ?", (password, account_id))
        if totp is not None:
            self._cursor.execute("UPDATE account SET totp = ?, totp_step = 0 WHERE id = ?", (totp, account_id))

    def enrol_totp(self, account_id: int, totp: bytes) -> bool:
        """Whether there was no sealed secret until now; it is kept then."""
        update = "UPDATE account SET totp = ?, totp_step = 0 WHERE id = ? AND totp IS NULL"
        return bool(self._cursor.execute(update, (totp, account_id)).rowcount)

    def take_totp_step(self, account_id: int, step: int) -> bool:
        """Whether `step` is later than the last one taken; it is taken then (RFC 6238 5.2: at most once)."""
        update = "UPDATE account SET totp_step = ? WHERE id = ? AND coalesce(totp_step, 0) < ?"
        return bool(self._cursor.execute(update, (step, account_id, step)).rowcount)

    def clear_credentials(self, account_id: int, now: int) -> None:
        """No password, no TOTP, no passkey, no session, no token, no link: only a new enrolment lets the user in."""
        self._cursor.execute(
            "UPDATE account SET password = NULL, totp = NULL, totp_step = NULL WHERE id = ?", (account_id,)
        )
        for table in ("passkey", "session", "enrolment"):
            self._cursor.execute(f"DELETE FROM {table} WHERE account_id = ?", (account_id,))  # noqa: S608 - own names
        self._cursor.execute("UPDATE token SET revoked = ? WHERE account_id = ? AND revoked IS NULL", (now, account_id))

    # Passkeys

    def add_passkey(
        self, account_id: int, credential: bytes, public_key: bytes, sign_count: int, host: str, label: str, now: int
    ) -> int:
        """Raises UsageError when the credential is enrolled already (WebAuthn 7.1)."""
        if self._cursor.execute("SELECT 1 FROM passkey WHERE credential = ?", (credential,)).fetchone():
            raise UsageError("That passkey is enrolled already.", "Sign in with it, or make another one.")
        insert = (
            "INSERT INTO passkey (account_id, credential, public_key, sign_count, host, label, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        values = (account_id, credential, public_key, sign_count, host, label, now)
        return int(self._cursor.execute(insert, values).lastrowid)

    def set_sign_count(self, passkey_id: int, sign_count: int) -> None:
        self._cursor.execute("UPDATE passkey SET sign_count = ? WHERE id = ?", (sign_count, passkey_id))

    # Sessions

    def add_session(
        self, account_id: int, digest: bytes, role: str, method: str, peer: str, now: int, proved: int
    ) -> int:
        insert = (
            "INSERT INTO session (account_id, digest, role, method, peer, created, seen, proved) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        return int(self._cursor.execute(insert, (account_id, digest, role, method, peer, now, now, proved)).lastrowid)

    def touch_session(self, session_id: int, seen: int, proved: int) -> None:
        self._cursor.execute("UPDATE session SET seen = ?, proved = ? WHERE id = ?", (seen, proved, session_id))

    def end_session(self, session_id: int) -> None:
        self._cursor.execute("DELETE FROM session WHERE id = ?", (session_id,))

    # Tokens

    def add_token(
        self,
        account_id: int,
        digest: bytes,
        role: str,
        operations: tuple[str, ...] | None,
        patients: tuple[tuple[str, str], ...] | None,
        created_by: str,
        now: int,
        expires: int,
    ) -> int:
        insert = (
            "INSERT INTO token (account_id, digest, role, operations, patients, created, created_by, expires) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        values = (account_id, digest, role, _dumped(operations), _dumped(patients), now, created_by, expires)
        return int(self._cursor.execute(insert, values).lastrowid)

    def revoke_token(self, token_id: int, now: int) -> None:
        self._cursor.execute("UPDATE token SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, token_id))

    # Enrolment links

    def add_enrolment(self, account_id: int, digest: bytes, now: int, expires: int | None) -> int:
        insert = "INSERT INTO enrolment (account_id, digest, created, expires) VALUES (?, ?, ?, ?)"
        return int(self._cursor.execute(insert, (account_id, digest, now, expires)).lastrowid)

    def start_enrolments(self, expires: int) -> None:
        """The time of links that waited for the first `serve` begins."""
        self._cursor.execute("UPDATE enrolment SET expires = ? WHERE expires IS NULL", (expires,))

    def use_enrolment(self, enrolment_id: int, now: int) -> bool:
        """Whether it was unused until now: it works once."""
        update = "UPDATE enrolment SET used = ? WHERE id = ? AND used IS NULL"
        return bool(self._cursor.execute(update, (now, enrolment_id)).rowcount)

    # Lock-outs

    def set_lockout(self, lockout: LockoutRow) -> None:
        self._cursor.execute(
            "INSERT INTO lockout (subject, failures, last, until) VALUES (?, ?, ?, ?) ON CONFLICT (subject) "
            "DO UPDATE SET failures = excluded.failures, last = excluded.last, until = excluded.until",
            (lockout.subject, lockout.failures, lockout.last, lockout.until),
        )

    def clear_lockout(self, subject: str) -> None:
        self._cursor.execute("DELETE FROM lockout WHERE subject = ?", (subject,))

    # Shares

    def add_share(self, account_id: int, study_id: int, sharer: int, now: int, until: int) -> int:
        insert = "INSERT INTO share (account_id, study_id, sharer, created, until) VALUES (?, ?, ?, ?, ?)"
        return int(self._cursor.execute(insert, (account_id, study_id, sharer, now, until)).lastrowid)

    def revoke_share(self, share_id: int, now: int) -> None:
        self._cursor.execute("UPDATE share SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, share_id))


def accounts(cursor: Any) -> tuple[AccountRow, ...]:
    """All users by name."""
    return tuple(_account(row) for row in cursor.execute(f"{_ACCOUNT} ORDER BY name"))


def passkeys(cursor: Any, account_id: int) -> tuple[PasskeyRow, ...]:
    rows = cursor.execute(f"{_PASSKEY} WHERE account_id = ? ORDER BY id", (account_id,))
    return tuple(PasskeyRow(*row) for row in rows)


def passkey_counts(cursor: Any) -> dict[int, int]:
    """How many each account has that has any."""
    return dict(cursor.execute("SELECT account_id, count(*) FROM passkey GROUP BY account_id").fetchall())


def passkey(cursor: Any, credential: bytes) -> PasskeyRow | None:
    row = cursor.execute(f"{_PASSKEY} WHERE credential = ?", (credential,)).fetchone()
    return None if row is None else PasskeyRow(*row)


def sessions(cursor: Any) -> tuple[SessionRow, ...]:
    return tuple(SessionRow(*row) for row in cursor.execute(f"{_SESSION} ORDER BY id"))


def tokens(cursor: Any) -> tuple[TokenRow, ...]:
    """All of them, revoked and expired ones too."""
    return tuple(_token(row) for row in cursor.execute(f"{_TOKEN} ORDER BY id"))


def enrolment(cursor: Any, digest: bytes) -> EnrolmentRow | None:
    row = cursor.execute(f"{_ENROLMENT} WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else EnrolmentRow(*row)


def lockouts(cursor: Any) -> tuple[LockoutRow, ...]:
    return tuple(LockoutRow(*row) for row in cursor.execute("SELECT subject, failures, last, until FROM lockout"))


def shares(cursor: Any, study_id: int) -> tuple[ShareRow, ...]:
    """Of one study, those that are over too."""
    rows = cursor.execute(
        "SELECT share.id, account_id, share.study_id, study.uid, sharer, share.created, until, revoked "
        "FROM share JOIN study ON study.id = share.study_id WHERE share.study_id = ? ORDER BY share.id",
        (study_id,),
    )
    return tuple(ShareRow(*row) for row in rows)


def _account(row: tuple[Any, ...]) -> AccountRow:
    return AccountRow(
        id=row[0],
        name=row[1],
        person=row[2],
        site=row[3],
        roles=tuple(json.loads(row[4])),
        handle=row[5],
        password=row[6],
        totp=row[7],
        totp_step=row[8],
        subject=row[9],
        disabled=bool(row[10]),
        created=row[11],
    )


def _token(row: tuple[Any, ...]) -> TokenRow:
    return TokenRow(
        id=row[0],
        account_id=row[1],
        digest=row[2],
        role=row[3],
        operations=None if row[4] is None else tuple(json.loads(row[4])),
        patients=None if row[5] is None else tuple((patient, issuer) for patient, issuer in json.loads(row[5])),
        created=row[6],
        created_by=row[7],
        expires=row[8],
        revoked=row[9],
    )


def _dumped(values: tuple[Any, ...] | None) -> str | None:
    return None if values is None else json.dumps(values)
