"""Passkeys: WebAuthn credentials that live in an authenticator, verify their user, and are bound to one host name."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import webauthn
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from leadglass.archive.committer import Writing
from leadglass.archive.users import Clock, Users
from leadglass.errors import VerificationFailed
from leadglass.index.account_rows import AccountRow, PasskeyRow
from leadglass.index.index import Index

NAME = "Leadglass"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ceremony takes place: the host name that the passkey is bound to, and the page's origin."""

    host: str
    origin: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A credential that proved itself at registration."""

    host: str
    credential: bytes
    public_key: bytes
    sign_count: int


class Passkeys:
    def __init__(self, index: Index, users: Users, clock: Clock) -> None:
        self._index = index
        self._users = users
        self._clock = clock

    def registration(self, account: AccountRow, host: str) -> tuple[str, bytes]:
        """Options for `navigator.credentials.create` in JSON, and the challenge to keep."""
        challenge = secrets.token_bytes(32)
        options = webauthn.generate_registration_options(
            rp_id=host,
            rp_name=NAME,
            user_id=account.handle,
            user_name=account.name,
            user_display_name=account.person,
            challenge=challenge,
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=row.credential) for row in self._index.passkeys(account.id)
            ],
            # The passkey stands for password and code together, so the authenticator must verify its user.
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )
        return webauthn.options_to_json(options), challenge

    def register(self, response: dict[str, Any], challenge: bytes, place: Place) -> Registered:
        """Raises VerificationFailed (WebAuthn 7.1)."""
        try:
            verified = webauthn.verify_registration_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=place.host,
                expected_origin=place.origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise VerificationFailed("The passkey could not be verified.", "Try again.") from None
        return Registered(place.host, verified.credential_id, verified.credential_public_key, verified.sign_count)

    def add(self, writing: Writing, account: AccountRow, made: Registered) -> None:
        """Raises UsageError when it is known already."""
        writing.tx.add_passkey(
            account.id, made.credential, made.public_key, made.sign_count, made.host, made.host, self._clock()
        )

    def authentication(self, host: str) -> tuple[str, bytes]:
        """Options for `navigator.credentials.get` in JSON, and the challenge to keep. The authenticator knows who: no
        list of credentials tells a stranger which users there are."""
        challenge = secrets.token_bytes(32)
        options = webauthn.generate_authentication_options(
            rp_id=host, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED
        )
        return webauthn.options_to_json(options), challenge

    def authenticate(
        self, response: dict[str, Any], challenge: bytes, place: Place
    ) -> tuple[AccountRow, PasskeyRow, int]:
        """Who it is, with which passkey, and the new signature count to `count`. Raises VerificationFailed
        (WebAuthn 7.2)."""
        # Before the passkey is looked up: what a reset does after this shows in the account's generation.
        accounts = self._users.book.by_id
        try:
            passkey = self._index.passkey(base64url_to_bytes(response["rawId"]))
            if passkey is None or passkey.host != place.host or passkey.account_id not in accounts:
                raise _not_enrolled()
            verified = webauthn.verify_authentication_response(
                credential=response,
                expected_challenge=challenge,
                expected_rp_id=place.host,
                expected_origin=place.origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise VerificationFailed("The passkey could not be verified.", "Try again.") from None
        account = accounts[passkey.account_id]
        if account.disabled:
            raise _not_enrolled()
        return account, passkey, verified.new_sign_count

    def counts(self) -> Mapping[int, int]:
        """How many each account has that has any."""
        return self._index.passkey_counts()

    def count(self, writing: Writing, passkey: PasskeyRow, sign_count: int) -> None:
        writing.tx.set_sign_count(passkey.id, sign_count)


def _not_enrolled() -> VerificationFailed:
    return VerificationFailed("The passkey is not enrolled here.", "Use another one, or password and code.")
