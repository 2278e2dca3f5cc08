"""Person names by component group, and the search tables that drive a search: B-tree of names, trigrams of texts."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, exists, func, select, true

from leadglass.dicom.charset import fold_name
from leadglass.errors import DataSetError
from leadglass.index.matching import Alike, Condition, glob, literal_prefix, literal_runs, name_like, name_words
from leadglass.index.schema import person_name, study, study_text

_MOST_GROUPS = 3


@dataclass(frozen=True, slots=True)
class Driver:
    """A search table read first: its rows lead to studies, each to one study and no study twice."""

    source: FromClause
    study_id: ColumnElement[Any]
    condition: Condition
    order: tuple[ColumnElement[Any], ...] = ()


def asked_groups(value: str) -> list[str]:
    """The component groups that a key gives (PS3.5 6.2.1): each must match one of those on record. Raises DataSetError
    for more than a name has."""
    groups = [group for group in fold_name(value).split("=") if group]
    if len(groups) > _MOST_GROUPS:
        raise DataSetError("A person name has at most three component groups.", remedy="Ask for fewer.")
    return groups


def name_condition(tag: int, value: str, alike: Alike) -> Condition:
    """A person name of the study at hand. `alike` compares component groups."""
    named = person_name.alias("named")
    of_study = and_(named.c.study_id == study.c.id, named.c.tag == tag)
    alike_one = (exists().where(of_study, alike(named.c.folded, group)) for group in asked_groups(value))
    return and_(true(), *(condition.correlate(study) for condition in alike_one))


def name_driver(tag: int, text_column: str, value: str) -> Driver | None:
    """What finds the studies with such a name; None when the key has neither a beginning nor a run for trigrams."""
    for pattern in asked_groups(value):
        if _prefix_serves(pattern):
            return _by_name(tag, pattern, name_like)
        if literal_runs(pattern):
            return trigram_driver(text_column, pattern)
    return None


def words_driver(text_column: str, value: str) -> Driver | None:
    """The same where words of a name may stand anywhere in it; None when none has three plain characters in a row."""
    words = "*".join(word for group in asked_groups(value) for word in name_words(group))
    return trigram_driver(text_column, words) if literal_runs(words) else None


def name_scan(tag: int, value: str, alike: Alike) -> Driver | None:
    """Reading all names on record: still shorter than reading all studies."""
    return next((_by_name(tag, pattern, alike) for pattern in asked_groups(value)), None)


def text_driver(text_column: str, value: str, *, has_index: bool) -> Driver | None:
    """The same for a text. `has_index`: a B-tree serves its beginnings without a driver."""
    if (has_index and _prefix_serves(value)) or not literal_runs(value):
        return None
    return trigram_driver(text_column, value)


def trigram_driver(text_column: str, pattern: str) -> Driver:
    """Studies that hold every plain run of the pattern, newest first."""
    phrases = " AND ".join('"' + run.replace('"', '""') + '"' for run in literal_runs(pattern))
    match = study_text.c.study_text.bool_op("MATCH")(f"{{{text_column}}} : ({phrases})")
    return Driver(study_text, study_text.c.rowid, match, (study_text.c.rowid.desc(),))


def extra_name_condition(document: ColumnElement[Any], tag: int, value: str, alike: Alike) -> Condition:
    """A person name among the further attributes in `document`, which holds its folded groups as an array."""

    def one(pattern: str) -> Condition:
        each = func.json_each(document, f'$."~{tag:08X}"').table_valued("value")
        return exists(select(1).select_from(each).where(alike(each.c.value, pattern)))

    return and_(true(), *(one(group) for group in asked_groups(value)))


def driven_text_condition(target: ColumnElement[Any], pattern: str) -> Condition:
    """The whole pattern, compared where a driver found its runs; no range, that would tempt the planner away."""
    return target.bool_op("GLOB")(glob(pattern))


def _by_name(tag: int, pattern: str, alike: Alike) -> Driver:
    # A study whose name matches in two groups is taken at the first.
    earlier = person_name.alias("earlier")
    is_first = ~exists().where(
        earlier.c.study_id == person_name.c.study_id,
        earlier.c.folded < person_name.c.folded,
        earlier.c.tag == tag,
        alike(earlier.c.folded, pattern),
    ).correlate(person_name)
    named = and_(person_name.c.tag == tag, alike(person_name.c.folded, pattern))
    return Driver(person_name, person_name.c.study_id, and_(named, is_first))


def _prefix_serves(pattern: str) -> bool:
    prefix = literal_prefix(pattern)
    return bool(prefix) and (len(prefix) >= 3 or not literal_runs(pattern))
