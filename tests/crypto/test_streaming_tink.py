"""Tink's own implementation as the oracle, both ways."""

import io

import pytest
import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from leadglass.crypto.streaming import HEADER, SEGMENT, TAG, StreamOpener, ciphertext_length, seal

KEY = bytes(range(100, 132))
AD = bytes(16) + b"dicom" + bytes(range(16))
FIRST = SEGMENT - HEADER - TAG
NEXT = SEGMENT - TAG
SIZES = [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1, FIRST + NEXT, FIRST + NEXT + 1, 20 * SEGMENT]


class Kept(io.BytesIO):
    """Tink closes what it wrote to."""

    def close(self) -> None:
        self.content = self.getvalue()


@pytest.fixture(scope="module")
def oracle() -> streaming_aead.StreamingAead:
    streaming_aead.register()
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        key_value=KEY,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=SEGMENT, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        ),
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    keyset.key.add(
        key_id=1,
        status=tink_pb2.ENABLED,
        output_prefix_type=tink_pb2.RAW,
        key_data=tink_pb2.KeyData(
            type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
            value=key.SerializeToString(),
            key_material_type=tink_pb2.KeyData.SYMMETRIC,
        ),
    )
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


@pytest.mark.parametrize("size", SIZES)
def test_tink_opens_what_we_seal(oracle: streaming_aead.StreamingAead, size: int) -> None:
    plain = bytes(i * 7 % 256 for i in range(256)) * (size // 256 + 1)
    plain = plain[:size]
    with oracle.new_decrypting_stream(io.BytesIO(seal(KEY, AD, plain)), AD) as stream:
        assert stream.read() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_tink_seals(oracle: streaming_aead.StreamingAead, size: int) -> None:
    plain = (bytes(range(256)) * (size // 256 + 1))[:size]
    target = Kept()
    with oracle.new_encrypting_stream(target, AD) as stream:
        stream.write(plain)
    sealed = target.content
    assert len(sealed) == ciphertext_length(size)
    opener = StreamOpener(KEY, AD, lambda offset, length: sealed[offset : offset + length], size)
    assert opener.read(0, size) == plain
    assert opener.read(size // 3, size // 2) == plain[size // 3 : size // 3 + size // 2]
