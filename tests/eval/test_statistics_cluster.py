"""Means and contrasts in points: their arithmetic, their false alarms, their coverage."""

import numpy as np
import pytest
from scipy import stats

from kimchi.eval.statistics import Design, Plan, Ratings, Why, from_columns, simulate
from kimchi.eval.statistics.cluster import Sample, clustered, contrast, contrasts, holm, means
from kimchi.eval.statistics.equivalence import equivalences, tost
from kimchi.eval.statistics.sensitivity import leave_one_prompt_out
from kimchi.eval.statistics.simulate import points_apart

PLAN = Plan(focus="kimchi")
PAIR = ("kimchi", "sd21")


def null_gate(design: Design, studies: int) -> tuple[float, float]:
    """Over simulated studies without a difference: how often one is found, and how often the interval holds the truth, 0."""
    found = [contrast(simulate(design, seed), "alignment", PAIR, "prompts like these", PLAN).estimate for seed in range(studies)]
    assert all(one.p is not None for one in found)
    return sum((one.p or 0) < 0.05 for one in found) / studies, sum((one.low or 0) <= 0 <= (one.high or 0) for one in found) / studies


def complete(raters: int, prompts: int, seed: int = 0) -> Sample:
    value, (rater, prompt) = np.random.default_rng(seed).normal(size=(raters, prompts)), np.indices((raters, prompts))
    return Sample(value=value.ravel(), rater=rater.ravel(), prompt=prompt.ravel())


def test_fixed_prompts_of_a_complete_table_are_the_t_test_of_rater_means() -> None:
    sample = complete(9, 5)
    known = stats.ttest_1samp(sample.value.reshape(9, 5).mean(1), 0)
    found = clustered(sample, "these prompts", 0.05)
    assert (found.p, found.df, found.low) == (pytest.approx(known.pvalue), 8, pytest.approx(known.confidence_interval().low))


def test_two_ways_are_the_three_sums() -> None:
    """Cameron, Gelbach and Miller 2011, two ways, written out for a table of 4 by 3."""
    sample = Sample(value=np.array([3.0, 2, 0, 2, 1, -1, 1, 3, 0, -1, 1, -2]), rater=np.repeat(np.arange(4), 3), prompt=np.tile(np.arange(3), 4))
    off = (sample.value - 0.75).reshape(4, 3) / 12
    variance = (off.sum(1) ** 2).sum() * 4 / 3 + (off.sum(0) ** 2).sum() * 3 / 2 - (off**2).sum() * 12 / 11
    found = clustered(sample, "prompts like these", 0.05)
    assert (found.value, found.df) == (0.75, 2)
    assert found.se == pytest.approx(max(variance, (off.sum(1) ** 2).sum() * 4 / 3, (off.sum(0) ** 2).sum() * 3 / 2) ** 0.5)


def test_holm() -> None:
    # Holm 1979's step: the smallest times three, the next times two, and never falling.
    assert holm([0.01, 0.04, 0.03, None]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06), None]
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []


def test_differences_are_taken_within_rater_and_prompt() -> None:
    columns = {"rater": list("aabbc"), "prompt": ["p"] * 5, "model": ["kimchi", "sd21", "kimchi", "sd21", "kimchi"], "criterion": ["x"] * 5}
    one = contrast(from_columns(columns | {"value": [5, 3, 4, 3, 1]}), "x", PAIR, "these prompts", PLAN)
    assert (one.n, one.estimate.value, one.paired) == (2, 1.5, True)


def test_raters_of_one_model_each_are_compared_unpaired() -> None:
    table = simulate(Design(raters=40, prompts=20, per_rater=10, effects={"kimchi": 2}), 4)
    table = table.where(table.rater % 2 == table.model)
    wide, narrow = (contrast(table, "alignment", PAIR, inference, PLAN) for inference in ("prompts like these", "these prompts"))
    assert not wide.paired and wide.estimate.p is not None and wide.estimate.p < 0.05
    assert narrow.estimate.why == Why.NO_PAIRS


def study(prompts: int) -> Ratings:
    return simulate(Design(raters=20, prompts=prompts, per_rater=prompts, models=("kimchi", "sd21", "photo")), 1)


@pytest.mark.parametrize(("prompts", "why"), [(9, Why.FEW_PROMPTS), (10, Why.GIVEN)])
def test_claims_about_other_prompts_need_ten(prompts: int, why: Why) -> None:
    found = {one.inference: one for one in contrasts(study(prompts), "alignment", PLAN)}
    assert found["prompts like these"].estimate.why == why
    assert (found["prompts like these"].p_holm is None) == bool(why)
    assert found["these prompts"].estimate.p is not None
    assert all(one.estimate.p is None for one in means(study(prompts), "alignment", PLAN))


def test_equivalence_is_lying_within_the_margin() -> None:
    assert tost(0.0, 0.1, 30, 0.3) == (pytest.approx(stats.t.sf(3, 30)), pytest.approx(stats.t.sf(3, 30)))
    for margin in (0.1, 0.5, 2.0):
        for one in equivalences(study(20), "alignment", Plan(focus="kimchi", photograph="photo", margin=margin)):
            assert one.difference.low is not None and one.difference.high is not None
            assert one.equivalent == (-margin < one.difference.low and one.difference.high < margin)
    assert equivalences(study(20), "alignment", PLAN) == ()


def test_the_prompt_that_makes_the_result_is_named() -> None:
    table = study(12)
    odd = table.prompt == 7
    value = np.where(odd, np.where(table.model == 0, 5, 1), 3)
    value[~odd & (table.rater % 2 == 0)] = 2
    changed = from_columns(
        {"rater": table.rater, "prompt": table.prompt, "model": [table.models[k] for k in table.model], "criterion": ["x"] * len(value), "value": value}
    )
    one = leave_one_prompt_out(changed, contrast(changed, "x", PAIR, "these prompts", PLAN), PLAN)
    assert (one.lowest, one.lowest_without, one.highest) == (0, "7", pytest.approx(4 / 11))


def test_null_studies_quickly() -> None:
    rate, coverage = null_gate(Design(raters=30, prompts=15, per_rater=10), studies=120)
    assert rate <= 0.11 and coverage >= 0.89


@pytest.mark.slow
@pytest.mark.parametrize(
    "design", [Design(), Design(prompts=20), Design(prompts=40, per_rater=40, missing=0.05)], ids=["incomplete", "complete-20", "complete-40"]
)
def test_null_studies(design: Design) -> None:
    # Of 500 studies with a true rate of 0.045 one draw in twenty lies below 0.03; of 2000 none does.
    rate, coverage = null_gate(design, studies=2000)
    print(f"two-way contrast, {design.raters} x {design.prompts}, 2000 null studies: false positives {rate:.3f}, coverage {coverage:.3f}")
    assert 0.03 <= rate <= 0.07
    assert coverage >= 0.93


@pytest.mark.slow
def test_coverage_with_a_difference() -> None:
    design = Design(effects={"kimchi": 0.5}, missing=0.03)
    truth, held = points_apart(design, 0.5), 0
    for seed in range(500):
        estimate = contrast(simulate(design, seed), "alignment", PAIR, "prompts like these", PLAN).estimate
        held += (estimate.low or 0) <= truth <= (estimate.high or 0)
    assert held / 500 >= 0.93
