"""Tink's AES256_GCM_HKDF streaming AEAD, exactly (docs/formats/pack.md, "Streams"). No input or output.

    header = 40 ‖ salt (32) ‖ nonce prefix (7)
    key    = HKDF-SHA256(key, salt, info = associated data)
    nonce  = nonce prefix ‖ segment number (4, big-endian) ‖ last (1)

Segments are 64 KiB of ciphertext, the header being part of the first one. A full segment is sealed only once more data
arrives, since the nonce says whether it is the last.
"""

import hmac
import os
import struct
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from leadglass.errors import UsageError, VerificationFailed

#: Bytes of ciphertext in a full segment, its tag (and for the first one the header) included.
SEGMENT = 65_536
HEADER = 40
TAG = 16
KEY = 32
_SALT = 32
_PREFIX = 7
#: Bytes of plaintext in a full segment, and in the first one.
_PLAIN = SEGMENT - TAG
_PLAIN_FIRST = _PLAIN - HEADER
#: Segments opened at a time: one read and one output of at most 256 KiB, which the allocator keeps for the next one
#: where it would return a larger one to the system.
_WINDOW = 4

_NONCE_END = struct.Struct(">IB")

Buffer = bytes | bytearray | memoryview
#: (offset, length) → that many bytes of ciphertext; fewer where it ends.
ReadAt = Callable[[int, int], bytes]


def segment_count(plain_length: int) -> int:
    return max(1, -(-(plain_length + HEADER) // _PLAIN))


def ciphertext_length(plain_length: int) -> int:
    """Bytes of the whole stream, header included, of a plaintext of that many bytes."""
    return HEADER + plain_length + TAG * segment_count(plain_length)


def plaintext_length(length: int) -> int:
    """The inverse of `ciphertext_length`. VerificationFailed for a length that no stream has."""
    plain = length - HEADER - TAG * -(-length // SEGMENT)
    if plain < 0 or ciphertext_length(plain) != length:
        raise VerificationFailed("No sealed stream has this length.")
    return plain


def _segment_key(key: bytes, salt: bytes, associated_data: bytes) -> AESGCM:
    if len(key) != KEY:
        raise UsageError("A stream key has 32 bytes.")
    # HKDF (RFC 5869) for one block of output; the general one would cost half of a small object's sealing.
    extracted = hmac.digest(salt, key, "sha256")
    return AESGCM(hmac.digest(extracted, associated_data + b"\1", "sha256"))


class StreamSealer:
    """Seals one plaintext as it arrives. Plaintext that does not yet fill a segment stays in memory.

    The caller owns the output, so that one buffer serves many objects: first `header`, then what `update` and `finish`
    put at the position given. `bound` says how much room they need.
    """

    __slots__ = ("_aead", "_capacity", "_filled", "_number", "_pending", "_prefix", "header")

    def __init__(self, key: bytes, associated_data: bytes) -> None:
        random = os.urandom(_SALT + _PREFIX)
        self._start(key, associated_data, random[:_SALT], random[_SALT:])

    def _start(self, key: bytes, associated_data: bytes, salt: bytes, prefix: bytes) -> None:
        self._aead = _segment_key(key, salt, associated_data)
        self._prefix = prefix
        self._pending = memoryview(bytearray(_PLAIN))
        self._filled = 0
        self._capacity = _PLAIN_FIRST
        self._number = 0
        self.header = bytes((HEADER,)) + salt + prefix

    def bound(self, size: int) -> int:
        """The most bytes that `update` with `size` bytes followed by `finish` can put out."""
        held = self._filled + size
        return held + TAG * (held // _PLAIN_FIRST + 1)

    def update(self, data: Buffer, out: memoryview, at: int) -> int:
        """Put the sealed segments that `data` completes into `out` from `at` on; the position behind them."""
        size = len(data)
        filled = self._filled
        if filled + size <= self._capacity:
            self._pending[filled : filled + size] = data
            self._filled = filled + size
            return at
        view = memoryview(data)
        taken = 0
        if filled:
            taken = self._capacity - filled
            self._pending[filled : self._capacity] = view[:taken]
            at = self._seal(self._pending[: self._capacity], out, at, 0)
        while size - taken > self._capacity:
            end = taken + self._capacity
            at = self._seal(view[taken:end], out, at, 0)
            taken = end
        self._filled = size - taken
        self._pending[: self._filled] = view[taken:]
        return at

    def finish(self, out: memoryview, at: int) -> int:
        """Put the last segment into `out` from `at` on; the position behind it. The sealer is spent."""
        at = self._seal(self._pending[: self._filled], out, at, 1)
        self._pending.release()
        return at

    def _seal(self, plain: memoryview, out: memoryview, at: int, last: int) -> int:
        end = at + len(plain) + TAG
        self._aead.encrypt_into(self._prefix + _NONCE_END.pack(self._number, last), plain, None, out[at:end])
        self._number += 1
        self._capacity = _PLAIN
        return end


def seal(key: bytes, associated_data: bytes, plaintext: Buffer) -> bytes:
    """The whole stream of a plaintext that is small enough to be held in memory twice."""
    sealer = StreamSealer(key, associated_data)
    out = bytearray(ciphertext_length(len(plaintext)))
    view = memoryview(out)
    view[:HEADER] = sealer.header
    sealer.finish(view, sealer.update(plaintext, view, HEADER))
    return bytes(out)


class StreamOpener:
    """Opens any range of a sealed stream; only the segments that a range touches are read and opened.

    `plain_length` comes from somewhere trusted (docs/formats/pack.md, "Reading"); a wrong one fails when the last
    segment is opened. Safe for use by several threads if `read_at` is.
    """

    __slots__ = ("_aead", "_prefix", "_read_at", "_segments", "plain_length")

    def __init__(self, key: bytes, associated_data: bytes, read_at: ReadAt, plain_length: int) -> None:
        """Reads the stream's header. VerificationFailed if it is none."""
        header = read_at(0, HEADER)
        if len(header) != HEADER or header[0] != HEADER:
            raise VerificationFailed("A sealed stream does not begin with its header.")
        self._aead = _segment_key(key, header[1 : 1 + _SALT], associated_data)
        self._prefix = header[1 + _SALT :]
        self._read_at = read_at
        self._segments = segment_count(plain_length)
        self.plain_length = plain_length

    def read(self, start: int, length: int) -> bytes:
        """`length` bytes of plaintext from `start` on. UsageError outside the plaintext, VerificationFailed."""
        return b"".join(self.chunks(start, length))

    def chunks(self, start: int = 0, length: int | None = None) -> Iterator[bytearray]:
        """The range in order, in fresh buffers of at most 256 KiB. Opens at least one segment, even for an empty range.

        UsageError for a range outside the plaintext; VerificationFailed for a segment that was changed, cut, moved or
        sealed for something else.
        """
        end = self.plain_length if length is None else start + length
        if not 0 <= start <= end <= self.plain_length:
            raise UsageError("A range lies outside what was sealed.")
        number = min((start + HEADER) // _PLAIN, self._segments - 1)
        stop = max(segment_count(end), number + 1)
        while number < stop:
            upto = min(number + _WINDOW, stop)
            plain = self._open(number, upto)
            base = _plain_offset(number)
            if start > base or end < base + len(plain):
                plain = plain[max(start - base, 0) : end - base]
            yield plain
            number = upto

    def _open(self, first: int, stop: int) -> bytearray:
        """The plaintext of the segments from `first` up to `stop`, which is not part of it."""
        offset = first * SEGMENT if first else HEADER
        plain_end = min(_plain_offset(stop), self.plain_length)
        size = plain_end - _plain_offset(first) + TAG * (stop - first)
        sealed = memoryview(self._read_at(offset, size))
        if len(sealed) != size:
            raise VerificationFailed("A sealed stream is shorter than it should be.")
        out = bytearray(size - TAG * (stop - first))
        view = memoryview(out)
        source = target = 0
        for number in range(first, stop):
            plain = min(_PLAIN if number else _PLAIN_FIRST, len(out) - target)
            nonce = self._prefix + _NONCE_END.pack(number, number == self._segments - 1)
            try:
                self._aead.decrypt_into(
                    nonce, sealed[source : source + plain + TAG], None, view[target : target + plain]
                )
            except InvalidTag:
                raise VerificationFailed("A sealed segment does not verify.") from None
            source += plain + TAG
            target += plain
        return out


def _plain_offset(number: int) -> int:
    return number * _PLAIN - HEADER if number else 0
