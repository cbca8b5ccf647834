"""The cumulative-logit mixed model: R's published numbers, its own gradient, what it recovers, and what it refuses to say."""

import numpy as np
import pytest

from kimchi.eval.statistics import Design, Plan, Why, simulate
from kimchi.eval.statistics.fit import Fit, fit_cumulative
from kimchi.eval.statistics.laplace import Problem, evaluate
from kimchi.eval.statistics.mixed import mixed_model

# Randall 1989, bitterness of wine: eight bottles (rows: cold and warm, twice without and twice with contact) by nine judges.
WINE = np.array(
    [
        [2, 1, 2, 3, 2, 3, 1, 2, 1],
        [3, 2, 3, 2, 3, 2, 1, 2, 2],
        [3, 1, 3, 3, 4, 3, 2, 2, 3],
        [4, 3, 2, 2, 3, 2, 2, 3, 2],
        [4, 2, 5, 3, 3, 2, 2, 3, 3],
        [4, 3, 5, 2, 3, 4, 3, 3, 2],
        [5, 5, 4, 5, 3, 5, 2, 3, 4],
        [5, 4, 4, 3, 3, 4, 3, 4, 4],
    ]
)
BOTTLE, JUDGE = (codes.ravel() for codes in np.indices(WINE.shape))
WARM_CONTACT = np.column_stack([BOTTLE >= 4, BOTTLE % 4 >= 2]).astype(float)
PLAN = Plan(focus="kimchi")


def null_gate(design: Design, studies: int) -> tuple[float, float]:
    """Over simulated studies without a difference: how often one is found, and how often the interval holds the truth, 0."""
    found = [mixed_model(simulate(design, seed), "alignment", PLAN).contrasts[0].estimate for seed in range(studies)]
    assert all(one.p is not None for one in found)
    return sum((one.p or 0) < 0.05 for one in found) / studies, sum((one.low or 0) <= 0 <= (one.high or 0) for one in found) / studies


def test_wine_is_rs() -> None:
    """R ordinal::clmm(rating ~ temp + contact + (1 | judge)): its documented summary, and broom's for the standard errors."""
    fit = fit_cumulative(WINE.ravel() - 1, WARM_CONTACT, JUDGE[None])
    assert isinstance(fit, Fit)
    assert fit.thresholds == pytest.approx([-1.623667, 1.513365, 4.228527, 6.088773], abs=1e-3)
    assert fit.beta == pytest.approx([3.062997, 1.834885], abs=1e-3)
    assert fit.sd == pytest.approx([1.131133], abs=1e-3)
    assert fit.log_likelihood == pytest.approx(-81.56541, abs=1e-4)
    assert np.sqrt(np.diag(fit.covariance)) == pytest.approx([0.682, 0.604, 0.809, 0.972, 0.595, 0.513], abs=1e-3)
    assert (fit.boundary, fit.why) == ((False,), Why.GIVEN)


def test_wine_without_judges_is_rs_too() -> None:
    """R ordinal::clm(rating ~ temp + contact)."""
    fit = fit_cumulative(WINE.ravel() - 1, WARM_CONTACT, np.zeros((0, 72), dtype=np.int64))
    assert isinstance(fit, Fit)
    assert fit.beta == pytest.approx([2.503, 1.528], abs=1e-3)
    assert fit.log_likelihood == pytest.approx(-86.49, abs=5e-3)
    assert np.sqrt(np.diag(fit.covariance))[4:] == pytest.approx([0.529, 0.477], abs=1e-3)


@pytest.mark.parametrize("sigma", [(0.9, -0.4, 0.3), (1.4, 0.0, 0.05)])
def test_the_gradient_is_the_slope(sigma: tuple[float, ...]) -> None:
    problem = Problem(category=WINE.ravel() - 1, x_NX=WARM_CONTACT, levels_TN=np.stack([JUDGE, BOTTLE, JUDGE * 2 + BOTTLE // 4]))
    psi = np.array([-1.5, 0.9, 0.8, 0.6, 2.5, 1.3, *sigma])
    numeric = [(evaluate(problem, psi + step)[0] - evaluate(problem, psi - step)[0]) / 2e-5 for step in 1e-5 * np.eye(9)]
    assert evaluate(problem, psi)[1] == pytest.approx(numeric, abs=2e-6)


def test_one_judge_integrated_by_quadrature() -> None:
    """With many ratings a level, the Laplace approximation is the integral itself, here summed over a grid."""
    rng, levels = np.random.default_rng(3), np.repeat(np.arange(3), 60)
    category = (rng.logistic(size=180) + np.array([-1.0, 0.2, 1.1])[levels] > 0).astype(np.int64)
    problem = Problem(category=category, x_NX=np.zeros((180, 0)), levels_TN=levels[None])
    grid = np.linspace(-8, 8, 4001)
    total = 0.0
    for level in range(3):
        sign = np.where(category[levels == level] == 1, 1, -1)
        log_p = -np.logaddexp(0, -sign[:, None] * (0.9 * grid - 0.1)).sum(0)
        total += np.log((np.exp(log_p - log_p.max()) * np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)).sum() * 0.004) + log_p.max()
    assert evaluate(problem, np.array([0.1, 0.9]))[0] == pytest.approx(-total, abs=0.02)


def test_a_study_is_recovered() -> None:
    design = Design(raters=60, prompts=40, per_rater=20, models=("kimchi", "sd21", "photo"), effects={"kimchi": 1.0, "photo": 2.0})
    found = mixed_model(simulate(design, 11), "alignment", PLAN)
    against = {one.second: one for one in found.contrasts}
    for other, truth in (("sd21", 1.0), ("photo", -1.0)):
        estimate = against[other].estimate
        assert estimate.low is not None and estimate.high is not None and estimate.low < truth < estimate.high
    assert [spread.sd for spread in found.spreads] == pytest.approx([0.8, 0.5, 0.7, 0.4], abs=0.25)
    assert against["sd21"].odds_ratio == pytest.approx(np.exp(against["sd21"].estimate.value or 0))


def test_a_spread_that_is_not_there_is_at_its_boundary() -> None:
    design = Design(raters=30, prompts=15, per_rater=10, spreads={"rater": 0.8})
    spreads = {spread.term: spread for spread in mixed_model(simulate(design, 2), "alignment", PLAN).spreads}
    assert spreads["rater"].sd and not spreads["rater"].boundary
    assert any(spread.boundary and spread.sd == 0 for spread in spreads.values())


def test_too_many_effects_are_said() -> None:
    found = mixed_model(simulate(Design(raters=1100, prompts=12, per_rater=4), 1), "alignment", PLAN)
    assert found.why == Why.TOO_LARGE and all(spread.sd is None for spread in found.spreads)


def test_null_studies_quickly() -> None:
    rate, coverage = null_gate(Design(raters=24, prompts=12, per_rater=8), studies=25)
    assert rate <= 0.16 and coverage >= 0.84


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("design", [Design(prompts=20, models=("kimchi", "sd21", "dalle3")), Design(prompts=60)], ids=["complete", "incomplete"])
def test_null_studies(design: Design) -> None:
    rate, coverage = null_gate(design, studies=100)
    print(f"mixed model, {design.raters} x {design.prompts}, 100 null studies: false positives {rate:.2f}, coverage {coverage:.2f}")
    assert 0.01 <= rate <= 0.10
    assert coverage >= 0.90
