"""What the index holds of users, their credentials, sessions, tokens and shares."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A user. `password` is an Argon2id hash in PHC form, `totp` the sealed secret, `subject` who it is to the OpenID
    provider; each empty where it is not set. `generation` is not on disk: `archive.users` counts how often what the
    user has proved became worth nothing."""

    id: int
    name: str
    person: str
    site: str
    roles: tuple[str, ...]
    handle: bytes = field(repr=False)
    password: str = field(repr=False)
    totp: bytes = field(repr=False)
    totp_step: int
    subject: str
    disabled: bool
    created: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """A WebAuthn credential: good for `host`, its Relying Party ID."""

    id: int
    account_id: int
    credential: bytes
    public_key: bytes
    sign_count: int
    host: str
    label: str
    created: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """`digest` is SHA-256 of the cookie's secret; `seen` and `proved` when it was last used and last proved itself."""

    id: int
    account_id: int
    digest: bytes = field(repr=False)
    role: str
    method: str
    peer: str
    created: int
    seen: int
    proved: int


@dataclass(frozen=True, slots=True)
class TokenRow:
    """SHA-256 of the token is `digest`. `operations`, `patients` (Patient ID, Issuer): None for all."""

    id: int
    account_id: int
    digest: bytes = field(repr=False)
    role: str
    operations: tuple[str, ...] | None
    patients: tuple[tuple[str, str], ...] | None
    created: int
    created_by: str
    expires: int
    revoked: int | None


@dataclass(frozen=True, slots=True)
class EnrolmentRow:
    """A single-use link. `expires` is None while it waits for the first `serve`."""

    id: int
    account_id: int
    digest: bytes = field(repr=False)
    created: int
    expires: int | None
    used: int | None


@dataclass(frozen=True, slots=True)
class LockoutRow:
    """Failed sign-ins in a row of one `account:NAME` or `address:IP`, and until when it is shut out."""

    subject: str
    failures: int
    last: int
    until: int


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A study that the account `sharer` lets `account_id` see until a moment."""

    id: int
    account_id: int
    study_id: int
    study_uid: str
    sharer: int
    created: int
    until: int
    revoked: int | None
