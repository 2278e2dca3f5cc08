import pytest

from leadglass.crypto.wrapping import OVERHEAD, unwrap_key, wrap_key
from leadglass.errors import VerificationFailed

KEK = bytes(range(32))


def test_round_trip() -> None:
    wrapped = wrap_key(KEK, b"k" * 32, b"study 1")
    assert len(wrapped) == 32 + OVERHEAD
    assert unwrap_key(KEK, wrapped, b"study 1") == b"k" * 32
    assert wrap_key(KEK, b"k" * 32, b"study 1") != wrapped


def test_any_difference_is_noticed() -> None:
    wrapped = wrap_key(KEK, b"k" * 32, b"study 1")
    for position in (0, 12, len(wrapped) - 1):
        changed = bytearray(wrapped)
        changed[position] ^= 0x80
        with pytest.raises(VerificationFailed):
            unwrap_key(KEK, bytes(changed), b"study 1")
    for kek, blob, ad in (
        (bytes(32), wrapped, b"study 1"),
        (KEK, wrapped, b"study 2"),
        (KEK, wrapped[:-1], b"study 1"),
        (KEK, b"", b""),
    ):
        with pytest.raises(VerificationFailed):
            unwrap_key(kek, blob, ad)
