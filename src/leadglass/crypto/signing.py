"""Ed25519 signatures (RFC 8032) over bytes as they are, so that plain openssl verifies them too."""

from dataclasses import dataclass, field
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from leadglass.errors import FormatError, VerificationFailed

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """A public key: its 32 bytes of RFC 8032 5.1.5."""

    raw: bytes

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """A SubjectPublicKeyInfo in PEM (RFC 8410). FormatError if it is no Ed25519 key."""
        try:
            key = load_pem_public_key(pem)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise FormatError("This is not an Ed25519 public key in PEM.", "openssl pkey -in KEY -pubout makes one.")
        return cls(key.public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the SubjectPublicKeyInfo in hex, as for certificates."""
        digest = Hash(SHA256())
        digest.update(self._key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize().hex()

    def verify(self, signature: bytes, message: bytes) -> None:
        """VerificationFailed unless `signature` is this key's over `message`."""
        try:
            self._key().verify(signature, message)
        except InvalidSignature:
            raise VerificationFailed("The signature does not hold: what was signed has been altered.") from None

    def _key(self) -> Ed25519PublicKey:
        try:
            return Ed25519PublicKey.from_public_bytes(self.raw)
        except ValueError:
            raise VerificationFailed("A public key is not 32 bytes of Ed25519.") from None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key."""

    _private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """PKCS #8 in PEM without a password, as `openssl genpkey -algorithm ed25519` writes it. FormatError if not."""
        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise FormatError(
                "This is not an Ed25519 private key in PEM without a password.",
                "Make one: openssl genpkey -algorithm ed25519 -out FILE",
            )
        return cls(key)

    @property
    def pem(self) -> bytes:
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> VerifyKey:
        return VerifyKey(self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, message: bytes) -> bytes:
        """64 bytes; equal for equal messages."""
        return self._private.sign(message)
