"""The local CA and the certificates it issues (RFC 5280); certificates that others issued, read.

A device is bound to the SHA-256 of its SubjectPublicKeyInfo, so that a renewed certificate for the same key is the same
device. Times are aware and in UTC. Private keys are PKCS #8 PEM without a password: files keep them (keys.py).
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from leadglass.errors import FormatError, RefusedForSafety, UsageError

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
KeyKind = Literal["ec", "rsa"]

_AUTHORITY_LIFE = timedelta(days=20 * 365)
#: The longest that common clients accept from a server.
_SERVER_LIFE = timedelta(days=825)
_DEVICE_LIFE = timedelta(days=2 * 365)
#: Certificates begin a little in the past: modality clocks are rarely right.
_CLOCK_SKEW = timedelta(hours=1)
_RSA_BITS = 3072
_RSA_LEAST = 2048
_CLIENT_PURPOSES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as far as the archive cares. `fingerprint`: SHA-256 of its SubjectPublicKeyInfo in hex."""

    subject: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    der: bytes = field(repr=False)

    @property
    def pem(self) -> bytes:
        return x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key in PEM."""

    certificate: Certificate
    key: bytes = field(repr=False)


def create_authority(name: str, now: datetime | None = None) -> Issued:
    """A new self-signed CA that may issue end-entity certificates only.

    RSA, since devices that do RSA only must be able to check a chain up to it.
    """
    key = _new_key("rsa")
    subject = _name(name)
    begin = (now or datetime.now(UTC)) - _CLOCK_SKEW
    builder = (
        _builder(subject, subject, key.public_key(), key.public_key(), begin, begin + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
    )
    return Issued(_value(builder.sign(key, SHA256())), _private_pem(key))


def issue_server(authority: Issued, hostnames: Sequence[str], kind: KeyKind, now: datetime | None = None) -> Issued:
    """A server certificate for names and addresses; the first one is its subject. UsageError if there is none."""
    if not hostnames:
        raise UsageError("A server certificate needs a name.")
    key = _new_key(kind)
    names = x509.SubjectAlternativeName([_general_name(hostname) for hostname in dict.fromkeys(hostnames)])
    certificate = _issue(
        authority, _name(hostnames[0]), key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, _SERVER_LIFE, names, now
    )
    return Issued(certificate, _private_pem(key))


def issue_device(
    authority: Issued, name: str, public_key: bytes, *, life: timedelta = _DEVICE_LIFE, now: datetime | None = None
) -> Certificate:
    """A client certificate for a device's key, given as SubjectPublicKeyInfo in DER (`from_csr`, `public_key`)."""
    return _issue(authority, _name(name), _load_public(public_key), ExtendedKeyUsageOID.CLIENT_AUTH, life, None, now)


def _new_key(kind: KeyKind) -> _PrivateKey:
    """P-256, or RSA of 3072 bits (NIST SP 800-57: both 128 bits of strength)."""
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, _RSA_BITS)


def new_device(authority: Issued, name: str, kind: KeyKind = "rsa", now: datetime | None = None) -> Issued:
    """A device's certificate with a key made here. RSA unless asked otherwise: many scanners do nothing else."""
    key = _new_key(kind)
    return Issued(issue_device(authority, name, _spki(key.public_key()), now=now), _private_pem(key))


def from_csr(pem: bytes) -> bytes:
    """The public key of a certification request (PKCS #10, PEM or DER), as SubjectPublicKeyInfo in DER.

    FormatError if it is none, its signature does not hold, or the key is too weak or of another kind. Names in the
    request are ignored: enrolment says who the device is.
    """
    try:
        request = x509.load_pem_x509_csr(pem) if b"-----BEGIN" in pem else x509.load_der_x509_csr(pem)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature) as error:
        raise FormatError("This is not a certification request.", "Give a PKCS #10 file in PEM or DER.") from error
    if not valid:
        raise FormatError("The certification request is not signed with its own key.", "Make it again on the device.")
    return _spki(_checked_key(key))


def public_key(certificate: Certificate) -> bytes:
    """SubjectPublicKeyInfo in DER: renewal keeps the key."""
    return _spki(_checked_key(x509.load_der_x509_certificate(certificate.der).public_key()))


def parse_certificate(data: bytes) -> Certificate:
    """The first certificate in PEM, or one in DER. FormatError if there is none or its key is too weak."""
    try:
        pem = b"-----BEGIN" in data
        certificate = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        _checked_key(certificate.public_key())
        return _value(certificate)
    except ValueError as error:
        raise FormatError("This is not an X.509 certificate.", "Give one in PEM or DER.") from error


def parse_issued(certificate: bytes, key: bytes) -> Issued:
    """A certificate and its PEM key as read from files. FormatError if they do not belong together."""
    value = parse_certificate(certificate)
    if _spki(_load_private(key).public_key()) != public_key(value):
        raise FormatError("A certificate and its key do not belong together.", "Restore both from one backup.")
    return Issued(value, key)


def pkcs12_bundle(name: str, issued: Issued, authority: Certificate, password: bytes) -> bytes:
    """Key, certificate and CA as PKCS #12 (RFC 7292) under a password, for devices that import nothing else."""
    return pkcs12.serialize_key_and_certificates(
        name.encode(),
        _load_private(issued.key),
        x509.load_der_x509_certificate(issued.certificate.der),
        [x509.load_der_x509_certificate(authority.der)],
        BestAvailableEncryption(password),
    )


def require_current(certificate: Certificate, what: str, now: datetime) -> None:
    """Refuse to run with an expired certificate. `what` names it in the message: `server certificate (RSA)`, `CA`."""
    if now > certificate.not_after:
        day = certificate.not_after.date().isoformat()
        raise RefusedForSafety(
            f"The {what} expired on {day}.",
            "Renew it (`leadglass certificate` for the server's), or correct the clock.",
        )
    if now < certificate.not_before:
        day = certificate.not_before.date().isoformat()
        raise RefusedForSafety(f"The {what} is not valid before {day}.", "Correct the clock.")


def require_client_use(certificate: Certificate) -> None:
    """Refuse a certificate that OpenSSL would not take from a client: UsageError when its key usage or extended key
    usage (RFC 5280 4.2.1.3, 4.2.1.12) excludes it."""
    extensions = x509.load_der_x509_certificate(certificate.der).extensions
    remedy = "Have it issued for clientAuth with digitalSignature."
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            raise UsageError("The certificate's key usage does not allow it to sign in with TLS.", remedy)
        if isinstance(value, x509.ExtendedKeyUsage) and not _CLIENT_PURPOSES & set(value):
            raise UsageError("The certificate is not meant for TLS clients (extended key usage).", remedy)


def host_names(certificate: Certificate) -> tuple[str, ...]:
    """The DNS names that a server certificate is good for, wildcards left out."""
    names = _alternative_names(certificate)
    return () if names is None else tuple(name for name in names.get_values_for_type(x509.DNSName) if "*" not in name)


def server_names(certificate: Certificate) -> tuple[str, ...]:
    """All names and addresses that a server certificate is good for."""
    names = _alternative_names(certificate)
    if names is None:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def _alternative_names(certificate: Certificate) -> x509.SubjectAlternativeName | None:
    try:
        extensions = x509.load_der_x509_certificate(certificate.der).extensions
        return extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def certificate_fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the whole certificate in hex, as other programs show it: to compare the CA by eye."""
    digest = Hash(SHA256())
    digest.update(certificate.der)
    return digest.finalize().hex()


def peer_fingerprint(der: bytes) -> str:
    """The key fingerprint of a certificate that a TLS peer has shown and OpenSSL has parsed."""
    return _value(x509.load_der_x509_certificate(der)).fingerprint


def _issue(
    authority: Issued,
    subject: x509.Name,
    key: _PublicKey,
    purpose: x509.ObjectIdentifier,
    life: timedelta,
    names: x509.SubjectAlternativeName | None,
    now: datetime | None,
) -> Certificate:
    issuer = x509.load_der_x509_certificate(authority.certificate.der)
    signer = _load_private(authority.key)
    begin = (now or datetime.now(UTC)) - _CLOCK_SKEW
    builder = (
        _builder(
            subject, issuer.subject, key, signer.public_key(), begin, min(begin + life, issuer.not_valid_after_utc)
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return _value(builder.sign(signer, SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _PublicKey, signer: _PublicKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    # RFC 5280 A.1: ub-common-name is 64. The subject is for people; SANs and fingerprints decide.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general_name(hostname: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        pass
    try:
        return x509.DNSName(hostname.encode("idna").decode("ascii"))
    except UnicodeError:
        raise UsageError("A host name is not one.", "Give a DNS name or an IP address.") from None


def _load_public(der: bytes) -> _PublicKey:
    return _checked_key(load_der_public_key(der))


def _load_private(pem: bytes) -> _PrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise FormatError("A private key file does not hold a PEM key without a password.") from None
    if not isinstance(key, _PrivateKey):
        raise FormatError("A private key is neither RSA nor on an elliptic curve.")
    return key


def _checked_key(key: object) -> _PublicKey:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _RSA_LEAST:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= 256:
        return key
    raise FormatError(
        "A key is too weak or of a kind that TLS devices lack.", "Use RSA of 2048 bits or more, or P-256."
    )


def _private_pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _spki(key: _PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _value(certificate: x509.Certificate) -> Certificate:
    digest = Hash(SHA256())
    digest.update(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return Certificate(
        certificate.subject.rfc4514_string(),
        digest.finalize().hex(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.public_bytes(Encoding.DER),
    )
