"""A certificate that somebody else's server has shown, read without judging it: also one that we would not take."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from leadglass.errors import FormatError


@dataclass(frozen=True, slots=True)
class Presented:
    """`self_issued`: subject and issuer are the same. `names`: DNS names and addresses of the subject alternative name.
    `key`: its kind, `bits` its length. `signature`: the hash that the issuer signed, such as `sha256`; "" if none."""

    self_issued: bool
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    key: str
    bits: int
    signature: str


def read_presented(der: bytes) -> Presented:
    """FormatError if it is no X.509 certificate that can be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        kind, bits = _key(certificate)
        hashed = certificate.signature_hash_algorithm
        return Presented(
            certificate.subject == certificate.issuer,
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            tuple(_names(certificate)),
            kind,
            bits,
            hashed.name if hashed is not None else "",
        )
    except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        raise FormatError("The certificate that was shown cannot be read.") from error


def _key(certificate: x509.Certificate) -> tuple[str, int]:
    key = certificate.public_key()
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return "EC", key.curve.key_size
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
    return type(key).__name__, 0


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return []  # whatever else it says still counts
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress) if isinstance(each, _ADDRESSES)]
    return [*names.get_values_for_type(x509.DNSName), *addresses]


_ADDRESSES = (ipaddress.IPv4Address, ipaddress.IPv6Address)
