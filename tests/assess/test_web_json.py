"""Arrays of any length, cut anywhere, in bounded memory."""

import io
import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.assess.probes.web_json import decoded, elements
from leadglass.errors import FormatError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def in_pieces(content: bytes, size: int) -> Callable[[int], bytes]:
    source = io.BytesIO(content)
    return lambda most: source.read(min(size, most))


@given(st.lists(VALUES, max_size=8), st.integers(1, 50), st.booleans())
def test_elements_are_those_of_the_array_however_it_is_cut(values: list[object], size: int, plain: bool) -> None:
    content = json.dumps(values, ensure_ascii=plain, indent=1 if plain else None).encode("utf-8", "replace")
    assert list(elements(in_pieces(content, size))) == json.loads(content)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_whatever_comes_is_an_array_or_a_format_error(content: bytes, size: int) -> None:
    for body in (content, b"[" + content):
        try:
            list(elements(in_pieces(body, size)))
        except FormatError:
            continue


@pytest.mark.parametrize(
    "content",
    [b"", b"  ", b"{}", b'"["', b"[", b"[1", b"[1 2]", b'["', b"[" * 100_000, b"[" + b"[" * 500 + b"1", b"[\xff\xfe]"],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_whole_array_is_refused(content: bytes) -> None:
    with pytest.raises(FormatError):
        list(elements(io.BytesIO(content).read))


@pytest.mark.parametrize("start", [b'["', b"[{" + b'"a":1,', b"[1.", b"[[[["])
def test_an_element_that_does_not_end_is_given_up(start: bytes) -> None:
    served = 0

    def endless(most: int) -> bytes:
        nonlocal served
        served += most
        return (start if served == most else b"") + b"1" * most

    with pytest.raises(FormatError):
        list(elements(endless))
    assert served < 8_000_000


def test_memory_is_constant_however_long_the_array() -> None:
    answer = b'{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}},' * 100

    def read(most: int, left: list[int] = [400]) -> bytes:  # noqa: B006 - a counter for one test
        left[0] -= 1
        return (b"[" if left[0] == 399 else b"") + answer if left[0] > 0 else b"1]" if left[0] == 0 else b""

    tracemalloc.start()
    count = sum(1 for _ in elements(read))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 39_901
    assert peak < 1_000_000


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"1" * 10_000, b"\xff"])
def test_small_texts_are_json_or_refused(body: bytes) -> None:
    with pytest.raises(FormatError):
        decoded(body)
