"""Counting: exact to the limit, an honest estimate beyond, once for what is seen twice; and nothing kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadglass.assess.counting.census import Census, StudyAnswer, parse_date, parse_number
from leadglass.assess.counting.distinct import Distinct, Fingerprints
from leadglass.assess.counting.identifiers import Tier, find_ssns
from leadglass.assess.observation import Bound, Count


@given(st.lists(st.integers(1, 2**64 - 1)))
def test_distinct_is_a_set(numbers: list[int]) -> None:
    distinct = Distinct()
    news = [distinct.add(number) for number in numbers]
    assert len(distinct) == len(set(numbers)) == sum(news)
    assert all(number in distinct for number in numbers)
    assert {key for key, _ in distinct.entries()} == set(numbers)


@given(st.dictionaries(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1)))
def test_values_survive_growth(pairs: dict[int, int]) -> None:
    distinct = Distinct(with_values=True)
    for key, value in pairs.items():
        distinct.add(key, value)
    assert dict(distinct.entries()) == pairs
    assert all(distinct.value(key) == value for key, value in pairs.items())


@pytest.mark.parametrize("many", [1_001, 20_000, 100_000])
def test_beyond_the_limit_it_estimates(many: int) -> None:
    fingerprints, distinct = Fingerprints(), Distinct(limit=1_000)
    for _ in range(2):
        for number in range(many):
            distinct.add(fingerprints.of(str(number)))
    assert not distinct.exact
    # Six standard errors.
    assert abs(len(distinct) - many) < 0.05 * many


def test_keys_are_of_one_run() -> None:
    assert Fingerprints().of("536-90-4399") != Fingerprints().of("536-90-4399")
    one = Fingerprints()
    assert one.of("ab", "c") != one.of("a", "bc")


def test_absorbing_is_a_union() -> None:
    first, second = Distinct(), Distinct()
    for number in range(1, 500):
        first.add(number)
    for number in range(250, 1000):
        second.add(number)
    first.absorb(second)
    assert len(first) == 999


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("536-90-4399", {(Tier.FORMATTED, "536904399")}),
        ("SSN 536 90 4399.", {(Tier.FORMATTED, "536904399")}),
        ("536904399", {(Tier.BARE, "536904399")}),
        ("id:536904399;", {(Tier.BARE, "536904399")}),
        ("666-90-4399", set()),
        ("078-05-1120", set()),
        ("000904399", set()),
        ("5369043991", set()),
        ("536-90-43991", set()),
        ("536-904399", set()),
        ("1.2.536904399.3", set()),
        ("", set()),
    ],
)
def test_social_security_numbers_in_two_tiers(text: str, found: set[tuple[Tier, str]]) -> None:
    assert find_ssns([text]) == found


def _study(number: int, images: int | None = 3) -> StudyAnswer:
    return StudyAnswer(f"1.2.{number}", f"P{number // 2}", "", "19700101", "20200103", 1, images, ("536-90-4399",))


def test_a_study_seen_through_two_doors_counts_once() -> None:
    fingerprints = Fingerprints()
    dimse, web = Census(fingerprints, retrievable=True), Census(fingerprints)
    for number in range(10):
        dimse.add(_study(number))
    for number in range(5, 20):
        web.add(_study(number))
    host = Census(fingerprints)
    host.absorb(web)
    host.absorb(dimse)
    counters = host.counters()
    assert counters.studies == Count(20)
    assert counters.patients == Count(10)
    assert counters.images_advertised == Count(60)
    assert counters.images_indicated == Count(30)
    assert counters.ssns_formatted == Count(1)


def test_bounds_are_honest() -> None:
    census = Census(Fingerprints())
    census.add(_study(1, None))
    assert census.counters().studies == Count(1)
    assert census.counters().images_advertised == Count(0, Bound.LOWER)
    census.count_more("1.2.1", 2, 7)
    assert census.counters().images_advertised == Count(7)
    census.miss_studies()
    assert census.counters().studies == Count(1, Bound.LOWER)
    census.doubt_images()
    assert census.counters().images_advertised == Count(7, Bound.ESTIMATE)


@pytest.mark.parametrize("first", list(Bound))
@pytest.mark.parametrize("second", list(Bound))
def test_a_sum_keeps_the_weakest_bound(first: Bound, second: Bound) -> None:
    order = list(Bound)
    assert (Count(1, first) + Count(2, second)) == Count(3, order[max(order.index(first), order.index(second))])


@given(st.text())
def test_what_is_no_date_or_number_is_none(text: str) -> None:
    day, number = parse_date(text), parse_number(text)
    assert day is None or f"{day:%Y%m%d}" == text.replace(".", "")
    assert number is None or number >= 0
