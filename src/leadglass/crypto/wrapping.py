"""Keys and other small secrets under a key: AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D 8.2.2).

A wrapped value is nonce (12) ‖ ciphertext ‖ tag (16). One wrapping key wraps far fewer than 2³² values (8.3 there).
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.errors import VerificationFailed

NONCE = 12
OVERHEAD = NONCE + 16


def wrap_key(kek: bytes, key: bytes, associated_data: bytes) -> bytes:
    """`key` sealed under the 32-byte `kek`, bound to `associated_data`; 28 bytes longer than `key`."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(kek).encrypt(nonce, key, associated_data)


def unwrap_key(kek: bytes, wrapped: bytes, associated_data: bytes) -> bytes:
    """What `wrap_key` was given. VerificationFailed if anything differs."""
    if len(wrapped) < OVERHEAD:
        raise VerificationFailed("A wrapped key is too short.")
    try:
        return AESGCM(kek).decrypt(wrapped[:NONCE], wrapped[NONCE:], associated_data)
    except InvalidTag:
        raise VerificationFailed("A wrapped key does not verify.") from None
