"""Attribute matching, PS3.4 C.2.2.2, as SQL conditions: one key, one condition; None where everything matches."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Float, and_, cast, false, func, literal, or_, true

from leadglass.dicom.charset import fold_name
from leadglass.dicom.dictionary import keyword_of
from leadglass.errors import DataSetError
from leadglass.index.attributes import integer, plain_date, plain_time

Condition = ColumnElement[bool]
#: How one folded component group of a name on record is compared with one that is asked for.
Alike = Callable[[ColumnElement[Any], str], Condition]

_WILD = re.compile(r"[*?]")
_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"\d\d(?:\d\d(?:\d\d(?:\.\d{1,6})?)?)?")
#: Sorts after every digit and after the fraction's point: `1012~` is the end of minute 10:12.
_LAST = "~"
#: Value representations without wildcards (PS3.4 C.2.2.2.4), by how they are compared.
_NUMBERS = frozenset({"IS", "DS", "US", "UL", "SS", "SL", "FL", "FD"})
#: In these a backslash is text (PS3.5 6.2): they are never several values.
_SINGLE_VALUED = frozenset({"LT", "ST", "UT"})
#: Alternatives of one key: each makes the tree of the statement deeper, and SQLite reads no deeper one than 1,000. Not
#: of UIDs, which make a list.
_MOST_ALTERNATIVES = 256
#: What stands between the words of a name: components (PS3.5 6.2.1), and what people write within them.
_BETWEEN_WORDS = re.compile(r"[-^ ,.']+")
_MOST_WORDS = 16
#: Characters of a pattern: SQLite takes no longer one than 50,000 bytes, and ours may become three times as long.
_LONGEST_PATTERN = 4096


def one_of(column: ColumnElement[Any], values: Sequence[object]) -> Condition:
    """SQLAlchemy puts a list into the text of a statement anew each time; most have one value."""
    return column == values[0] if len(values) == 1 else column.in_(values)


def is_universal(value: object) -> bool:
    """Universal matching: an empty key, or only `*` (PS3.4 C.2.2.2.3, C.2.2.2.4)."""
    return isinstance(value, str) and not value.strip(" *")


def has_wildcard(text: str) -> bool:
    return _WILD.search(text) is not None


def literal_prefix(pattern: str) -> str:
    return _WILD.split(pattern, maxsplit=1)[0]


def literal_runs(pattern: str) -> list[str]:
    """The runs of three or more plain characters: what trigrams can find."""
    return [run for run in _WILD.split(pattern) if len(run) >= 3]


def glob(pattern: str) -> str:
    """As SQLite's GLOB, which spells `*` and `?` as DICOM does and has bracketed classes besides. Raises DataSetError
    for one that is too long."""
    if len(pattern) > _LONGEST_PATTERN:
        raise DataSetError("A pattern is longer than any that is matched.", remedy="Ask for less of the text.")
    return re.sub(r"\*+", "*", pattern.replace("[", "[[]"))


def starts_with(column: ColumnElement[Any], prefix: str) -> Condition:
    """A range, which a B-tree serves."""
    if ord(prefix[-1]) == 0x10FFFF:
        return column >= prefix
    last = ord(prefix[-1]) + 1
    after = "\ue000" if 0xD800 <= last <= 0xDFFF else chr(last)
    return and_(column >= prefix, column < prefix[:-1] + after)


def like(column: ColumnElement[Any], pattern: str) -> Condition:
    """Single value or wildcard matching, case-sensitive."""
    if not has_wildcard(pattern):
        return column == pattern
    condition = column.bool_op("GLOB")(glob(pattern))
    prefix = literal_prefix(pattern)
    return and_(starts_with(column, prefix), condition) if prefix else condition


def name_like(column: ColumnElement[Any], pattern: str) -> Condition:
    """One folded component group of a person name. Components that the key leaves out at its end match anything, as do
    empty ones that end a name in PS3.5 6.2.1: `doe` and `doe^*` match `doe` and `doe^john`."""
    while pattern.endswith("^*"):
        pattern = pattern[:-2]
    if pattern.endswith("*"):
        return like(column, pattern)
    longer = column.bool_op("GLOB")(glob(pattern) + "^*")
    if has_wildcard(pattern):
        return or_(like(column, pattern), and_(longer, *_prefix_of(column, pattern)))
    # `^` is the character before `_`: all of `pattern` and `pattern^…` in one range.
    return and_(column >= pattern, column < pattern + "_", or_(column == pattern, longer))


def name_words_like(column: ColumnElement[Any], pattern: str) -> Condition:
    """The same with fuzzy matching, PS3.4 C.2.2.2.1.1: each word of the key begins a word of the name, in whichever
    order. `do john` matches `doe^john`, `*oe` too."""
    framed = literal("^").concat(column)
    return and_(true(), *(framed.bool_op("GLOB")(f"*[-^ ,.']{glob(word)}*") for word in name_words(pattern)))


def name_words(pattern: str) -> list[str]:
    """The words of one folded component group, without those that match anything. Raises DataSetError when there are
    more than a name has."""
    words = [word for word in _BETWEEN_WORDS.split(pattern) if word.strip("*")]
    if len(words) > _MOST_WORDS:
        raise DataSetError("A person name in a key has more words than are matched.", remedy="Ask for fewer.")
    return words


def _prefix_of(column: ColumnElement[Any], pattern: str) -> Iterable[Condition]:
    prefix = literal_prefix(pattern)
    return (starts_with(column, prefix),) if prefix else ()


def matches(tag: int, vr: str, column: ColumnElement[Any], value: str, *, folded: bool = False) -> Condition:
    """The condition for a key that is not universal, by value representation. Raises DataSetError for a key that its
    value representation does not allow. `folded`: the column holds folded text."""
    if vr == "DA":
        return date_condition(tag, column, value)
    if vr == "TM":
        return time_condition(tag, column, value)
    if vr in _NUMBERS:
        return _number_condition(tag, column, value)
    texts = _alternatives(vr, fold_name(value) if folded else value)
    if vr == "UI":
        return one_of(column, texts)
    return or_(false(), *(like(column, text) for text in texts))


def matches_extra(tag: int, vr: str, column: ColumnElement[Any], value: str) -> Condition:
    """The same for a text that may hold several values joined by backslashes: one of them has to match."""
    if vr in {"DA", "TM"} or vr in _SINGLE_VALUED:
        return matches(tag, vr, column, value)
    if vr in _NUMBERS:
        return _number_condition(tag, cast(column, Float), value)
    framed = literal("\\").concat(column).concat("\\")
    return or_(false(), *(_one_of(framed, text) for text in _alternatives(vr, value)))


def _one_of(framed: ColumnElement[Any], text: str) -> Condition:
    if has_wildcard(text):
        return framed.bool_op("GLOB")(f"*\\{glob(text)}\\*")
    return func.instr(framed, f"\\{text}\\") > 0


def _alternatives(vr: str, value: str) -> list[str]:
    """Several values in a key are alternatives (PS3.4 C.2.2.2.2 for UIDs; for texts as in multiple value matching).
    Raises DataSetError when there are too many."""
    values = [value] if vr in _SINGLE_VALUED else value.split("\\")
    texts = [text for text in values if text]
    if len(texts) > _MOST_ALTERNATIVES and vr != "UI":
        raise DataSetError("A key has more alternatives than are matched at once.", remedy="Ask in several queries.")
    return texts


def _number_condition(tag: int, column: ColumnElement[Any], value: str) -> Condition:
    numbers: list[float] = []
    for text in _alternatives("IS", value):
        whole = integer(text.strip())
        try:
            numbers.append(float(text) if whole is None else whole)
        except ValueError:
            raise _malformed(tag, "a number") from None
    return column.in_(numbers)


def is_range(value: str) -> bool:
    return "-" in value


def date_condition(tag: int, column: ColumnElement[Any], value: str) -> Condition:
    """Single value or range matching of dates, PS3.4 C.2.2.2.5.1."""
    low, high = bounds(tag, value, _checked_date)
    if low and low == high:
        return column == low
    return _between(column, low, high)


def spans_days(tag: int, value: str) -> float:
    """How many days a date key spans, the last one too; endless when a side is open or no day of the calendar."""
    low, high = bounds(tag, value, _checked_date)
    try:
        return (date.fromisoformat(high) - date.fromisoformat(low)).days + 1
    except ValueError:
        return math.inf


def time_condition(tag: int, column: ColumnElement[Any], value: str) -> Condition:
    """The same for times, PS3.4 C.2.2.2.5.2: `1012` is all of that minute."""
    low, high = bounds(tag, value, _checked_time)
    return and_(column.is_not(None), _between(column, earliest(low), latest(high)))


def combined_condition(
    date_key: tuple[int, ColumnElement[Any], str], time_key: tuple[int, ColumnElement[Any], str]
) -> Condition:
    """Combined date-time matching, PS3.4 C.2.2.2.5.4: from the first date at the first time to the last at the last."""
    (date_tag, day, date_value), (time_tag, time, time_value) = date_key, time_key
    first_day, last_day = bounds(date_tag, date_value, _checked_date)
    first_time, last_time = bounds(time_tag, time_value, _checked_time)
    known = func.coalesce(time, "")
    return and_(
        _between(day, first_day, last_day),
        or_(day > first_day, known >= earliest(first_time)) if first_day and first_time else literal(True),
        or_(day < last_day, known <= latest(last_time)) if last_day and last_time else literal(True),
    )


def bounds(tag: int, value: str, check: Callable[[int, str], str]) -> tuple[str, str]:
    """First and last of a range, empty where it is open; twice the same for a single value."""
    low, dash, high = value.partition("-")
    first, last = check(tag, low.strip()), check(tag, high.strip())
    if not (first or last):
        raise _malformed(tag, "a value or a range of values")
    return (first, last) if dash else (first, first)


def earliest(time: str) -> str:
    """Zeros at the end go, so that `10:12` on record is not before `10:12:00.000` in text order."""
    whole, _, fraction = time.partition(".")
    fraction = fraction.rstrip("0")
    if fraction:
        return f"{whole}.{fraction}"
    while whole.endswith("00"):
        whole = whole[:-2]
    return whole


def latest(time: str) -> str:
    return time + _LAST if time else ""


def _between(column: ColumnElement[Any], low: str, high: str) -> Condition:
    if low and high:
        return column.between(low, high)
    return column >= low if low else column <= high if high else column.is_not(None)


def _checked_date(tag: int, text: str) -> str:
    plain = plain_date(text)
    if plain and not _DATE.fullmatch(plain):
        raise _malformed(tag, "a date or a range of dates")
    return plain


def _checked_time(tag: int, text: str) -> str:
    plain = plain_time(text)
    if plain and not _TIME.fullmatch(plain):
        raise _malformed(tag, "a time or a range of times")
    return plain


def _malformed(tag: int, expected: str) -> DataSetError:
    return DataSetError(f"The key {keyword_of(tag)} is not {expected}.")
