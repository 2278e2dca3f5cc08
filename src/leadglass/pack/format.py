"""The bytes of a pack, as docs/formats/pack.md lays them out. No input or output."""

import struct
import zlib
from dataclasses import dataclass, field

from leadglass.crypto.streaming import ciphertext_length
from leadglass.errors import VerificationFailed
from leadglass.model import Sent

ID = 16
DIGEST = 32

_VERSION = 1
_KIND_DATA_SET = 1

_PACK_MAGIC = b"LGPACK\r\n"
_PACK = struct.Struct(">8sHH16sQ")
_OBJECT_MAGIC = b"LGOB"
_OBJECT = struct.Struct(">4sBBH16s")
_CRC = struct.Struct(">I")
_CLEAR = struct.Struct(">QQQI")
_WRAPPED = 60
_END_MAGIC = b"LGEND\r\n\x1a"
_END = struct.Struct(">II8s")

PACK_HEADER = _PACK.size + _CRC.size
OBJECT_HEADER = _OBJECT.size + 2 * _CRC.size
TRAILER = _CLEAR.size + _WRAPPED + _END.size


@dataclass(frozen=True, slots=True)
class Location(Sent):
    """Where an object lies: pack number, offset of its header, bytes from there to the end of its trailer."""

    pack: int
    offset: int
    length: int

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study's 32-byte key, which wraps its objects' keys, and the row of the index that it comes from."""

    id: int
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """An object key under a study key, as `leadglass.crypto.wrapping.unwrap_key` takes it."""

    study_key: int
    wrapped: bytes
    associated_data: bytes


@dataclass(frozen=True, slots=True)
class Trailer:
    """A trailer's fields; lengths in bytes. `crc` covers object header, sealed layout and the trailer before it."""

    study_key: int
    plain_length: int
    content_length: int
    layout_length: int
    wrapped: bytes
    crc: int

    @property
    def object_length(self) -> int:
        return OBJECT_HEADER + self.content_length + self.layout_length + TRAILER

    def wrapped_key(self, archive_id: bytes, object_id: bytes) -> WrappedKey:
        return WrappedKey(self.study_key, self.wrapped, associated_key(archive_id, object_id, self.clear))

    @property
    def clear(self) -> bytes:
        return clear_fields(self.study_key, self.plain_length, self.layout_length)


def associated_content(archive_id: bytes, object_id: bytes) -> bytes:
    return archive_id + b"dicom" + object_id


def associated_layout(archive_id: bytes, object_id: bytes) -> bytes:
    return archive_id + b"layout" + object_id


def associated_key(archive_id: bytes, object_id: bytes, clear: bytes) -> bytes:
    return archive_id + b"key" + object_id + clear


def encode_pack_header(archive_id: bytes, number: int) -> bytes:
    body = _PACK.pack(_PACK_MAGIC, _VERSION, 0, archive_id, number)
    return body + _CRC.pack(zlib.crc32(body))


def check_pack_header(header: bytes, archive_id: bytes, number: int) -> None:
    """VerificationFailed unless these are the first bytes of that pack of that archive."""
    if header != encode_pack_header(archive_id, number):
        raise VerificationFailed(f"Pack {number} does not begin with its header.")


def encode_object_header(object_id: bytes) -> bytes:
    body = _OBJECT.pack(_OBJECT_MAGIC, _VERSION, _KIND_DATA_SET, 0, object_id)
    return body + _CRC.pack(zlib.crc32(body)) + bytes(4)


def decode_object_header(header: bytes) -> bytes:
    """The object id. VerificationFailed if this is no whole header of a known version."""
    object_id = header[8 : 8 + ID]
    if len(header) != OBJECT_HEADER or header != encode_object_header(object_id):
        raise VerificationFailed("An object does not begin with its header.")
    return object_id


def clear_fields(study_key: int, plain_length: int, layout_length: int) -> bytes:
    return _CLEAR.pack(study_key, plain_length, ciphertext_length(plain_length), layout_length)


def encode_trailer(header: bytes, sealed_layout: bytes, clear: bytes, wrapped: bytes) -> bytes:
    body = clear + wrapped
    crc = zlib.crc32(body, zlib.crc32(sealed_layout, zlib.crc32(header)))
    return body + _END.pack(crc, len(sealed_layout) + TRAILER, _END_MAGIC)


def decode_trailer(data: bytes) -> Trailer:
    """The fields of the trailer in `data`. VerificationFailed if it is none; its CRC is `check_crc`'s."""
    if len(data) != TRAILER or not data.endswith(_END_MAGIC):
        raise VerificationFailed("An object does not end with its trailer.")
    study_key, plain_length, content_length, layout_length = _CLEAR.unpack_from(data)
    crc, length, _ = _END.unpack_from(data, _CLEAR.size + _WRAPPED)
    if content_length != ciphertext_length(plain_length) or length != layout_length + TRAILER:
        raise VerificationFailed("The lengths in an object's trailer contradict each other.")
    wrapped = data[_CLEAR.size : _CLEAR.size + _WRAPPED]
    return Trailer(study_key, plain_length, content_length, layout_length, wrapped, crc)


def check_crc(header: bytes, sealed_layout: bytes, trailer: bytes) -> None:
    """VerificationFailed if header, layout or trailer were torn."""
    body = trailer[: _CLEAR.size + _WRAPPED]
    if zlib.crc32(body, zlib.crc32(sealed_layout, zlib.crc32(header))) != decode_trailer(trailer).crc:
        raise VerificationFailed("An object's header, layout or trailer is damaged.")


def find_trailer(data: bytes, start: int) -> int:
    """The offset of the first byte in `data`, from `start` on, that can begin a trailer; -1 if there is none."""
    at = data.find(_END_MAGIC, start + TRAILER - len(_END_MAGIC))
    return -1 if at < 0 else at + len(_END_MAGIC) - TRAILER
