"""The query parameters of a search, PS3.18 8.3.4: what is matched, what is returned, which page. No input or output."""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from leadglass.dicom.dictionary import keyword_of, tag_of, vr_of
from leadglass.errors import UsageError
from leadglass.model import Attributes, Matching

_LONGEST: Final = 16 * 1024
_MOST_FIELDS: Final = 256
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
#: Options of a search whose other value is not offered, and what the Warning says then (PS3.18 8.3.4.5, .6).
_NOT_OFFERED: Final = {
    "emptyvaluematching": (
        "The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed."
    ),
    "multiplevaluematching": (
        "The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed."
    ),
}
#: Person names match by their words (PS3.18 8.3.4.2).
_FUZZY: Final = "fuzzymatching"
#: Parameters that are read elsewhere (PS3.18 8.3.3).
_OTHERS: Final = frozenset({"accept", "charset"})
#: VRs whose values never hold a comma: one separates alternatives, as PS3.18 8.3.4.1 says of UIDs.
_LISTS: Final = frozenset({"CS", "UI"})


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """`keys`: matching keys, tag → value or the one item of a sequence. `includes`: attributes to be returned besides,
    None for all. `limit` is None when none is given. `warnings`: what was asked for and is not done."""

    keys: Attributes
    includes: frozenset[int] | None
    limit: int | None
    offset: int
    warnings: tuple[str, ...]
    matching: Matching


def parse_search(query: str, supported: Set[int]) -> SearchParameters:
    """`supported`: what is matched at this level; other attributes are warned of and not matched, as in a C-FIND
    (PS3.4 C.4.1.1.3.2). Raises UsageError for what PS3.18 8.3.4 does not allow; never quotes a value.
    """
    values = _Parsed(supported)
    for name, value in _fields(query):
        values.take(name, value)
    return values.finish()


def _fields(query: str) -> list[tuple[str, str]]:
    if len(query) > _LONGEST:
        raise UsageError("The query is longer than the limit.")
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise UsageError("The query is not percent-encoded UTF-8, or has too many parameters.") from None


class _Parsed:
    def __init__(self, supported: Set[int]) -> None:
        self._supported = supported
        self._keys: dict[int, str | dict[int, str]] = {}
        self._includes: set[int] = set()
        self._all = False
        self._numbers: dict[str, int] = {}
        self._options: dict[str, bool] = {}
        self._warnings: list[str] = []

    def take(self, name: str, value: str) -> None:
        if name == "includefield":
            self._include(value)
        elif name in ("limit", "offset"):
            self._number(name, value)
        elif name == _FUZZY or name in _NOT_OFFERED:
            self._option(name, value)
        elif name not in _OTHERS:
            self._match(name, value)

    def finish(self) -> SearchParameters:
        if self._all and self._includes:
            raise UsageError("Besides includefield=all there may be no other includefield (PS3.18 8.3.4.3).")
        keys: Attributes = {tag: value if isinstance(value, str) else (value,) for tag, value in self._keys.items()}
        return SearchParameters(
            keys,
            None if self._all else frozenset(self._includes),
            self._numbers.get("limit"),
            self._numbers.get("offset", 0),
            tuple(dict.fromkeys(self._warnings)),
            Matching(fuzzy_names=self._options.get(_FUZZY, False)),
        )

    def _include(self, value: str) -> None:
        for name in value.split(","):
            if name.strip() == "all":
                self._all = True
            elif name.strip():
                # Of a sequence the whole is returned.
                self._includes.add(_path(name.strip())[0])

    def _number(self, name: str, value: str) -> None:
        if name in self._numbers or not _WHOLE.fullmatch(value):
            raise UsageError(f"The parameter {name} is not one whole number (PS3.18 8.3.4.4).")
        self._numbers[name] = int(value)

    def _option(self, name: str, value: str) -> None:
        if name in self._options or value not in ("true", "false"):
            raise UsageError(f"The parameter {name} is neither true nor false (PS3.18 8.3.4).")
        self._options[name] = value == "true"
        if self._options[name] and name in _NOT_OFFERED:
            self._warnings.append(_NOT_OFFERED[name])

    def _match(self, name: str, value: str) -> None:
        path = _path(name)
        tag = path[0]
        if tag not in self._supported or len(path) > 2 or (len(path) == 2) != (vr_of(tag) == "SQ"):
            self._warnings.append(f"{keyword_of(tag)} is not supported as a key here. It has not been matched.")
            return
        if "\0" in value:
            raise UsageError(f"The value of {keyword_of(tag)} holds a control character.")
        if vr_of(path[-1]) in _LISTS:
            value = value.replace(",", "\\")
        if len(path) == 1:
            self._once(self._keys, tag)
            self._keys[tag] = value
            return
        item = self._keys.setdefault(tag, {})
        if isinstance(item, dict):
            self._once(item, path[1])
            item[path[1]] = value

    def _once(self, keys: Mapping[int, object], tag: int) -> None:
        if tag in keys:
            raise UsageError(f"{keyword_of(tag)} is given twice (PS3.18 8.3.4.1).")


def _path(name: str) -> tuple[int, ...]:
    """The tags that a path of tags or keywords names. Raises UsageError."""
    return tuple(_tag(part) for part in name.split("."))


def _tag(name: str) -> int:
    if _TAG.fullmatch(name):
        return int(name, 16)
    try:
        return tag_of(name)
    except KeyError:
        raise UsageError(
            "A parameter of the query is not known.", "Attributes are named by keyword or by eight hexadecimal digits."
        ) from None
