"""docs/formats/pack.md against a pack that was written once, and against the code.

`open_by_the_document` follows the document with Python's hmac and AES-GCM, and imports nothing of leadglass.
"""

import hashlib
import hmac
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.crypto.streaming import SEGMENT, ciphertext_length, plaintext_length
from leadglass.crypto.wrapping import unwrap_key
from leadglass.errors import VerificationFailed
from leadglass.pack.backend import FilesystemBackend
from leadglass.pack.format import OBJECT_HEADER, PACK_HEADER, TRAILER, Location
from leadglass.pack.store import PackStore

ROOT = Path(__file__).parent.parent.parent
VECTOR: dict[str, Any] = json.loads((ROOT / "tests" / "vectors" / "pack_1.json").read_text())
DOCUMENT = (ROOT / "docs" / "formats" / "pack.md").read_text()


def open_stream(key: bytes, associated: bytes, stream: bytes) -> bytes:
    assert stream[0] == 40
    salt, prefix = stream[1:33], stream[33:40]
    pseudorandom = hmac.digest(salt, key, "sha256")
    aead = AESGCM(hmac.digest(pseudorandom, associated + b"\x01", "sha256"))
    plain, at, number = b"", 40, 0
    while at < len(stream):
        end = min((number + 1) * 65_536, len(stream))
        nonce = prefix + struct.pack(">IB", number, end == len(stream))
        plain += aead.decrypt(nonce, stream[at:end], None)
        at, number = end, number + 1
    return plain


def open_by_the_document(pack: bytes, archive: bytes, study_key: bytes, offset: int, length: int) -> tuple[bytes, ...]:
    data = pack[offset : offset + length]
    header, trailer = data[:32], data[-104:]
    assert header[:8] == b"LGOB\x01\x01\x00\x00"
    assert header[24:] == struct.pack(">II", zlib.crc32(header[:24]), 0)
    object_id = header[8:24]
    study_key_id, plain_length, content_length, layout_length = struct.unpack(">QQQI", trailer[:28])
    content, layout = data[32 : 32 + content_length], data[32 + content_length : -104]
    assert (len(layout), 32 + content_length + layout_length + 104) == (layout_length, length)
    crc, trailer_length = struct.unpack(">II", trailer[88:96])
    assert (crc, trailer_length) == (zlib.crc32(header + layout + trailer[:88]), layout_length + 104)
    assert trailer[96:] == b"LGEND\r\n\x1a"
    wrapped = trailer[28:88]
    object_key = AESGCM(study_key).decrypt(wrapped[:12], wrapped[12:], archive + b"key" + object_id + trailer[:28])
    plain = open_stream(object_key, archive + b"dicom" + object_id, content)
    assert (len(plain), study_key_id) == (plain_length, VECTOR["study_key_id"])
    opened = open_stream(object_key, archive + b"layout" + object_id, layout)
    return object_id, plain, opened[:32], opened[32:]


@pytest.mark.parametrize("expected", VECTOR["objects"], ids=lambda expected: str(expected["length"]))
def test_the_document_alone_opens_the_pack(expected: dict[str, Any]) -> None:
    pack, archive, key = (bytes.fromhex(VECTOR[name]) for name in ("content", "archive_id", "study_key"))
    assert pack[:12] == b"LGPACK\r\n\x00\x01\x00\x00"
    assert pack[12:36] == archive + struct.pack(">Q", 1)
    assert pack[36:40] == struct.pack(">I", zlib.crc32(pack[:36]))
    object_id, plain, digest, layout = open_by_the_document(pack, archive, key, expected["offset"], expected["length"])
    assert (object_id.hex(), plain.hex(), layout.hex()) == (
        expected["object_id"],
        expected["plaintext"],
        expected["layout"],
    )
    assert digest == hashlib.sha256(plain).digest()


def test_the_code_opens_the_pack(tmp_path: Path) -> None:
    path = tmp_path / "000" / "00000001.pack"
    path.parent.mkdir()
    path.write_bytes(bytes.fromhex(VECTOR["content"]))
    path.chmod(0o600)
    store = PackStore(FilesystemBackend(tmp_path), bytes.fromhex(VECTOR["archive_id"]))
    key = bytes.fromhex(VECTOR["study_key"])
    store.recover({1: path.stat().st_size})
    assert len(list(store.iter_objects(1))) == len(VECTOR["objects"])
    for expected in VECTOR["objects"]:
        reader = store.reader(
            Location(1, expected["offset"], expected["length"]),
            bytes.fromhex(expected["object_id"]),
            lambda wrapped: unwrap_key(key, wrapped.wrapped, wrapped.associated_data),
        )
        assert (reader.read(0, reader.length).hex(), reader.layout.hex()) == (expected["plaintext"], expected["layout"])


def test_the_widths_in_the_document_add_up() -> None:
    """Every table of offsets is gapless, and the headings name the sums that the code uses."""
    sizes = {}
    for heading, body in re.findall(r"^##+ ([^\n]+)\n(.*?)(?=^##)", DOCUMENT + "\n## end\n", re.M | re.S):
        rows = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+) \| (\d+) \|", body, re.M)]
        if match := re.fullmatch(r"(.*), (\d+) bytes", heading):
            assert [at for at, _ in rows] == [sum(width for _, width in rows[:n]) for n in range(len(rows))]
            assert sum(width for _, width in rows) == int(match[2])
            sizes[match[1]] = int(match[2])
    assert sizes == {"Pack header": PACK_HEADER, "Header": OBJECT_HEADER, "Trailer": TRAILER}


def test_lengths_of_streams() -> None:
    for plain in (0, 1, 65_480, 65_481, 131_000, 131_001, 10_000_000):
        length = ciphertext_length(plain)
        # The formula of the document.
        assert length == 40 + plain + 16 * max(1, -(-(plain + 40) // 65_520))
        assert plaintext_length(length) == plain
    for length in (0, 40, 55, SEGMENT + 1, SEGMENT + 16):
        with pytest.raises(VerificationFailed):
            plaintext_length(length)
