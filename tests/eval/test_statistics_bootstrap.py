"""What comes of the crossed draws: deltas, wins, ranks; and correlations with metrics."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from kimchi.eval.statistics import Design, Plan, Ratings, Why, from_columns, simulate
from kimchi.eval.statistics.bootstrap import draw
from kimchi.eval.statistics.dominance import deltas, duels
from kimchi.eval.statistics.metrics import ceiling, metric_agreements
from kimchi.eval.statistics.ranks import rank_shares, ranks

PLAN = Plan(focus="kimchi", draws=400)


@pytest.fixture(scope="module")
def study() -> Ratings:
    return simulate(Design(raters=25, prompts=14, per_rater=8, models=("kimchi", "sd21", "photo"), effects={"photo": 1.5}, missing=0.05), 8)


def test_delta_and_wins_are_counted_pair_by_pair(study: Ratings) -> None:
    draws = draw(study, "alignment", "prompts like these", 200, 0)
    known = study.known
    a, b = known.value[known.model == 0], known.value[known.model == 1]
    assert deltas(study, PLAN, "prompts like these", draws)[0].estimate.value == pytest.approx(np.sign(a[:, None] - b).mean())
    cell = {(r, p, m): v for r, p, m, v in zip(known.rater, known.prompt, known.model, known.value, strict=True)}
    both = [(cell[r, p, 0], cell[r, p, 2]) for r, p in product(range(25), range(14)) if (r, p, 0) in cell and (r, p, 2) in cell]
    duel = next(one for one in duels(study, PLAN, "prompts like these", draws) if one.second == "photo")
    assert duel.n == len(both)
    assert (duel.wins, duel.ties) == (pytest.approx(np.mean([x > y for x, y in both])), pytest.approx(np.mean([x == y for x, y in both])))
    assert (duel.wins or 0) + (duel.ties or 0) + (duel.losses or 0) == pytest.approx(1)


def test_a_draw_counts_a_rating_as_often_as_its_rater_and_its_prompt(study: Ratings) -> None:
    draws = draw(study, "alignment", "prompts like these", 300, 0)
    assert draws.mean_BM[0] == pytest.approx([study.known.value[study.known.model == k].mean() for k in range(3)])
    again = draw(study, "alignment", "prompts like these", 300, 0)
    assert (draws.histogram_BMV == again.histogram_BMV).all() and (draws.duel_BK3 == again.duel_BK3).all()
    fixed = draw(study, "alignment", "these prompts", 300, 0)
    # Fixed prompts keep every draw at the same prompts, so the means spread less.
    assert fixed.mean_BM[1:, 0].std() < draws.mean_BM[1:, 0].std()


def test_the_crossed_bootstrap_agrees_with_the_clustered_error() -> None:
    """The spread of the drawn difference is near that of simulated studies, and never far below it."""
    design = Design(raters=30, prompts=20, per_rater=20)
    estimates, errors = [], []
    for seed in range(60):
        draws = draw(simulate(design, seed), "alignment", "prompts like these", 150, seed)
        apart = draws.mean_BM[:, 0] - draws.mean_BM[:, 1]
        estimates.append(apart[0])
        errors.append(apart[1:].std())
    assert 0.85 < np.mean(errors) / np.std(estimates) < 1.5


def test_ranks_share_what_is_tied() -> None:
    shares = rank_shares(np.array([[3.0, 3.0, 1.0], [1.0, 2.0, 3.0]]))
    assert shares.tolist() == [[0.25, 0.25, 0.5], [0.25, 0.75, 0.0], [0.5, 0.0, 0.5]]


def test_the_best_is_first(study: Ratings) -> None:
    found = {one.model: one for one in ranks(study, PLAN, "prompts like these", draw(study, "alignment", "prompts like these", 300, 0))}
    assert found["photo"].shares[0] > 0.9
    few = study.about(study.prompts[:9])
    assert {one.why for one in ranks(few, PLAN, "prompts like these", draw(few, "alignment", "prompts like these", 100, 0))} == {Why.FEW_PROMPTS}


def test_metrics_are_correlated_as_scipy_does(study: Ratings) -> None:
    rng, known = np.random.default_rng(1), study.known
    pictures = list(product(study.prompts, study.models))
    means = {(p, m): known.value[(known.prompt == study.prompts.index(p)) & (known.model == study.models.index(m))].mean() for p, m in pictures}
    clip = {key: round(float(mean + rng.normal()), 1) for key, mean in means.items()}
    (found,) = metric_agreements(study, "alignment", Plan(focus="kimchi", metrics={"clip": clip}))
    x, y = [means[key] for key in pictures], [clip[key] for key in pictures]
    assert found.n == len(pictures)
    assert found.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.kendall.value == pytest.approx(stats.kendalltau(x, y).statistic)
    pairs = [((p, a), (p, b)) for p in study.prompts for i, a in enumerate(study.models) for b in study.models[:i]]
    assert found.pairwise.value == pytest.approx(np.mean([np.sign(means[a] - means[b]) == np.sign(clip[a] - clip[b]) for a, b in pairs]))
    for one in (found.spearman, found.kendall, found.pairwise):
        assert one.low is not None and one.value is not None and one.high is not None and one.low < one.value < one.high
    assert (found.lowest_without_a_prompt or 1) < (found.spearman.value or 0) < (found.highest_without_a_prompt or 0)
    assert 0 < (ceiling(study, "alignment").spearman or 0) < 1


def test_a_weighted_draw_is_the_table_written_out(study: Ratings) -> None:
    """Spearman's with weights equals scipy's on pictures repeated as often as they were drawn."""
    from kimchi.eval.statistics.metrics import _kendalls, _spearmans  # pyright: ignore[reportPrivateUsage]

    rng = np.random.default_rng(2)
    prompt, x, y = np.repeat(np.arange(6), 3), rng.integers(1, 5, 18).astype(float), rng.normal(size=18)
    weight = np.array([[2.0, 0, 1, 1, 0, 2]])
    rows = np.repeat(np.arange(18), weight[0][prompt].astype(int))
    assert _spearmans(prompt, x, y, weight)[0] == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic)
    assert _kendalls(prompt, x, y, weight)[0] == pytest.approx(stats.kendalltau(x[rows], y[rows]).statistic)


def test_a_metric_without_variation_says_so(study: Ratings) -> None:
    flat = {(p, m): 1.0 for p, m in product(study.prompts, study.models)}
    (found,) = metric_agreements(study, "alignment", Plan(focus="kimchi", metrics={"flat": flat}))
    assert found.spearman.why == Why.NO_VARIATION
    (found,) = metric_agreements(study, "alignment", Plan(focus="kimchi", metrics={"one": {(study.prompts[0], "sd21"): 1.0}}))
    assert found.spearman.why == Why.NO_RATINGS


def test_an_empty_criterion_draws_nothing() -> None:
    table = from_columns({"rater": ["a"], "prompt": ["p"], "model": ["kimchi"], "criterion": ["alignment"], "value": [None]}, models=("kimchi", "sd21"))
    draws = draw(table, "alignment", "prompts like these", 100, 0)
    assert deltas(table, PLAN, "prompts like these", draws)[0].estimate.why == Why.NO_RATINGS
    assert duels(table, PLAN, "prompts like these", draws)[0].wins is None
