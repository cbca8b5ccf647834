"""Agreement and reliability against published worked examples."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kimchi.eval.statistics.agreement import agreement, gwet, gwet_weights, krippendorff
from kimchi.eval.statistics.reliability import components, icc, reliability
from kimchi.eval.statistics.simulate import Design, simulate

Rows = Sequence[Sequence[int | None]]
"""A row a unit, a cell a rater; None where that rater gave nothing."""
_ = np.nan
# Krippendorff 2011, Computing Krippendorff's alpha-reliability: four observers, twelve units, values missing.
FOUR_OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
)
COUNTS = np.stack([(value == FOUR_OBSERVERS).sum(0) for value in range(1, 6)], axis=1).astype(float)
# Gwet's irrCAC, data distrib.6raters: fifteen patients, six psychiatrists, five diagnoses (Fleiss 1971).
SIX_RATERS = np.array(
    [
        [0, 0, 0, 6, 0],
        [0, 3, 0, 0, 3],
        [0, 1, 4, 0, 1],
        [0, 0, 0, 0, 6],
        [0, 3, 0, 3, 0],
        [2, 0, 4, 0, 0],
        [0, 0, 4, 0, 2],
        [2, 0, 3, 1, 0],
        [2, 0, 0, 4, 0],
        [0, 0, 0, 0, 6],
        [1, 0, 0, 5, 0],
        [1, 1, 0, 4, 0],
        [0, 3, 3, 0, 0],
        [1, 0, 0, 5, 0],
        [0, 2, 0, 3, 1],
    ],
    dtype=float,
)


@pytest.mark.parametrize(
    ("level", "published", "exact"), [("nominal", 0.743, 113 / 152), ("ordinal", 0.815, 0.8153875037548814), ("interval", 0.849, 951 / 1120)]
)
def test_alpha_is_krippendorffs(level: str, published: float, exact: float) -> None:
    # Published to three digits; the further ones are the fractions, and for ordinal those of two programs that agree.
    found = krippendorff(COUNTS, level)  # pyright: ignore[reportArgumentType]
    assert round(found, 3) == published
    assert found == pytest.approx(exact, abs=1e-9)


def test_ac1_is_gwets() -> None:
    # The documentation of Gwet's irrCAC: coefficients to seven digits; of the raw ratings pa 0.8181818 and pe 0.1903212.
    assert gwet(SIX_RATERS, "identity") == pytest.approx(0.4448007, abs=1e-6)
    assert krippendorff(SIX_RATERS, "nominal") == pytest.approx(0.4204384, abs=1e-6)
    abstractors = np.repeat([[2.0, 0, 0], [0, 2, 0], [0, 1, 1], [0, 0, 2]], [13, 20, 11, 56], axis=0)
    assert gwet(abstractors, "identity") == pytest.approx(0.8493305, abs=1e-6)
    assert gwet(COUNTS, "identity") == pytest.approx((0.8181818 - 0.1903212) / (1 - 0.1903212), abs=1e-6)


def test_ac2_is_the_formula_in_fractions() -> None:
    # Gwet 2014, its formulas, worked in exact fractions on Krippendorff's units.
    assert gwet(COUNTS, "ordinal") == pytest.approx(3985 / 4433, abs=1e-12)
    assert gwet(COUNTS, "quadratic") == pytest.approx(17685 / 19349, abs=1e-12)
    # The weights of three categories as irrCAC prints them.
    assert gwet_weights("ordinal", 3)[0] == pytest.approx([1, 2 / 3, 0])
    assert gwet_weights("quadratic", 3)[0] == pytest.approx([1, 0.75, 0])


def alpha_in_fractions(rows: Rows, level: str) -> Fraction:
    """Krippendorff's alpha by its definition, a pair of ratings at a time: 1 - observed / expected disagreement."""
    units = [[v for v in unit if v is not None] for unit in rows]
    paired = [unit for unit in units if len(unit) > 1]
    values = [v for unit in paired for v in unit]

    def apart(a: int, b: int) -> Fraction:
        if level == "nominal":
            return Fraction(a != b)
        if level == "interval":
            return Fraction((a - b) ** 2)
        low, high = min(a, b), max(a, b)
        between = Fraction(sum(low <= v <= high for v in values)) - Fraction(values.count(low) + values.count(high), 2)
        return between**2 if low != high else Fraction(0)

    observed = sum((Fraction(1, len(unit) - 1) * apart(a, b) for unit in paired for a, b in permutations(unit, 2)), Fraction(0)) / len(values)
    expected = sum((apart(a, b) for a, b in permutations(values, 2)), Fraction(0)) / (len(values) * (len(values) - 1))
    return 1 - observed / expected


def ac2_in_fractions(rows: Rows, points: int, kind: str) -> Fraction:
    """Gwet's AC2 by its definition, a pair of raters at a time: (pa - pe) / (1 - pe)."""
    units = [[v for v in unit if v is not None] for unit in rows]
    units = [unit for unit in units if unit]

    def credit(a: int, b: int) -> Fraction:
        d = abs(a - b)
        lost = {"identity": Fraction(d > 0), "quadratic": Fraction(d**2, (points - 1) ** 2), "ordinal": Fraction(comb(d + 1, 2), comb(points, 2))}
        return 1 - lost[kind]

    paired = [unit for unit in units if len(unit) > 1]
    agreed = sum((sum(credit(a, b) for a, b in permutations(unit, 2)) / Fraction(len(unit) * (len(unit) - 1)) for unit in paired), Fraction(0)) / len(paired)
    share = [sum((Fraction(unit.count(v), len(unit)) for unit in units), Fraction(0)) / len(units) for v in range(1, points + 1)]
    weights = sum((credit(a, b) for a, b in product(range(points), repeat=2)), Fraction(0))
    chance = weights * sum(p * (1 - p) for p in share) / (points * (points - 1))
    return (agreed - chance) / (1 - chance)


def test_published_digits_and_the_definitions_in_fractions() -> None:
    """Krippendorff publishes three digits: the others are those of the exact fractions, found by a way that shares nothing with ours."""
    rows = [[None if np.isnan(v) else int(v) for v in unit] for unit in FOUR_OBSERVERS.T]
    assert alpha_in_fractions(rows, "nominal") == Fraction(113, 152) and alpha_in_fractions(rows, "interval") == Fraction(951, 1120)
    assert [round(float(alpha_in_fractions(rows, level)), 3) for level in ("nominal", "ordinal", "interval")] == [0.743, 0.815, 0.849]
    assert ac2_in_fractions(rows, 5, "ordinal") == Fraction(3985, 4433) and ac2_in_fractions(rows, 5, "quadratic") == Fraction(17685, 19349)
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff(COUNTS, level) == pytest.approx(float(alpha_in_fractions(rows, level)), abs=1e-12)  # pyright: ignore[reportArgumentType]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.sampled_from([None, 1, 2, 3, 4, 5]), min_size=3, max_size=6), min_size=2, max_size=8))
def test_any_table_with_holes_agrees_with_the_definitions(rows: list[list[int | None]]) -> None:
    pairs = [v for unit in rows if sum(v is not None for v in unit) > 1 for v in unit if v is not None]
    assume(len(set(pairs)) > 1)
    counts = np.array([[unit.count(v) for v in range(1, 6)] for unit in rows if any(v is not None for v in unit)], dtype=float)
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff(counts, level) == pytest.approx(float(alpha_in_fractions(rows, level)), abs=1e-9)  # pyright: ignore[reportArgumentType]
    for kind in ("identity", "ordinal", "quadratic"):
        assert gwet(counts, kind) == pytest.approx(float(ac2_in_fractions(rows, 5, kind)), abs=1e-9)  # pyright: ignore[reportArgumentType]


# Shrout and Fleiss 1979, table 2: six targets, four judges.
JUDGED = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], dtype=float)


def test_icc_is_shrout_and_fleisss() -> None:
    target, rater = np.indices(JUDGED.shape)
    single, mean, k = icc(JUDGED.ravel(), target.ravel(), rater.ravel())
    assert k == 4
    assert (round(single.value or 0, 2), round(single.low or 0, 2), round(single.high or 0, 2)) == (0.29, 0.02, 0.76)
    assert (round(mean.value or 0, 2), round(mean.low or 0, 2), round(mean.high or 0, 2)) == (0.62, 0.07, 0.93)


def test_components_of_a_complete_table_are_those_of_the_analysis_of_variance() -> None:
    target, rater = np.indices(JUDGED.shape)
    found = components(JUDGED.ravel(), target.ravel(), rater.ravel())
    # Their mean squares: 11.24 between targets, 32.49 between judges, 1.02 residual.
    assert found.rest == pytest.approx(1.0194, abs=1e-3)
    assert (found.target, found.rater) == (pytest.approx((11.2417 - 1.0194) / 4, abs=1e-3), pytest.approx((32.4861 - 1.0194) / 6, abs=1e-3))


def test_components_are_unbiased_on_incomplete_tables() -> None:
    rng, sums = np.random.default_rng(5), np.zeros(3)
    for _study in range(150):
        kept = rng.random((40, 20)) < 0.4
        values = 2 * rng.normal(size=(40, 1)) + rng.normal(size=(1, 20)) + 1.5 * rng.normal(size=(40, 20))
        target, rater = np.nonzero(kept)
        found = components(values[kept], target, rater)
        sums += (found.target, found.rater, found.rest)
    assert sums / 150 == pytest.approx([4, 1, 2.25], rel=0.08)


def test_icc_holds_its_interval_on_incomplete_tables() -> None:
    rng, held, studies = np.random.default_rng(6), 0, 300
    for _study in range(studies):
        kept = rng.random((40, 30)) < 0.4
        values = rng.normal(size=(40, 1)) + 0.8 * rng.normal(size=(1, 30)) + 1.5 * rng.normal(size=(40, 30))
        target, rater = np.nonzero(kept)
        single = icc(values[kept], target, rater)[0]
        held += (single.low or 0) <= 1 / (1 + 0.64 + 2.25) <= (single.high or 0)
    assert held / studies >= 0.92


def test_alpha_of_a_study_lies_in_its_interval() -> None:
    found = agreement(simulate(Design(raters=20, prompts=12, per_rater=10), 1), "alignment", draws=300)
    for estimate in (found.alpha, found.ac2):
        assert estimate.low is not None and estimate.value is not None and estimate.high is not None
        assert estimate.low < estimate.value < estimate.high
    assert reliability(simulate(Design(raters=20, prompts=12, per_rater=10), 1), "alignment").mean.value
