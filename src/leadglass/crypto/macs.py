"""Message authentication codes over data sets and the signatures over them, PS3.3 C.12.1.1.3.1 and PS3.15 C.1."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512, Hash, HashAlgorithm

from leadglass.errors import FormatError, VerificationFailed

#: Defined terms of MAC Algorithm (0400,0015). RIPEMD160 is one too, which nothing here computes.
_ALGORITHMS: Final = MappingProxyType({"MD5": MD5, "SHA1": SHA1, "SHA256": SHA256, "SHA384": SHA384, "SHA512": SHA512})
#: How a DER sequence begins (X.690 8.9).
_SEQUENCE: Final = 0x30


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as far as the signature tells. `fingerprint`: SHA-256 of the certificate in hex. `kind`: of key."""

    fingerprint: str
    kind: str


class ObjectMac:
    """Takes what a signature covers and compares. FormatError for an algorithm that is not known here."""

    def __init__(self, algorithm: str) -> None:
        make: Callable[[], HashAlgorithm] | None = _ALGORITHMS.get(algorithm)
        if make is None:
            raise FormatError("The signature's MAC algorithm is none that is known here.")
        self._algorithm = make()
        self._hash = Hash(self._algorithm)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._hash.update(data)

    def verify(self, certificate: bytes, signature: bytes) -> Signer:
        """Who signed. `certificate`: X.509 in DER; `signature`: the value of (0400,0120), padded to an even length.
        Raises VerificationFailed when the signature does not hold, FormatError when that cannot be told. Neither the
        certificate's issuer nor its validity is judged."""
        digest, hashed = self._hash.finalize(), Prehashed(self._algorithm)
        try:
            loaded = x509.load_der_x509_certificate(_of_der(certificate))
            key = loaded.public_key()
            fingerprint = loaded.fingerprint(SHA256()).hex()
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, digest, padding.PKCS1v15(), hashed)
                return Signer(fingerprint, "RSA")
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(_of_der(signature), digest, ec.ECDSA(hashed))
                return Signer(fingerprint, "ECDSA")
        except InvalidSignature:
            raise VerificationFailed("The signature does not hold: what was signed has been altered.") from None
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise FormatError("The signer's certificate cannot be read.") from None
        raise FormatError("The signer's key is of a kind that is not known here.")


def _of_der(value: bytes) -> bytes:
    """Without the byte that pads a sequence to an even length (PS3.5 6.2)."""
    if len(value) < 4 or value[0] != _SEQUENCE:
        return value
    if value[1] < 0x80:
        return value[: 2 + value[1]]
    octets = value[1] & 0x7F
    length = 2 + octets + int.from_bytes(value[2 : 2 + octets], "big")
    return value[:length]
