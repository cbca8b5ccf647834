"""The simulator and what is planned with it."""

import numpy as np
import pytest
from scipy import stats

from kimchi.errors import DataError
from kimchi.eval.statistics import Design, power, simulate
from kimchi.eval.statistics.power import detectable
from kimchi.eval.statistics.simulate import assignment, logits_apart, points_apart


def test_a_study_is_the_same_for_the_same_seed() -> None:
    design = Design(raters=7, prompts=9, per_rater=4, models=("a", "b", "c"), criteria=("x", "y"), missing=0.1)
    one, two = simulate(design, 5), simulate(design, 5)
    assert (one.value == two.value).all() and (one.seconds == two.seconds).all()
    assert len(one) == 7 * 4 * 3 * 2 and set(one.position) == {1, 2, 3}
    assert 0.02 < (one.value == 0).mean() < 0.2


def test_every_prompt_is_seen_equally_often() -> None:
    rater, prompt = assignment(Design(), np.random.default_rng(0))
    counts = np.bincount(prompt)
    assert counts.max() - counts.min() <= 1
    assert len({*zip(rater.tolist(), prompt.tolist(), strict=True)}) == 53 * 20


def test_points_and_logits_are_one_thing() -> None:
    design = Design(raters=400, prompts=400, per_rater=100, effects={"kimchi": 1.0})
    table = simulate(design, 1)
    apart = table.value[table.model == 0].mean() - table.value[table.model == 1].mean()
    assert apart == pytest.approx(points_apart(design, 1.0), abs=0.13)
    assert points_apart(design, logits_apart(design, -0.4)) == pytest.approx(-0.4)
    with pytest.raises(DataError, match="the scale does not reach so far"):
        logits_apart(design, 3.9)


def test_detectable_is_what_a_t_test_detects() -> None:
    noncentral = detectable(1.0, 19)
    assert 1 - stats.nct.cdf(stats.t.ppf(0.975, 19), 19, noncentral) == pytest.approx(0.8, abs=0.01)


def test_power_quickly() -> None:
    found = power(Design(raters=30, prompts=20, per_rater=10), 0.6, studies=40)
    assert found.power.share > 0.6 and found.false_alarms.share < 0.2 and found.withheld == 0
    assert 0.2 < (found.detectable or 0) < 0.7 and 0.1 < (found.half_width or 0) < 0.6
    few = power(Design(raters=30, prompts=9, per_rater=9), 0.6, studies=10)
    assert (few.withheld, few.power.count, few.detectable) == (10, 0, None)


@pytest.mark.parametrize("change", [{"per_rater": 70}, {"raters": 0}, {"missing": 2.0}])
def test_a_design_that_cannot_be_is_refused(change: dict[str, float]) -> None:
    with pytest.raises(DataError, match=r"per rater|missing"):
        Design(**change)  # pyright: ignore[reportArgumentType]
    with pytest.raises(DataError, match="1 models, 500 studies"):
        power(Design(models=("a",)), 0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("raters", "prompts", "known"), [(53, 20, 0.47), (53, 60, 0.82), (30, 60, 0.69)])
def test_power_of_the_planning_table(raters: int, prompts: int, known: float) -> None:
    """Measured before this was written, by another program with other thresholds: more prompts help more than more raters."""
    found = power(Design(raters=raters, prompts=prompts), 0.29, studies=500)
    print(f"{raters} x {prompts}: power {found.power.share:.3f} ({known}), false alarms {found.false_alarms.share:.3f}, detectable {found.detectable:.3f}")
    assert found.power.share == pytest.approx(known, abs=0.06)


@pytest.mark.slow
def test_the_detectable_difference_is_detected() -> None:
    planned = power(Design(), 0.29, studies=300).detectable
    assert planned is not None
    assert power(Design(), planned, studies=500, seed=10_000).power.share == pytest.approx(0.8, abs=0.05)
