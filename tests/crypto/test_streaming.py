import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.crypto.streaming import (
    HEADER,
    SEGMENT,
    TAG,
    StreamOpener,
    StreamSealer,
    ciphertext_length,
    seal,
    segment_count,
)
from leadglass.errors import UsageError, VerificationFailed

KEY = bytes(range(32))
AD = b"archive dicom object"
FIRST = SEGMENT - HEADER - TAG
NEXT = SEGMENT - TAG
BORDERS = sorted({max(border + d, 0) for border in (0, FIRST, FIRST + NEXT, FIRST + 17 * NEXT) for d in (-1, 0, 1)})


def pattern(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def opener(sealed: bytes, plain_length: int, key: bytes = KEY, ad: bytes = AD) -> StreamOpener:
    return StreamOpener(key, ad, lambda offset, length: sealed[offset : offset + length], plain_length)


@pytest.mark.parametrize("size", BORDERS)
def test_round_trip_at_the_borders(size: int) -> None:
    plain = pattern(size)
    sealed = seal(KEY, AD, plain)
    assert len(sealed) == ciphertext_length(size)
    assert opener(sealed, size).read(0, size) == plain


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * SEGMENT), max_size=6))
def test_any_split_of_the_plaintext_gives_the_same_segments(sizes: list[int]) -> None:
    plain = pattern(sum(sizes))
    sealer = StreamSealer(KEY, AD)
    out = memoryview(bytearray(ciphertext_length(len(plain))))
    out[:HEADER] = sealer.header
    at, taken = HEADER, 0
    for size in sizes:
        room = sealer.bound(size)
        before = at
        at = sealer.update(plain[taken : taken + size], out, at)
        assert at - before <= room
        taken += size
    assert at + sealer.bound(0) >= len(out)
    assert sealer.finish(out, at) == len(out)
    assert opener(bytes(out), len(plain)).read(0, len(plain)) == plain


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(BORDERS))
def test_any_range_reads_only_the_segments_it_touches(data: st.DataObject, size: int) -> None:
    start = data.draw(st.integers(0, size))
    length = data.draw(st.integers(0, size - start))
    plain, sealed = pattern(size), seal(KEY, AD, pattern(size))
    asked: list[tuple[int, int]] = []

    def read_at(offset: int, amount: int) -> bytes:
        asked.append((offset, amount))
        return sealed[offset : offset + amount]

    stream = StreamOpener(KEY, AD, read_at, size)
    assert stream.read(start, length) == plain[start : start + length]
    opened = sum(-(-(amount + offset % SEGMENT) // SEGMENT) for offset, amount in asked[1:])
    first = min((start + HEADER) // NEXT, segment_count(size) - 1)
    assert opened == max(segment_count(start + length) - first, 1)


def test_chunks_are_at_most_a_mebibyte_and_do_not_share_memory() -> None:
    plain = pattern(40 * SEGMENT)
    chunks = list(opener(seal(KEY, AD, plain), len(plain)).chunks())
    assert b"".join(chunks) == plain
    assert max(map(len, chunks)) <= 1 << 20


@pytest.mark.parametrize("size", [0, 100, FIRST + 5, FIRST + NEXT])
def test_every_change_is_noticed(size: int) -> None:
    sealed = seal(KEY, AD, pattern(size))
    for position in {0, 1, HEADER - 1, HEADER, len(sealed) // 2, len(sealed) - 1}:
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(VerificationFailed):
            opener(bytes(changed), size).read(0, size)


def test_truncation_is_noticed_even_with_a_matching_length() -> None:
    sealed = seal(KEY, AD, pattern(FIRST + 2 * NEXT))
    for size in (0, 5, FIRST, FIRST + NEXT, FIRST + 2 * NEXT - 1, FIRST + 2 * NEXT + 1):
        for content in (sealed, sealed[: ciphertext_length(size)]):
            with pytest.raises(VerificationFailed):
                opener(content, size).read(0, size)
    with pytest.raises(VerificationFailed):
        opener(sealed[:-1], FIRST + 2 * NEXT).read(0, FIRST + 2 * NEXT)
    with pytest.raises(VerificationFailed):
        opener(sealed[: HEADER - 1], 0)


def test_reordering_and_mixing_are_noticed() -> None:
    size = FIRST + 3 * NEXT
    a, b = seal(KEY, AD, pattern(size)), seal(KEY, AD, pattern(size))
    swapped = a[:SEGMENT] + a[2 * SEGMENT : 3 * SEGMENT] + a[SEGMENT : 2 * SEGMENT] + a[3 * SEGMENT :]
    mixed = a[:SEGMENT] + b[SEGMENT : 2 * SEGMENT] + a[2 * SEGMENT :]
    for content in (swapped, mixed):
        with pytest.raises(VerificationFailed):
            opener(content, size).read(0, size)


def test_another_key_or_associated_data_opens_nothing() -> None:
    sealed = seal(KEY, AD, b"content")
    with pytest.raises(VerificationFailed):
        opener(sealed, 7, ad=AD + b"x").read(0, 7)
    with pytest.raises(VerificationFailed):
        opener(sealed, 7, key=bytes(32)).read(0, 7)


def test_ranges_outside_are_refused() -> None:
    stream = opener(seal(KEY, AD, b"content"), 7)
    for start, length in ((-1, 2), (0, 8), (8, 0), (5, -1)):
        with pytest.raises(UsageError):
            stream.read(start, length)


def test_keys_have_32_bytes() -> None:
    with pytest.raises(UsageError):
        StreamSealer(b"short", AD)
