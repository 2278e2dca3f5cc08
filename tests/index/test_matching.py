import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, literal, select

from leadglass.index.attributes import integer, plain_date, plain_time
from leadglass.index.matching import earliest, glob, is_universal, latest, like, literal_runs, starts_with

ENGINE = create_engine("sqlite://")
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0*?"), min_size=1, max_size=8)


def true_of(condition: object) -> bool:
    with ENGINE.connect() as connection:
        return bool(connection.execute(select(condition)).scalar_one())  # type: ignore[call-overload]


@given(texts, texts)
def test_a_prefix_is_found_by_its_range(prefix: str, rest: str) -> None:
    assert true_of(starts_with(literal(prefix + rest), prefix))
    assert true_of(like(literal(prefix + rest), prefix + "*"))
    assert true_of(like(literal(prefix), prefix))


@given(texts, texts)
def test_wildcards_take_everything_else_literally(first: str, second: str) -> None:
    assert true_of(like(literal(first + "x" + second), f"{first}?{second}"))
    assert not true_of(like(literal(first + "xx" + second + "!"), f"{first}?{second}"))


@pytest.mark.parametrize(("value", "universal"), [("", True), ("*", True), ("**", True), ("?", False), ("a*", False)])
def test_universal(value: str, universal: bool) -> None:
    assert is_universal(value) is universal


def test_patterns() -> None:
    assert glob("a**[b") == "a*[[]b"
    assert literal_runs("ab*cde?fghi") == ["cde", "fghi"]


@pytest.mark.parametrize(
    ("stored", "low", "high", "inside"),
    [
        ("1012", "101200", "", True),
        ("101200.000001", "101200", "", True),
        ("101159.999999", "101200", "", False),
        ("10", "100000.000", "", True),
        ("000000", "0000", "", True),
        ("101259.9", "", "1012", True),
        ("1013", "", "1012", False),
        ("101200.5", "", "101200", True),
    ],
)
def test_times_of_differing_precision(stored: str, low: str, high: str, inside: bool) -> None:
    assert (earliest(low) <= stored and (not high or stored <= latest(high))) is inside


def test_old_forms_and_odd_numbers() -> None:
    assert plain_date("1999.12.31") == "19991231"
    assert plain_date("unknown") == "unknown"
    assert plain_time("12:34:56.5") == "123456.5"
    assert plain_time("12:34") == "1234"
    assert integer("+12") == 12
    assert integer("-3 ") == -3
    assert integer("1.5") is None
    assert integer("9" * 30) is None
