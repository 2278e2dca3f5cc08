"""Access tokens of another issuer (RFC 9068): what is good, and every way of not being good. The issuer is a real HTTPS
server that publishes its keys; sign-in with a real provider program is in tests/server/web/test_provider.py."""

import hmac
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc.jwk import ECKey, OctKey

from leadglass.archive.archive import Archive, ArchiveConfig, open_archive
from leadglass.archive.openid import OpenIdConfig
from leadglass.errors import LeadglassError, NotAuthenticated, NotAuthorised, NotAvailable, UsageError
from leadglass.model import Operation, Principal, Role
from tests.archive.issuer import AUDIENCE, NOW, Issuer, issuing
from tests.served import Served


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with issuing(tmp_path_factory.mktemp("issuer")) as made:
        yield made


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now * 1_000_000


@pytest.fixture
def clock(issuer: Issuer) -> Clock:
    issuer.publish(issuer.key)
    return Clock()


@pytest.fixture
def archive(furnished: Served, tmp_path: Path, issuer: Issuer, clock: Clock) -> Iterator[Archive]:
    served = furnished.copy(tmp_path)
    config = OpenIdConfig(
        issuer=issuer.url,
        client_id="leadglass",
        ca=str(issuer.ca),
        audience=AUDIENCE,
        roles={"radiologist": Role.CLINICIAN, "pacs-admin": Role.ADMINISTRATOR},
        site_claim="",
        patient_id_claim="patient_id",
        patient_issuer="HOSPITAL",
    )
    opened = open_archive(served.data, served.keys, ArchiveConfig(clock=clock, openid=config))
    yield opened
    opened.close()


def test_a_good_token_is_its_user_in_one_role(archive: Archive, issuer: Issuer) -> None:
    found = archive.tokens.principal(issuer.token(preferred_username="anna"))
    assert (found.kind, found.name, found.roles, found.site) == ("user", "anna", frozenset({Role.CLINICIAN}), "default")
    assert found.credential.startswith("jwt:")
    assert found.proved == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "https://other.example"},
        {"aud": None},
        {"aud": []},
        {"exp": NOW - 60},
        {"exp": None},
        {"iat": None},
        {"iat": NOW + 600},
        {"nbf": NOW + 600},
        {"sub": None},
        {"client_id": None},
        {"jti": None},
    ],
    ids=str,
)
def test_claims_that_are_not_for_us(archive: Archive, issuer: Issuer, claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token(**claims))


@pytest.mark.parametrize("typ", ["JWT", "at+JWT+x", "", "id+jwt"])
def test_only_access_tokens(archive: Archive, issuer: Issuer, typ: str) -> None:
    """An ID token of the same issuer shows who signed in, and is no right to anything (RFC 9068 2.1)."""
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token({"typ": typ}))


def test_algorithms_are_pinned(archive: Archive, issuer: Issuer) -> None:
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token({"alg": "HS256"}, OctKey.generate_key(256)))
    head, body, _ = issuer.token().split(".")
    shared = issuer.token({"alg": "HS256"}, OctKey.generate_key(256)).rpartition(".")[0]
    # The public key taken for a shared secret, which everybody has.
    mac = hmac.digest(issuer.key.as_pem(private=False), shared.encode(), "sha256")
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(f"{shared}.{urlsafe_b64encode(mac).decode().rstrip('=')}")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"
    for forged in (f"{unsigned}.{body}.", f"{head}.{body}.", f"{head}.{body}.AAAA", "", "a.b.c", "a" * 9000):
        with pytest.raises(NotAuthenticated):
            archive.tokens.principal(forged)


def test_a_key_of_somebody_else_is_refused(archive: Archive, issuer: Issuer) -> None:
    other = ECKey.generate_key("P-256", {"kid": "one"})
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token(key=other))


def test_keys_are_cached_and_rolled_over(archive: Archive, issuer: Issuer, clock: Clock) -> None:
    archive.tokens.principal(issuer.token())
    asked = len(issuer.asked)
    for _ in range(5):
        archive.tokens.principal(issuer.token())
    assert len(issuer.asked) == asked
    fresh = ECKey.generate_key("P-256", {"kid": "two"})
    issuer.publish(fresh)
    with pytest.raises(NotAuthenticated):  # asked again, but not at every stranger's wish
        archive.tokens.principal(issuer.token({"kid": "two"}, fresh))
    assert len(issuer.asked) == asked
    clock.now += 61
    archive.tokens.principal(issuer.token({"kid": "two"}, fresh))
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token())


def test_a_role_that_means_nothing_here(archive: Archive, issuer: Issuer) -> None:
    for roles in (["cleaner"], [], None, 7, {"radiologist": True}):
        with pytest.raises(NotAuthorised):
            archive.tokens.principal(issuer.token(roles=roles))
    several = archive.tokens.principal(issuer.token(roles=["pacs-admin", "radiologist"]))
    assert several.roles == frozenset({Role.CLINICIAN})


def test_a_patients_token_sees_this_patient_only(archive: Archive, issuer: Issuer) -> None:
    scope = "openid patient/ImagingStudy.rs"
    found = archive.tokens.principal(issuer.token(scope=scope, patient_id="P-1", roles=["pacs-admin"]))
    assert found.patients == frozenset({("P-1", "HOSPITAL")})
    assert found.roles == frozenset({Role.CLINICIAN})
    assert found.only == frozenset({Operation.QUERY, Operation.RETRIEVE})
    refused: tuple[dict[str, Any], ...] = (
        {"scope": scope},
        {"scope": "patient/Observation.rs", "patient_id": "P-1"},
        {"scope": scope, "patient_id": ""},
    )
    for claims in refused:
        with pytest.raises(NotAuthorised):
            archive.tokens.principal(issuer.token(**claims))


def test_a_disabled_user_is_out_whatever_the_issuer_says(archive: Archive, issuer: Issuer) -> None:
    archive.users.change(
        lambda writing: writing.tx.add_account("anna", "A", "default", ("clinician",), b"h", 1, f"{issuer.url} u-1")
    )
    assert archive.tokens.principal(issuer.token()).account
    archive.users.disable(Principal(kind="local", name="t", roles=frozenset()), "anna")
    with pytest.raises(NotAuthenticated):
        archive.tokens.principal(issuer.token())


def test_who_has_an_account_is_on_record_by_its_name(archive: Archive, issuer: Issuer) -> None:
    archive.users.change(
        lambda writing: writing.tx.add_account("anna", "A", "default", ("clinician",), b"h", 1, f"{issuer.url} u-1")
    )
    assert archive.tokens.principal(issuer.token(preferred_username="the.boss")).name == "anna"


@pytest.mark.parametrize(
    ("claims", "proved"),
    [({"auth_time": NOW - 5}, NOW - 5), ({"auth_time": NOW + 5}, NOW), ({}, 0), ({"auth_time": "now"}, 0)],
    ids=str,
)
def test_a_proof_is_as_old_as_the_provider_says(
    archive: Archive, issuer: Issuer, claims: dict[str, Any], proved: int
) -> None:
    """One that knows somebody from this morning lets in whoever sits there now."""
    provider = archive.provider
    assert provider is not None
    for anew in (False, True):
        _, kept = provider.authorization("https://localhost/back", anew=anew)
        signed_in = issuer.token({"typ": "JWT"}, aud="leadglass", nonce=kept["nonce"], **claims)
        issuer.documents["/token"] = {"id_token": signed_in}
        if anew and not proved:
            with pytest.raises(NotAuthenticated):
                provider.finish(kept, {"state": kept["state"], "code": "c"})
        else:
            account, moment = provider.finish(kept, {"state": kept["state"], "code": "c"})
            assert (account.name, moment) == ("u-1", proved * 1_000_000)


def test_a_provider_that_does_not_ask_again_proves_nothing_anew(archive: Archive, issuer: Issuer) -> None:
    provider = archive.provider
    assert provider is not None
    address, kept = provider.authorization("https://localhost/back", anew=True)
    assert {"prompt=login", "max_age=0"} <= set(urlsplit(address).query.split("&"))
    stale = issuer.token({"typ": "JWT"}, aud="leadglass", nonce=kept["nonce"], auth_time=NOW - 3600)
    issuer.documents["/token"] = {"id_token": stale}
    with pytest.raises(NotAuthenticated):
        provider.finish(kept, {"state": kept["state"], "code": "c"})


def test_where_one_signs_out_at_the_provider(archive: Archive, issuer: Issuer) -> None:
    """Only where it says so, over HTTPS; its address may have a query already."""
    provider = archive.provider
    assert provider is not None
    published = issuer.documents["/.well-known/openid-configuration"]
    published["end_session_endpoint"] = f"{issuer.url}/out?tenant=one"
    address = urlsplit(provider.end_session("https://localhost:8443/sign-in"))
    assert parse_qsl(address.query) == [
        ("tenant", "one"),
        ("client_id", "leadglass"),
        ("post_logout_redirect_uri", "https://localhost:8443/sign-in"),
    ]


@pytest.mark.parametrize("endpoint", [None, "", "http://localhost/out", "javascript:alert(1)", 7])
def test_no_place_to_sign_out_at_the_provider(archive: Archive, issuer: Issuer, endpoint: object) -> None:
    provider = archive.provider
    assert provider is not None
    issuer.documents["/.well-known/openid-configuration"]["end_session_endpoint"] = endpoint
    with pytest.raises(NotAvailable):
        provider.end_session("https://localhost:8443/sign-in")


@pytest.mark.parametrize(
    "published",
    [None, [], {}, {"issuer": "https://other.example"}, {"jwks_uri": "http://localhost/keys"}],
    ids=str,
)
def test_an_issuer_that_publishes_nonsense(archive: Archive, issuer: Issuer, published: Any) -> None:
    whole = issuer.documents["/.well-known/openid-configuration"]
    merged = whole | published if isinstance(published, dict) and published else published
    issuer.documents["/.well-known/openid-configuration"] = merged
    with pytest.raises((NotAvailable, NotAuthenticated)):
        archive.tokens.principal(issuer.token())


def test_an_issuer_that_is_not_there(furnished: Served, tmp_path: Path, issuer: Issuer) -> None:
    served = furnished.copy(tmp_path)
    for config in (
        OpenIdConfig(issuer="https://localhost:1", client_id="x", audience=AUDIENCE),
        OpenIdConfig(issuer=issuer.url, client_id="x", audience=AUDIENCE),  # not trusted without its authority
    ):
        archive = open_archive(served.data, served.keys, ArchiveConfig(openid=config))
        try:
            with pytest.raises(NotAvailable):
                archive.tokens.principal(issuer.token())
        finally:
            archive.close()
    with pytest.raises(UsageError):
        open_archive(served.data, served.keys, ArchiveConfig(openid=OpenIdConfig("http://localhost", "x")))


def test_errors_hold_no_token(archive: Archive, issuer: Issuer) -> None:
    token = issuer.token(exp=NOW - 60)
    with pytest.raises(LeadglassError) as refused:
        archive.tokens.principal(token)
    assert token not in repr(refused.value) + str(refused.value)
    assert refused.value.__cause__ is None


class Mute:
    """Takes connections and never says a word. `taken` is how many have come so far."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listening.setblocking(False)
        self._held: list[socket.socket] = []
        self.url = f"https://localhost:{self._listening.getsockname()[1]}"

    @property
    def taken(self) -> int:
        while True:
            try:
                self._held.append(self._listening.accept()[0])
            except BlockingIOError:
                return len(self._held)

    def close(self) -> None:
        for each in (*self._held, self._listening):
            each.close()


def test_a_provider_that_does_not_answer_keeps_nobody_waiting(
    furnished: Served, tmp_path: Path, issuer: Issuer, clock: Clock
) -> None:
    """One asks, a few wait for it within its time, and what failed is left alone for a while."""
    served, mute = furnished.copy(tmp_path), Mute()
    config = OpenIdConfig(issuer=mute.url, client_id="x", audience=AUDIENCE, seconds=0.5)
    archive = open_archive(served.data, served.keys, ArchiveConfig(clock=clock, openid=config))
    token = issuer.token()

    def ask(_: int) -> None:
        with pytest.raises(NotAvailable):
            archive.tokens.principal(token)

    try:
        with ThreadPoolExecutor(40) as threads:
            list(threads.map(ask, range(40)))
        for number in range(100):
            ask(number)
        assert mute.taken == 1
        clock.now += 31
        ask(0)
        assert mute.taken == 2
        mute.close()
    finally:
        archive.close()


def test_a_good_key_is_good_while_the_provider_is_down(archive: Archive, issuer: Issuer, clock: Clock) -> None:
    archive.tokens.principal(issuer.token())
    issuer.documents["/keys"] = None
    clock.now += 61
    with pytest.raises(NotAvailable):  # it may be a new key: nobody can say
        archive.tokens.principal(issuer.token({"kid": "two"}, ECKey.generate_key("P-256", {"kid": "two"})))
    assert archive.tokens.principal(issuer.token()).kind == "user"
    asked = len(issuer.asked)
    for _ in range(5):
        with pytest.raises(NotAvailable):
            archive.tokens.principal(issuer.token({"kid": "two"}, ECKey.generate_key("P-256", {"kid": "two"})))
    assert len(issuer.asked) == asked
