import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from leadglass.crypto.certificates import (
    Issued,
    create_authority,
    issue_device,
    issue_server,
    new_device,
    parse_certificate,
    peer_fingerprint,
    public_key,
)
from leadglass.crypto.tls import CertificateChain, client_context, server_context
from leadglass.errors import RefusedForSafety


@dataclass(frozen=True)
class Site:
    folder: Path
    authority: Issued
    device: Issued
    ec: CertificateChain
    rsa: CertificateChain

    def write(self, name: str, issued: Issued) -> CertificateChain:
        return write(self.folder, name, issued)

    def client(self, issued: Issued, name: str = "client") -> ssl.SSLContext:
        return client_context(self.folder / "ca.crt", self.write(name, issued))

    def server(self, *pinned: bytes) -> ssl.SSLContext:
        return server_context([self.ec, self.rsa], [self.authority.certificate.der, *pinned])


def write(folder: Path, name: str, issued: Issued) -> CertificateChain:
    chain = CertificateChain(folder / f"{name}.crt", folder / f"{name}.key")
    chain.certificate.write_bytes(issued.certificate.pem)
    chain.key.write_bytes(issued.key)
    return chain


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("tls")
    authority = create_authority("Leadglass test CA")
    (folder / "ca.crt").write_bytes(authority.certificate.pem)
    names = ["pacs.example", "127.0.0.1"]
    return Site(
        folder,
        authority,
        new_device(authority, "CT1", "ec"),
        write(folder, "server-ec", issue_server(authority, names, "ec")),
        write(folder, "server-rsa", issue_server(authority, names, "rsa")),
    )


@dataclass(frozen=True)
class Met:
    version: str | None
    cipher: str
    server: bytes
    client: bytes
    reused: bool
    session: ssl.SSLSession | None


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str = "pacs.example", session: ssl.SSLSession | None = None
) -> Met:
    """One connection over a socket pair, a byte each way. Raises what the server raised, else what the client did."""
    left, right = socket.socketpair()
    for end in (left, right):
        end.settimeout(10)
    errors: list[BaseException] = []
    seen: list[bytes] = []

    def serve() -> None:
        try:
            with server.wrap_socket(left, server_side=True) as tls:
                seen.append(tls.getpeercert(True) or b"")
                tls.recv(1)
                tls.send(b"y")
        except (OSError, ssl.SSLError) as error:
            errors.append(error)
            left.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(right, server_hostname=name, session=session) as tls:
            tls.send(b"x")
            if tls.recv(1) != b"y":
                raise ConnectionError
            cipher = tls.cipher()
            assert cipher is not None
            return Met(
                tls.version(), cipher[0], tls.getpeercert(True) or b"", seen[0], bool(tls.session_reused), tls.session
            )
    except OSError:
        right.close()
        thread.join()
        if errors:
            raise errors[0] from None
        raise
    finally:
        thread.join()


def key_type(der: bytes) -> str:
    return "rsa" if b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01" in der else "ec"


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_devices_of_either_kind_are_admitted(site: Site, kind: str) -> None:
    device = new_device(site.authority, "MR1", "ec" if kind == "ec" else "rsa")
    met = handshake(site.server(), site.client(device))
    assert met.version == "TLSv1.3"
    assert met.client == device.certificate.der
    assert peer_fingerprint(met.client) == device.certificate.fingerprint


@pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "AES256-GCM-SHA384"])
@pytest.mark.parametrize(("exchange", "kind"), [("ECDHE-RSA", "rsa"), ("ECDHE-ECDSA", "ec"), ("DHE-RSA", "rsa")])
def test_tls_1_2_serves_clients_of_one_kind(site: Site, exchange: str, kind: str, cipher: str) -> None:
    client = site.client(site.device)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(f"{exchange}-{cipher}")
    met = handshake(site.server(), client)
    assert (met.version, met.cipher) == ("TLSv1.2", f"{exchange}-{cipher}")
    assert key_type(met.server) == kind


@pytest.mark.parametrize(
    "cipher", ["AES128-SHA", "ECDHE-RSA-AES128-SHA256", "AES256-GCM-SHA384", "ECDHE-RSA-AES256-SHA"]
)
def test_ciphers_without_forward_secrecy_or_aead_are_refused(site: Site, cipher: str) -> None:
    client = site.client(site.device)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError, match="NO_SHARED_CIPHER"):
        handshake(site.server(), client)


def test_tls_1_1_is_refused(site: Site) -> None:
    client = site.client(site.device)
    with pytest.warns(DeprecationWarning):
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(site.server(), client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
class TestRefusals:
    def test_no_certificate(self, site: Site, version: ssl.TLSVersion) -> None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(site.folder / "ca.crt")
        client.maximum_version = version
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            handshake(site.server(), client)

    def test_another_ca_of_the_same_name(self, site: Site, version: ssl.TLSVersion) -> None:
        client = site.client(new_device(create_authority("Leadglass test CA"), "CT1", "ec"), "stranger")
        client.maximum_version = version
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            handshake(site.server(), client)

    def test_expired(self, site: Site, version: ssl.TLSVersion) -> None:
        old = issue_device(
            site.authority,
            "CT1",
            public_key(site.device.certificate),
            life=timedelta(days=1),
            now=datetime.now(UTC) - timedelta(days=2),
        )
        client = site.client(Issued(old, site.device.key), "expired")
        client.maximum_version = version
        with pytest.raises(ssl.SSLError, match="certificate has expired"):
            handshake(site.server(), client)

    def test_a_server_certificate_is_no_client_certificate(self, site: Site, version: ssl.TLSVersion) -> None:
        client = client_context(site.folder / "ca.crt", site.rsa)
        client.maximum_version = version
        with pytest.raises(ssl.SSLError, match="unsuitable certificate purpose"):
            handshake(site.server(), client)

    def test_pinned_self_signed_is_accepted_and_only_that_one(self, site: Site, version: ssl.TLSVersion) -> None:
        client = site.client(self_signed(), "pinned")
        client.maximum_version = version
        der = ssl.PEM_cert_to_DER_cert((site.folder / "pinned.crt").read_text())
        assert handshake(site.server(der), client).client == der
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            handshake(site.server(), client)

    def test_pinned_leaf_of_a_foreign_ca_is_accepted_without_its_ca(self, site: Site, version: ssl.TLSVersion) -> None:
        foreign = create_authority("Vendor CA")
        server = site.server((ours := new_device(foreign, "CT2", "ec")).certificate.der)
        client, other = site.client(ours, "ours"), site.client(new_device(foreign, "CT3", "ec"), "other")
        client.maximum_version = other.maximum_version = version
        assert handshake(server, client).client == ours.certificate.der
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            handshake(server, other)

    def test_no_session_is_resumed(self, site: Site, version: ssl.TLSVersion) -> None:
        server, client = site.server(), site.client(site.device)
        client.maximum_version = version
        first = handshake(server, client)
        assert not handshake(server, client, session=first.session).reused


def self_signed() -> Issued:
    """As vendors make them: signed with its own key, neither key usage nor extended key usage."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CT from a vendor")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issued(parse_certificate(certificate.public_bytes(serialization.Encoding.DER)), pem)


def test_the_client_checks_the_servers_name_and_ca(site: Site) -> None:
    handshake(site.server(), site.client(site.device), "127.0.0.1")
    with pytest.raises(ssl.SSLError):
        handshake(site.server(), site.client(site.device), "other.example")


def test_a_server_needs_chains_and_anchors(site: Site) -> None:
    with pytest.raises(RefusedForSafety):
        server_context([site.ec], [])
    with pytest.raises(RefusedForSafety):
        server_context([], [site.authority.certificate.der])
    with pytest.raises(RefusedForSafety, match="backup"):
        server_context([CertificateChain(site.ec.certificate, site.rsa.key)], [site.authority.certificate.der])
    with pytest.raises(RefusedForSafety):
        server_context([CertificateChain(site.folder / "absent", site.rsa.key)], [site.authority.certificate.der])
