"""Streams that Tink sealed once (tests/vectors/README.md)."""

import json
from pathlib import Path

import pytest

from leadglass.crypto.streaming import StreamOpener, plaintext_length

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "streaming_tink.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{len(vector['plaintext']) // 2} bytes")
def test_vector(vector: dict[str, str]) -> None:
    key, associated, plain, sealed = (
        bytes.fromhex(vector[name]) for name in ("key", "associated_data", "plaintext", "ciphertext")
    )
    assert plaintext_length(len(sealed)) == len(plain)
    opener = StreamOpener(key, associated, lambda offset, length: sealed[offset : offset + length], len(plain))
    assert opener.read(0, len(plain)) == plain
