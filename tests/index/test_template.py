"""Statements that are put together once serve each scope of their shape, and no other."""

from sqlalchemy import select

from leadglass.index.answers import scope_condition
from leadglass.index.schema import study
from leadglass.index.template import Template, like_scope, scope_slots
from leadglass.model import Scope

SCOPES = (
    Scope(None),
    Scope(frozenset()),
    Scope(frozenset({"a"})),
    Scope(frozenset({"b", "a"})),
    Scope(frozenset({"a"}), shared_with=3, at=5),
    Scope(None, patients=frozenset({("P1", "I1"), ("P2", "")})),
    Scope(frozenset({"a"}), 3, 5, frozenset({("P1", "I1")})),
    Scope(frozenset({"a"}), patients=frozenset()),
)


def test_filled_it_is_what_would_have_been_put_together() -> None:
    for scope in SCOPES:
        statement = select(study.c.id).where(scope_condition(scope, study))
        made = Template.of(select(study.c.id).where(scope_condition(like_scope(scope), study)))
        whole = Template.of(statement)
        assert made.text == whole.text
        assert made.filled(dict(scope_slots(scope))) == whole.values


def test_a_shape_tells_nothing_of_its_values() -> None:
    assert like_scope(Scope(frozenset({"a"}), 1, 2)) == like_scope(Scope(frozenset({"b"}), 3, 4))
    assert len({like_scope(scope) for scope in SCOPES}) == len(SCOPES)
