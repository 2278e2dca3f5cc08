"""Documents in the DICOM JSON Model taken apart as they come."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadglass.dicom.json_split import JsonSplitter
from leadglass.errors import DataSetError

_SCALARS = st.none() | st.integers() | st.text(st.characters(codec="utf-8"))
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10
)
_OBJECTS = st.dictionaries(st.text(), _VALUES, max_size=4)


def split(document: bytes, size: int) -> list[bytes]:
    splitter = JsonSplitter()
    found = [
        text
        for start in range(0, len(document), size)
        for text in splitter.feed(memoryview(document[start : start + size]))
    ]
    splitter.finish()
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(_OBJECTS, max_size=5), st.sampled_from((None, 1)), st.booleans(), st.integers(1, 40))
def test_the_same_data_sets_however_they_come(
    data_sets: list[dict[str, Any]], indent: int | None, ascii_only: bool, size: int
) -> None:
    document = json.dumps(data_sets, indent=indent, ensure_ascii=ascii_only).encode("utf-8")
    assert [json.loads(text) for text in split(document, size)] == data_sets


def test_one_object_by_itself() -> None:
    assert split(b' {"a": {"b": "}\\"{"}} ', 3) == [b'{"a": {"b": "}\\"{"}}']


@pytest.mark.parametrize(
    "document", [b"", b"[", b"{", b"[{}", b"[{},]", b"[,{}]", b"[{}{}]", b"{}{}", b"[{}]]", b"[5]", b"5", b'["{}"]']
)
@pytest.mark.parametrize("size", [1, 100])
def test_what_is_no_document(document: bytes, size: int) -> None:
    with pytest.raises(DataSetError):
        split(document, size)


def test_no_more_is_held_than_one_data_set() -> None:
    splitter = JsonSplitter()
    for _ in splitter.feed(memoryview(b'[{"a": 1}, {"b"')):
        assert splitter.held == 0
    assert splitter.held == len(b'{"b"')
