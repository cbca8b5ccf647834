"""The sealed plan: balance of positions, orders and prompts, with and without raters who leave."""

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kimchi.eval.study.assign import PRACTICE, Design, Screen, Stratum, fill_bins, plan, positions, williams

TOPICS = ("food", "place", "dress", "craft")


def stratum(prompts: int, per_rater: int, conditions: int, prefix: str = "p") -> Stratum:
    names = {f"{prefix}{n}": TOPICS[n % len(TOPICS)] for n in range(prompts)}
    return Stratum(prompts=names, per_rater=per_rater, conditions=tuple("ABCDEFGH"[:conditions]))


def source(seed: int = 1, slots: int = 53) -> Design:
    return Design(strata={"culture": stratum(60, 20, 5)}, slots=slots, repeats=3, gold=2, traps=1, seed=seed)


def spread(slots: list[tuple[Screen, ...]]) -> tuple[int, int]:
    counts = [n for places in positions(slots).values() for n in places.values()]
    return min(counts), max(counts)


def blocks(screens: tuple[Screen, ...]) -> list[str]:
    return list(dict.fromkeys(one.prompt for one in screens if one.kind == "main"))


@pytest.mark.parametrize("n", range(1, 9))
def test_williams_squares(n: int) -> None:
    rows = williams(n)
    assert len(rows) == (2 * n if n % 2 and n > 1 else n)
    places = Counter((place, one) for row in rows for place, one in enumerate(row))
    follows = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert len(places) == n * n and len(set(places.values())) == 1
    assert len(follows) == n * (n - 1) and len(set(follows.values())) <= 1


def test_the_source_study_is_balanced_exactly() -> None:
    assert spread(plan(source())) == (212, 212)


def test_with_a_fifth_leaving_no_place_is_off_by_more_than_a_twentieth() -> None:
    slots, worst = plan(source()), 0.0
    for seed in range(200):
        rng = random.Random(seed)
        stayed: list[tuple[Screen, ...]] = []
        for screens in slots:
            kept = set(blocks(screens)[: 20 if rng.random() > 0.2 else rng.randrange(20)])
            stayed.append(tuple(one for one in screens if one.prompt in kept))
        low, high = spread(stayed)
        total = sum(n for places in positions(stayed).values() for n in places.values())
        worst = max(worst, (high - low) / (total / 25))
    assert worst <= 0.05


def test_nobody_s_first_picture_is_everybody_s() -> None:
    first = Counter(screens[1].condition for screens in plan(source()))
    assert max(first.values()) - min(first.values()) <= 1


SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 24), st.integers(1, 24), st.integers(1, 30), st.integers(0, 2**32))


@settings(max_examples=60, deadline=None)
@given(SHAPES)
def test_any_shape_is_balanced_at_any_number_of_raters(shape: tuple[int, int, int, int, int]) -> None:
    conditions, prompts, per_rater, slots, seed = shape
    made = plan(Design(strata={"culture": stratum(prompts, per_rater, conditions)}, slots=slots, seed=seed))
    used: Counter[str] = Counter()
    for number, screens in enumerate(made, start=1):
        used.update(blocks(screens))
        low, high = spread(made[:number])
        assert high - low <= 1
        assert len(blocks(screens)) == min(prompts, per_rater)
        assert max(used.values()) - min(used[f"p{n}"] for n in range(prompts)) <= 1
        for prompt in blocks(screens):
            shown = [one for one in screens if one.kind == "main" and one.prompt == prompt]
            assert [one.position for one in shown] == list(range(1, conditions + 1))
            assert len({one.condition for one in shown}) == conditions


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 4), st.integers(0, 4), st.integers(0, 2), st.integers(1, 20))
def test_checks_stand_where_they_may(shape: tuple[int, int, int, int, int], repeats: int, gold: int, traps: int, gap: int) -> None:
    conditions, prompts, per_rater, slots, seed = shape
    design = Design(
        strata={"culture": stratum(prompts + 2, per_rater, conditions)}, slots=min(slots, 5), repeats=repeats, gold=gold, traps=traps, gap=gap, seed=seed
    )
    for screens in plan(design):
        assert [one.kind for one in screens].count("practice") == 1 and screens[0].prompt == PRACTICE
        assert [one.kind for one in screens].count("repeat") <= repeats
        for place, one in enumerate(screens):
            if one.kind == "repeat":
                assert one.repeat_of is not None and place - one.repeat_of >= gap
                first = screens[one.repeat_of]
                assert (first.kind, first.prompt, first.condition) == ("main", one.prompt, one.condition)
            if one.kind == "gold":
                assert one.prompt != one.picture_of
            assert (one.expected is not None) == (one.kind == "trap")
            assert one.expected is None or 1 <= one.expected <= 5


def test_the_full_set_of_checks_is_there() -> None:
    for screens in plan(source()):
        assert Counter(one.kind for one in screens) == {"practice": 1, "main": 100, "repeat": 3, "gold": 2, "trap": 1}


def test_gold_shows_another_topic_s_text() -> None:
    names = stratum(60, 20, 5).prompts
    gold = [one for screens in plan(source()) for one in screens if one.kind == "gold"]
    assert all(names[one.prompt] != names[one.picture_of] for one in gold)


def test_two_domains_are_each_balanced_and_mixed() -> None:
    strata = {"culture": stratum(60, 14, 5), "general": stratum(30, 6, 2, "g")}
    made = plan(Design(strata=strata, slots=53, seed=3))
    for prefix, conditions in (("p", "ABCDE"), ("g", "AB")):
        own = [tuple(one for one in screens if one.prompt.startswith(prefix)) for screens in made]
        low, high = spread(own)
        assert high - low <= 1
        assert {one.condition for screens in own for one in screens if one.kind == "main"} == set(conditions)
    assert len({tuple(name[0] for name in blocks(screens)) for screens in made}) > 40, "the domains come in another order for nearly everyone"


def test_topics_are_spread_over_each_rater() -> None:
    names = stratum(60, 20, 5).prompts
    for screens in plan(source()):
        counts = Counter(names[prompt] for prompt in blocks(screens))
        assert max(counts.values()) - min(counts[topic] for topic in TOPICS) <= 3


def test_the_same_seed_is_the_same_plan_and_another_is_not() -> None:
    assert plan(source(slots=10)) == plan(source(slots=10))
    assert plan(source(slots=10)) == plan(source(slots=20))[:10], "more places change none of those before"
    assert plan(source(slots=10)) != plan(source(seed=2, slots=10))


@given(st.lists(st.sampled_from("abcdefg"), max_size=40), st.integers(1, 6))
def test_bins_hold_everything_once_and_no_prompt_twice(prompts: list[str], size: int) -> None:
    bins = fill_bins(prompts, size)
    assert sorted(number for one in bins for number in one) == list(range(len(prompts)))
    assert all(len(one) <= size and len({prompts[n] for n in one}) == len(one) for one in bins)
