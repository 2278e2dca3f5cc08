"""Conditions that need the search tables: person names by component group, and infixes by trigram.

Each comes in two shapes. *Driving*, it yields study ids from the search table, for when nothing else narrows a search;
otherwise it looks at the search table's rows of the one study at hand.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select

from leadglass.index.matching import (
    Condition,
    glob,
    has_wildcard,
    like,
    literal_prefix,
    literal_runs,
    name_keys,
    name_like,
)
from leadglass.index.schema import person_name, study, study_text


def name_condition(tag: int, text_column: str, value: str, *, driving: bool) -> Condition:
    """A study's person name. `text_column`: the column of `study_text` that holds its groups."""
    return or_(
        false(), *(and_(*(_group(tag, text_column, group, driving) for group in groups)) for groups in name_keys(value))
    )


def _group(tag: int, text_column: str, pattern: str, driving: bool) -> Condition:
    named = and_(person_name.c.tag == tag, name_like(person_name.c.folded, pattern))
    of_this_study = exists().where(person_name.c.study_id == study.c.id, named)
    if not driving:
        return of_this_study
    if _prefix_serves(pattern):
        return study.c.id.in_(select(person_name.c.study_id).where(named))
    found = trigram_condition(text_column, pattern)
    return of_this_study if found is None else and_(found, of_this_study)


def text_condition(text_column: str, target: ColumnElement[Any], value: str, *, has_index: bool) -> Condition:
    """A text with trigrams, driving the search. `has_index`: a B-tree serves its prefixes too."""
    if has_index and _prefix_serves(value):
        return like(target, value)
    found = trigram_condition(text_column, value)
    return like(target, value) if found is None else and_(found, target.bool_op("GLOB")(glob(value)))


def _prefix_serves(pattern: str) -> bool:
    prefix = literal_prefix(pattern)
    return bool(prefix) and (len(prefix) >= 3 or not literal_runs(pattern))


def trigram_condition(text_column: str, pattern: str) -> Condition | None:
    """Studies that hold every plain run of the pattern; None when no run is long enough."""
    runs = literal_runs(pattern)
    if not runs:
        return None
    phrases = " AND ".join('"' + run.replace('"', '""') + '"' for run in runs)
    match = study_text.c.study_text.bool_op("MATCH")(f"{{{text_column}}} : ({phrases})")
    return study.c.id.in_(select(study_text.c.rowid).where(match))


def extra_name_condition(document: ColumnElement[Any], tag: int, value: str) -> Condition:
    """A person name among the further attributes in `document`, which holds its folded groups as an array."""

    def one(pattern: str) -> Condition:
        each = func.json_each(document, f'$."~{tag:08X}"').table_valued("value")
        return exists(select(1).select_from(each).where(name_like(each.c.value, pattern)))

    return or_(false(), *(and_(*(one(group) for group in groups)) for groups in name_keys(value)))


def narrows(value: str) -> bool:
    """Whether a name or text key is worth driving a search: it has a prefix or a run that trigrams find."""
    return bool(literal_prefix(value)) or bool(literal_runs(value)) or not has_wildcard(value)
