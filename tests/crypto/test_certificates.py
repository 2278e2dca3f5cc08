import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.crypto.certificates import (
    Issued,
    KeyKind,
    certificate_fingerprint,
    create_authority,
    from_csr,
    issue_device,
    issue_server,
    new_device,
    parse_certificate,
    parse_issued,
    peer_fingerprint,
    pkcs12_bundle,
    public_key,
    require_current,
)
from leadglass.errors import FormatError, RefusedForSafety, UsageError
from tests.served import peer_program


@pytest.fixture(scope="module")
def authority() -> Issued:
    return create_authority("Leadglass CA")


def loaded(issued: Issued) -> x509.Certificate:
    return x509.load_der_x509_certificate(issued.certificate.der)


def test_the_authority(authority: Issued) -> None:
    certificate = loaded(authority)
    certificate.verify_directly_issued_by(certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    # Devices that do RSA only check the chain too.
    assert isinstance(certificate.public_key(), rsa.RSAPublicKey)
    assert authority.certificate.not_after > datetime.now(UTC) + timedelta(days=19 * 365)
    assert authority.key.decode() not in repr(authority)


@pytest.mark.parametrize(("kind", "size"), [("ec", 256), ("rsa", 3072)])
def test_server_certificates(authority: Issued, kind: KeyKind, size: int) -> None:
    issued = issue_server(authority, ["pacs.example", "127.0.0.1", "::1", "bücher.example", "pacs.example"], kind)
    certificate = loaded(issued)
    certificate.verify_directly_issued_by(loaded(authority))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert key.key_size == size
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pacs.example", "xn--bcher-kva.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert identifier == x509.SubjectKeyIdentifier.from_public_key(_key(authority)).digest
    life = issued.certificate.not_after - issued.certificate.not_before
    assert life == timedelta(days=825)


def _key(issued: Issued) -> rsa.RSAPublicKey:
    key = loaded(issued).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def test_a_server_needs_a_name(authority: Issued) -> None:
    with pytest.raises(UsageError):
        issue_server(authority, [], "ec")
    with pytest.raises(UsageError):
        issue_server(authority, ["a" * 70 + "é.example"], "ec")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_devices_and_their_renewal_keep_the_fingerprint(authority: Issued, kind: KeyKind) -> None:
    device = new_device(authority, "CT1", kind)
    certificate = loaded(device)
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert device.certificate.fingerprint == hashlib.sha256(spki).hexdigest()
    renewed = issue_device(authority, "CT1", public_key(device.certificate))
    assert renewed.fingerprint == device.certificate.fingerprint == peer_fingerprint(renewed.der)
    assert renewed.der != device.certificate.der
    assert certificate_fingerprint(renewed) == hashlib.sha256(renewed.der).hexdigest()


def test_nothing_outlives_the_authority(authority: Issued) -> None:
    later = authority.certificate.not_after - timedelta(days=10)
    assert issue_server(authority, ["pacs.example"], "ec", now=later).certificate.not_after == (
        authority.certificate.not_after
    )


class TestRequests:
    def request(self, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "whoever")])
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
        request = x509.CertificateSigningRequestBuilder(name).sign(key, algorithm)
        return request.public_bytes(Encoding.PEM)

    def test_the_key_of_a_request_is_certified_under_our_name(self, authority: Issued) -> None:
        key = ec.generate_private_key(ec.SECP384R1())
        certificate = issue_device(authority, "CT1", from_csr(self.request(key)))
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert certificate.fingerprint == hashlib.sha256(spki).hexdigest()
        assert certificate.subject == "CN=CT1"

    def test_a_request_that_is_not_signed_with_its_key(self) -> None:
        pem = self.request(ec.generate_private_key(ec.SECP256R1()))
        der = bytearray(x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER))
        position = der.index(b"whoever")
        der[position] ^= 1
        with pytest.raises(FormatError):
            from_csr(bytes(der))

    def test_weak_and_other_keys(self) -> None:
        with pytest.raises(FormatError, match="weak"):
            from_csr(self.request(rsa.generate_private_key(65537, 1024)))  # noqa: S505 - weak on purpose
        with pytest.raises(FormatError, match="weak"):
            from_csr(self.request(ed25519.Ed25519PrivateKey.generate()))

    @pytest.mark.parametrize("data", [b"", b"-----BEGIN CERTIFICATE REQUEST-----\n", b"\x30\x03abc"])
    def test_garbage(self, data: bytes) -> None:
        with pytest.raises(FormatError):
            from_csr(data)


def test_certificates_are_read_in_either_form(authority: Issued) -> None:
    certificate = authority.certificate
    assert parse_certificate(certificate.der) == parse_certificate(certificate.pem) == certificate
    for data in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", certificate.der[:-1]):
        with pytest.raises(FormatError):
            parse_certificate(data)


def test_certificate_and_key_must_belong_together(authority: Issued) -> None:
    device = new_device(authority, "CT1", "ec")
    assert parse_issued(device.certificate.pem, device.key) == device
    with pytest.raises(FormatError, match="belong together"):
        parse_issued(authority.certificate.pem, device.key)
    with pytest.raises(FormatError) as caught:
        parse_issued(device.certificate.pem, b"PLANTED")
    assert "PLANTED" not in str(caught.value)


def test_pkcs12(authority: Issued) -> None:
    device = new_device(authority, "CT1", "ec")
    bundle = pkcs12.load_pkcs12(pkcs12_bundle("CT1", device, authority.certificate, b"password"), b"password")
    assert bundle.cert is not None
    assert bundle.cert.certificate.public_bytes(Encoding.DER) == device.certificate.der
    assert [extra.certificate.public_bytes(Encoding.DER) for extra in bundle.additional_certs] == [
        authority.certificate.der
    ]
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_pkcs12(pkcs12_bundle("CT1", device, authority.certificate, b"password"), b"other")


def test_expired_certificates_and_clocks_gone_back_are_refused(authority: Issued) -> None:
    certificate = authority.certificate
    require_current(certificate, "CA", datetime.now(UTC))
    with pytest.raises(RefusedForSafety, match="The CA expired on") as late:
        require_current(certificate, "CA", certificate.not_after + timedelta(seconds=1))
    with pytest.raises(RefusedForSafety, match="not valid before") as early:
        require_current(certificate, "CA", certificate.not_before - timedelta(seconds=1))
    assert late.value.remedy
    assert early.value.remedy


def test_openssl_agrees(authority: Issued, tmp_path: Path) -> None:
    """`-x509_strict` checks what RFC 5280 says about extensions."""
    device, server = new_device(authority, "CT1", "rsa"), issue_server(authority, ["pacs.example"], "ec")
    (tmp_path / "ca.crt").write_bytes(authority.certificate.pem)
    for name, issued in (("sslclient", device), ("sslserver", server)):
        (tmp_path / "leaf.crt").write_bytes(issued.certificate.pem)
        command = [peer_program("openssl"), "verify", "-x509_strict", "-purpose", name, "-CAfile", "ca.crt", "leaf.crt"]
        assert "OK" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
