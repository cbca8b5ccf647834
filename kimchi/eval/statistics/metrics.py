"""Do automatic metrics see what people see? Correlations of a metric with the mean ratings of the same pictures.

Shapes: P prompts, M models, C pictures that have both (prompt_C says whose), B draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from .estimates import Estimate, Why, nothing
from .plan import Plan
from .ratings import Floats, Ints, Ratings

_DRAWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAgreement:
    """One metric on one criterion. Intervals come from drawing prompts, so they hold for prompts like these."""

    metric: str
    criterion: str
    n: int
    """Pictures with both a score and a rating."""
    spearman: Estimate
    kendall: Estimate
    """tau-b."""
    pairwise: Estimate
    """The share of pairs of models, within a prompt, that metric and people order alike, ties counting as an order of their own."""
    lowest_without_a_prompt: float | None = None
    """Spearman's, with each prompt left out: the least and the greatest."""
    highest_without_a_prompt: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """How well one rater predicts the others: what a metric could reach at best, roughly."""

    criterion: str
    raters: int
    """Those with at least three pictures that others rated too, and with more than one value."""
    spearman: float | None
    """The mean over raters of the correlation with the mean of all others."""


def metric_agreements(ratings: Ratings, criterion: str, plan: Plan) -> tuple[MetricAgreement, ...]:
    """Every metric of the plan."""
    return tuple(_agreement(ratings, criterion, plan, name, scores) for name, scores in plan.metrics.items())


def ceiling(ratings: Ratings, criterion: str) -> Ceiling:
    """Each rater against the mean of the others, on the pictures that this rater judged."""
    known = ratings.of(criterion).known
    cell_N = known.prompt * max(1, len(known.models)) + known.model
    size = int(cell_N.max(initial=-1)) + 1
    sum_C, n_C = np.bincount(cell_N, known.value, size), np.bincount(cell_N, minlength=size)
    others_N = np.where(n_C[cell_N] > 1, (sum_C[cell_N] - known.value) / np.maximum(n_C[cell_N] - 1, 1), np.nan)
    found: list[float] = []
    for rater in np.unique(known.rater):
        rows = (known.rater == rater) & np.isfinite(others_N)
        if rows.sum() >= 3 and np.ptp(known.value[rows]) > 0 and np.ptp(others_N[rows]) > 0:
            found.append(_spearman(known.value[rows].astype(float), others_N[rows]))
    return Ceiling(criterion=criterion, raters=len(found), spearman=float(np.mean(found)) if found else None)


def _agreement(ratings: Ratings, criterion: str, plan: Plan, name: str, scores: Mapping[tuple[str, str], float]) -> MetricAgreement:
    prompt_C, human_C, metric_C = _pictures(ratings, criterion, scores)
    prompts = np.unique(prompt_C).size
    why = Why.NO_RATINGS if human_C.size < 3 else Why.NO_VARIATION if np.ptp(human_C) == 0 or np.ptp(metric_C) == 0 else None
    if why:
        none = nothing(why)
        return MetricAgreement(metric=name, criterion=criterion, n=human_C.size, spearman=none, kendall=none, pairwise=none)
    rng = np.random.default_rng([plan.seed, 3])
    weight_BP = np.vstack([np.ones(prompts), rng.multinomial(prompts, np.full(prompts, 1 / prompts), _DRAWS).astype(float)])
    least = plan.least_prompts
    without = _left_out(prompt_C, human_C, metric_C)
    return MetricAgreement(
        metric=name,
        criterion=criterion,
        n=human_C.size,
        spearman=_estimate(_spearmans(prompt_C, human_C, metric_C, weight_BP), prompts, plan, least),
        kendall=_estimate(_kendalls(prompt_C, human_C, metric_C, weight_BP), prompts, plan, least),
        pairwise=_estimate(_pairwise(prompt_C, human_C, metric_C, weight_BP), prompts, plan, least),
        lowest_without_a_prompt=min(without, default=None),
        highest_without_a_prompt=max(without, default=None),
    )


def _pictures(ratings: Ratings, criterion: str, scores: Mapping[tuple[str, str], float]) -> tuple[Ints, Floats, Floats]:
    known, m = ratings.of(criterion).known, len(ratings.models)
    cells, cell_N = np.unique(known.prompt * max(1, m) + known.model, return_inverse=True)
    human_C = np.bincount(cell_N, known.value, cells.size) / np.maximum(np.bincount(cell_N, minlength=cells.size), 1)
    metric_C = np.array([scores.get((ratings.prompts[cell // m], ratings.models[cell % m]), np.nan) for cell in cells], dtype=float)
    both = np.isfinite(metric_C)
    prompt_C = np.unique(cells[both] // max(1, m), return_inverse=True)[1]
    return prompt_C, human_C[both], metric_C[both]


def _spearman(x: Floats, y: Floats) -> float:
    a, b = rankdata(x), rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _spearmans(prompt_C: Ints, x_C: Floats, y_C: Floats, weight_BP: Floats) -> Floats:
    """A picture drawn w times has w equal ranks: the middle of those it fills."""
    weight_BC = weight_BP[:, prompt_C]
    a_BC, b_BC = (_weighted_ranks(z_C, weight_BC) for z_C in (x_C, y_C))
    total_B = weight_BC.sum(1)
    a_BC = a_BC - ((weight_BC * a_BC).sum(1) / total_B)[:, None]
    b_BC = b_BC - ((weight_BC * b_BC).sum(1) / total_B)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weight_BC * a_BC * b_BC).sum(1) / np.sqrt((weight_BC * a_BC**2).sum(1) * (weight_BC * b_BC**2).sum(1))


def _weighted_ranks(z_C: Floats, weight_BC: Floats) -> Floats:
    values, place_C = np.unique(z_C, return_inverse=True)
    mass_BU = np.zeros((len(weight_BC), values.size))
    np.add.at(mass_BU.T, place_C, weight_BC.T)
    return (np.cumsum(mass_BU, 1) - mass_BU / 2)[:, place_C]


def _kendalls(prompt_C: Ints, x_C: Floats, y_C: Floats, weight_BP: Floats) -> Floats:
    """tau-b, Kendall 1945 (Biometrika 33, 239-251): agreements less disagreements over the geometric mean of the untied pairs."""
    sign_x, sign_y = (np.sign(np.subtract.outer(z_C, z_C)) for z_C in (x_C, y_C))
    by_prompt = np.zeros((weight_BP.shape[1], x_C.size))
    by_prompt[prompt_C, np.arange(x_C.size)] = 1
    both, only_x, only_y = (
        np.einsum("bp,pq,bq->b", weight_BP, by_prompt @ pairs @ by_prompt.T, weight_BP, optimize=True) for pairs in (sign_x * sign_y, sign_x**2, sign_y**2)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return both / np.sqrt(only_x * only_y)


def _pairwise(prompt_C: Ints, x_C: Floats, y_C: Floats, weight_BP: Floats) -> Floats:
    """Deutsch, Foster and Freitag 2023 (EMNLP, 12914-12929): pairs ordered alike or tied in both, of all pairs; grouped by prompt."""
    i, j = np.triu_indices(x_C.size, 1)
    same = prompt_C[i] == prompt_C[j]
    i, j = i[same], j[same]
    alike = np.sign(x_C[i] - x_C[j]) == np.sign(y_C[i] - y_C[j])
    size = weight_BP.shape[1]
    hits_P, all_P = np.bincount(prompt_C[i], alike, size), np.bincount(prompt_C[i], minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weight_BP @ hits_P) / (weight_BP @ all_P)


def _left_out(prompt_C: Ints, x_C: Floats, y_C: Floats) -> list[float]:
    kept = [prompt_C != prompt for prompt in np.unique(prompt_C)]
    return [_spearman(x_C[k], y_C[k]) for k in kept if k.sum() > 2 and np.ptp(x_C[k]) > 0 and np.ptp(y_C[k]) > 0]


def _estimate(drawn_B: Floats, prompts: int, plan: Plan, least: int) -> Estimate:
    value, good_B = float(drawn_B[0]), drawn_B[1:][np.isfinite(drawn_B[1:])]
    if np.isnan(value):
        return nothing(Why.ONE_MODEL)
    if prompts < least:
        return nothing(Why.FEW_PROMPTS, value)
    if good_B.size < 0.95 * (drawn_B.size - 1):
        return nothing(Why.UNSTABLE, value)
    low, high = np.quantile(good_B, [plan.alpha / 2, 1 - plan.alpha / 2])
    return Estimate(value=value, low=float(low), high=float(high))
