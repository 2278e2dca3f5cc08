"""An OpenID provider that the operator trusts: its users sign in here (OpenID Connect Core 1.0), and access tokens that
it issues for us are good at DICOMweb (RFC 9068). What it says about a user becomes a role and a site by configuration.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError

from leadglass.archive.committer import Writing
from leadglass.archive.discovery import Asking, Discovery
from leadglass.archive.tokens import digest_of, shown
from leadglass.archive.users import HANDLE_BYTES, Clock, NewUser, Users, check, grant
from leadglass.errors import NotAuthenticated, NotAuthorised, UsageError
from leadglass.index.account_rows import AccountRow
from leadglass.model import DEFAULT_SITE, Operation, Principal, Role

#: Asymmetric ones only: a shared secret could be used by the client that knows it to make tokens itself.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
#: How long keys and endpoints are believed, and how often an unknown key makes us ask again, seconds.
BELIEVED = 15 * 60
ASK_AGAIN = 60
LEEWAY = 30
#: SMART App Launch 2.2: reading imaging studies of the one patient in context.
PATIENT_SCOPES = frozenset({"patient/ImagingStudy.rs", "patient/ImagingStudy.read", "patient/ImagingStudy.r"})
_REFUSED = ("The token is not good here.", "Get one from the configured issuer, for this archive.")


@dataclass(frozen=True, slots=True)
class OpenIdConfig:
    """`roles` maps values of `role_claim` to roles, in the order in which they are preferred. `audience` is what access
    tokens must be meant for; empty: none are accepted. `patient_id_claim` holds the Patient ID that a patient's token
    is bound to, whose issuer is `patient_issuer`; empty: such tokens are refused. `seconds` is how long an answer of
    the provider may take."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = "your organisation"
    ca: str = ""
    audience: str = ""
    user_claim: str = "preferred_username"
    role_claim: str = "roles"
    roles: Mapping[str, Role] = field(default_factory=dict)
    site_claim: str = ""
    patient_id_claim: str = ""
    patient_issuer: str = ""
    seconds: float = 5.0


class Provider:
    """Raises NotAvailable from whatever needs the provider while it does not answer."""

    def __init__(self, config: OpenIdConfig, users: Users, clock: Clock) -> None:
        """Raises UsageError for an issuer without TLS."""
        if urlsplit(config.issuer).scheme != "https":
            raise UsageError(
                "The OpenID issuer's address does not begin with https.", "Tokens never travel without TLS."
            )
        self._config = config
        self._users = users
        self._clock = clock
        self._asking = Asking(config.ca, config.seconds)
        self._discovery = Discovery(config.issuer, self._asking, clock)

    @property
    def name(self) -> str:
        return self._config.name

    # Access tokens

    def principal(self, token: str) -> Principal:
        """Who an access token speaks for (RFC 9068 4). Raises NotAuthenticated, NotAuthorised, NotAvailable."""
        if not self._config.audience:
            raise NotAuthenticated(*_REFUSED)
        claims = self._verified(token, ("at+jwt", "application/at+jwt"), self._config.audience)
        if not all(isinstance(claims.get(name), str) for name in ("client_id", "jti")):
            raise NotAuthenticated(*_REFUSED)
        account = self._users.book.by_subject.get(self._subject(claims))
        if account is not None and account.disabled:
            raise NotAuthenticated(*_REFUSED)
        role, patients = self._rights(claims)
        # Whoever has an account is on record by its name, whatever its claims call it today.
        name = account.name if account is not None else str(claims.get(self._config.user_claim) or claims["sub"])
        if account is None and name in self._users.book.by_name:
            # On record it would look like the local user of that name.
            raise NotAuthenticated(*_REFUSED)
        return Principal(
            kind="user",
            name="".join(each if each.isprintable() else "?" for each in name)[:64],
            roles=frozenset({role}),
            site=self._site(claims),
            credential=f"jwt:{shown(digest_of(claims['jti']))}",
            person=f"{claims['client_id']} for {claims['sub']}"[:128],
            account=account.id if account is not None and patients is None else 0,
            only=None if patients is None else frozenset({Operation.QUERY, Operation.RETRIEVE}),
            patients=patients,
        )

    def _rights(self, claims: Mapping[str, Any]) -> tuple[Role, frozenset[tuple[str, str]] | None]:
        """A patient's token sees this patient only, whatever role it claims besides. Raises NotAuthorised."""
        scopes = set(str(claims.get("scope", "")).split())
        if not any(scope.startswith("patient/") for scope in scopes):
            return self._role(claims), None
        config = self._config
        patient = claims.get(config.patient_id_claim) if config.patient_id_claim else None
        if not scopes & PATIENT_SCOPES or not isinstance(patient, str) or not patient:
            raise NotAuthorised("The token's patient is not known here.", "See [openid] in docs/configuration.md.")
        return Role.CLINICIAN, frozenset({(patient, config.patient_issuer)})

    # Signing in

    def authorization(self, redirect_uri: str, *, anew: bool = False) -> tuple[str, dict[str, str]]:
        """Where the browser goes, and what to keep for `finish`: PKCE (RFC 7636), state, nonce. `anew`: users prove who
        they are although the provider knows them from before (OpenID Connect Core 3.1.2.1)."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "redirect_uri": redirect_uri}
        if anew:
            query |= {"prompt": "login", "max_age": "0"}
            kept["since"] = str(self._clock() // 1_000_000)
        return self._address("authorization_endpoint", query), kept

    def end_session(self, back: str) -> str:
        """Where the browser signs out at the provider, which sends it to `back` then (RP-Initiated Logout 1.0, 2).

        There is no `id_token_hint`, a token in an address: the provider asks its user instead. Raises NotAvailable,
        also when the provider has no such place."""
        return self._address(
            "end_session_endpoint", {"client_id": self._config.client_id, "post_logout_redirect_uri": back}
        )

    def _address(self, endpoint: str, query: Mapping[str, str]) -> str:
        """Raises NotAvailable. An endpoint may have a query already (RFC 6749 3.1)."""
        place = self._discovery.published(BELIEVED).endpoint(endpoint)
        return f"{place}{'&' if urlsplit(place).query else '?'}{urlencode(query)}"

    def finish(self, kept: Mapping[str, str], answer: Mapping[str, str]) -> tuple[AccountRow, int]:
        """The user whom the provider vouches for, added or brought up to date here; and when it proved to the provider
        who it is, µs since 1970 UTC, 0 when nobody says: a provider that knows somebody from this morning lets in
        whoever sits there now. Raises NotAuthenticated, NotAuthorised, NotAvailable."""
        if not kept or not secrets.compare_digest(kept["state"], answer.get("state", "")):
            raise NotAuthenticated("The answer does not belong to a sign-in of this browser.", "Begin once more.")
        if answer.get("iss", self._config.issuer) != self._config.issuer:  # RFC 9207 2.4
            raise NotAuthenticated(*_REFUSED)
        if "code" not in answer:
            raise NotAuthenticated("The provider did not let you in.", "Try again, or ask your administrator.")
        claims = self._verified(self._exchange(kept, answer["code"]), (None, "JWT"), self._config.client_id)
        if not secrets.compare_digest(str(claims.get("nonce", "")), kept["nonce"]):
            raise NotAuthenticated(*_REFUSED)
        if claims.get("azp", self._config.client_id) != self._config.client_id:
            raise NotAuthenticated(*_REFUSED)
        proved = self._proved(claims, int(kept.get("since", "0")))
        return self._account(claims), proved

    def _proved(self, claims: Mapping[str, Any], since: int) -> int:
        """Raises NotAuthenticated when that was before `since`."""
        told = claims.get("auth_time")
        moment = told if isinstance(told, int) else 0
        if since and moment < since - LEEWAY:
            raise NotAuthenticated("The provider did not ask you who you are.", "Sign out there, and try again.")
        return max(0, min(moment * 1_000_000, self._clock()))

    def _exchange(self, kept: Mapping[str, str], code: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": kept["redirect_uri"],
            "code_verifier": kept["verifier"],
            "client_id": self._config.client_id,
        }
        address = self._discovery.published(BELIEVED).endpoint("token_endpoint")
        secret = self._config.client_secret
        auth = httpx.BasicAuth(self._config.client_id, secret) if secret else None
        token = self._asking.within_time(lambda: self._asking.posted(address, form, auth)).get("id_token")
        if not isinstance(token, str):
            raise NotAuthenticated("The provider did not let you in.", "Try again, or ask your administrator.")
        return token

    def _account(self, claims: Mapping[str, Any]) -> AccountRow:
        """A name that somebody else has here is not taken over, however the provider calls its user."""
        subject, role, site = self._subject(claims), self._role(claims), self._site(claims)
        known = self._users.book.by_subject.get(subject)
        author = Principal(kind="system", name="openid", roles=frozenset(), credential=f"issuer:{self._config.issuer}")
        if known is None:
            name = str(claims.get(self._config.user_claim) or claims["sub"]).lower()
            user = NewUser(name, (role.value,), site, str(claims.get("name") or name)[:128], subject)
            check(user)
            if name in self._users.book.by_name:
                raise NotAuthorised("Another user has that name here.", "Ask your administrator.")

            def add(writing: Writing) -> None:
                handle = secrets.token_bytes(HANDLE_BYTES)
                now = self._clock()
                writing.tx.add_account(user.name, user.person, user.site, user.roles, handle, now, user.subject)
                writing.record(grant(author, "user-add", name, roles=[role.value], site=site))

            self._users.change(add)
        elif known.disabled:
            raise NotAuthenticated(*_REFUSED)
        elif (known.roles, known.site) != ((role.value,), site):

            def update(writing: Writing) -> None:
                writing.tx.set_standing(known.id, site, (role.value,))
                self._users.outdate(known.id)
                writing.record(grant(author, "user-changed", known.name, roles=[role.value], site=site))

            self._users.change(update)
        return self._users.book.by_subject[subject]

    # Claims

    def _verified(self, token: str, types: tuple[str | None, ...], audience: str) -> Mapping[str, Any]:
        """Signature, kind, issuer, audience, times. Raises NotAuthenticated, NotAvailable."""
        now = self._clock() // 1_000_000
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY,
            iss={"essential": True, "value": self._config.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        try:
            found = self._decoded(token)
            registry.validate(found.claims)
        except (JoseError, ValueError, KeyError, TypeError):
            raise NotAuthenticated(*_REFUSED) from None
        if found.header.get("typ") not in types or not isinstance(found.claims["sub"], str):
            raise NotAuthenticated(*_REFUSED)
        return found.claims

    def _decoded(self, token: str) -> jwt.Token:
        """Keys are fetched anew when they are old, or, once in a while, when none fits: providers roll them over."""
        try:
            return jwt.decode(token, self._discovery.published(BELIEVED).keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            return jwt.decode(token, self._discovery.published(ASK_AGAIN).keys, algorithms=list(ALGORITHMS))

    def _subject(self, claims: Mapping[str, Any]) -> str:
        return f"{self._config.issuer} {claims['sub']}"

    def _role(self, claims: Mapping[str, Any]) -> Role:
        """Raises NotAuthorised for a user who is nobody here."""
        given = claims.get(self._config.role_claim, ())
        values = {given} if isinstance(given, str) else set(map(str, given)) if isinstance(given, list) else set()
        for value, role in self._config.roles.items():
            if value in values:
                return role
        raise NotAuthorised("The provider gives you no role that means something here.", "Ask your administrator.")

    def _site(self, claims: Mapping[str, Any]) -> str:
        """Raises NotAuthorised when the claim that says the site is missing: nobody falls into another's site."""
        if not self._config.site_claim:
            return DEFAULT_SITE
        site = claims.get(self._config.site_claim)
        if not isinstance(site, str) or not site.strip() or not site.isprintable():
            raise NotAuthorised("The provider does not say which site you belong to.", "Ask your administrator.")
        return site
