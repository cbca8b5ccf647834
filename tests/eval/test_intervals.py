"""Intervals against the worked examples of the papers they come from."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kimchi.eval.intervals import paired_difference, wilson


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_is_the_papers(count: int, n: int, low: float, high: float) -> None:
    share = wilson(count, n)
    assert (round(share.low, 4), round(share.high, 4)) == (low, high)


def table(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool]]:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


@pytest.mark.parametrize(
    ("counts", "low", "high", "digits"),
    [
        # Altman et al. 2000, Statistics with confidence, p. 52: the thallium stress test.
        ((14, 5, 0, 22), 0.011, 0.226, 3),
        # Fagerland, Lydersen and Laake 2017, Statistical analysis of contingency tables, ch. 8: Cavo et al. 2012.
        ((59, 6, 16, 80), -0.1186, -0.0046, 4),
    ],
)
def test_paired_difference_is_the_books(counts: tuple[int, int, int, int], low: float, high: float, digits: int) -> None:
    found = paired_difference(*table(*counts))
    assert (round(found.low, digits), round(found.high, digits)) == (low, high)


def test_of_nothing_nothing_is_known() -> None:
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)
    assert (paired_difference([], []).low, paired_difference([], []).high) == (-1, 1)


def test_what_is_no_count_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="zip"):
        paired_difference([True], [])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_difference_lies_in_its_interval_and_turns_with_the_arms(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert -1 <= there.low <= there.difference <= there.high <= 1
    assert there.low == pytest.approx(-back.high) and there.high == pytest.approx(-back.low)
    share = wilson(sum(first), len(first))
    assert 0 <= share.low <= share.share <= share.high <= 1
