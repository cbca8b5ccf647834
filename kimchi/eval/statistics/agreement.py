"""How far raters agree on single pictures: Krippendorff's alpha and Gwet's AC2, both for ordered values and with missing ones.

They answer differently on skewed values, and neither is wrong: alpha asks how much better than shuffling, AC2 how much better than guessing
on the hard ones. They are reported together, beside the histogram.

Shapes: U units (pictures), V values 1 to 5, P prompts, B draws.
"""

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np

from .estimates import Estimate, Why, nothing
from .ratings import POINTS, Floats, Ratings

Weights = Literal["identity", "ordinal", "quadratic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One criterion, over one model's pictures or all."""

    criterion: str
    model: str | None
    """None: all models together."""
    alpha: Estimate
    """Krippendorff's, ordinal: 1 is full agreement, 0 none beyond chance."""
    ac2: Estimate
    """Gwet's, ordinal weights."""


def agreement(ratings: Ratings, criterion: str, model: str | None = None, *, draws: int = 2000, alpha: float = 0.05, seed: int = 0) -> Agreement:
    """Both coefficients with intervals from drawing prompts, each with all of its pictures."""
    known = ratings.of(criterion).known
    known = known if model is None else known.where(known.model == known.models.index(model))
    counts_UV, prompt_U = _table(known)
    rng = np.random.default_rng([seed, 1])
    if not (counts_UV.sum(1) > 1).any():
        why = Why.NO_RATINGS if not len(known) else Why.SEEN_ONCE
        return Agreement(criterion=criterion, model=model, alpha=nothing(why), ac2=nothing(why))
    weights_BP = rng.multinomial(prompt_U.max() + 1, np.full(prompt_U.max() + 1, 1 / (prompt_U.max() + 1)), draws).astype(float)
    made = {
        name: _estimate(
            function(counts_UV, prompt_U, weights_BP), float(function(counts_UV, prompt_U, np.ones((1, weights_BP.shape[1])))[0]), alpha, weights_BP.shape[1]
        )
        for name, function in (("alpha", _alphas), ("ac2", _ac2s))
    }
    return Agreement(criterion=criterion, model=model, **made)


def krippendorff(counts_UV: Floats, level: Literal["nominal", "ordinal", "interval"] = "ordinal") -> float:
    """Alpha of a table of how many raters gave each unit each value; NaN where chance leaves nothing to disagree about.

    Krippendorff 2011, Computing Krippendorff's alpha-reliability: coincidences o, their margins n_c and sum n, squared distances d; then
    1 - (n - 1) sum(o d) / sum(n_c n_k d).
    """
    return float(_alphas(counts_UV, np.zeros(len(counts_UV), dtype=np.int64), np.ones((1, 1)), level)[0])


def gwet(counts_UV: Floats, weights: Weights = "ordinal") -> float:
    """AC2 of the same table (AC1 with identity weights); NaN where no unit has two ratings.

    Gwet 2014, Handbook of inter-rater reliability, 4th edition, chapter on ordinal ratings: (pa - pe) / (1 - pe), pa the weighted agreement of
    units with two ratings, pe = sum(w) sum(pi (1 - pi)) / (q (q - 1)) over all units.
    """
    return float(_ac2s(counts_UV, np.zeros(len(counts_UV), dtype=np.int64), np.ones((1, 1)), weights)[0])


def gwet_weights(kind: Weights, points: int = POINTS) -> Floats:
    """Partial credit for near misses, 1 on the diagonal. Gwet 2014: 1 - d^2 / (q - 1)^2, or 1 - C(d + 1, 2) / C(q, 2)."""
    apart = np.abs(np.subtract.outer(np.arange(points), np.arange(points)))
    if kind == "identity":
        return (apart == 0).astype(float)
    if kind == "quadratic":
        return 1 - apart**2 / (points - 1) ** 2
    return 1 - (apart + 1) * apart / 2 / comb(points, 2)


def _table(known: Ratings) -> tuple[Floats, np.ndarray]:
    """Counts of each picture's values, and each picture's prompt counted from 0 without gaps."""
    units, unit_N = np.unique(known.prompt * len(known.models) + known.model, return_inverse=True)
    counts_UV = np.bincount(unit_N * POINTS + known.value - 1, minlength=units.size * POINTS).reshape(units.size, POINTS).astype(float)
    return counts_UV, np.unique(units // max(1, len(known.models)), return_inverse=True)[1]


def _grouped(rows_U: Floats, prompt_U: np.ndarray, prompts: int) -> Floats:
    sums = np.zeros((prompts, *rows_U.shape[1:]))
    np.add.at(sums, prompt_U, rows_U)
    return sums


def _alphas(counts_UV: Floats, prompt_U: np.ndarray, weights_BP: Floats, level: str = "ordinal") -> Floats:
    n_U = counts_UV.sum(1)
    # A unit with one rating pairs with nothing and leaves the coincidences; its value is not even counted among the chances.
    pairs_UVV = np.einsum("ui,uj->uij", counts_UV, counts_UV) - np.einsum("ui,ij->uij", counts_UV, np.eye(counts_UV.shape[1]))
    coincidence_UVV = pairs_UVV / np.maximum(n_U - 1, 1)[:, None, None]
    o_BVV = np.einsum("bp,pij->bij", weights_BP, _grouped(coincidence_UVV, prompt_U, weights_BP.shape[1]))
    n_BV = o_BVV.sum(2)
    distance_BVV = _distances(n_BV, level)
    n_B = n_BV.sum(1)
    observed_B = (o_BVV * distance_BVV).sum((1, 2))
    expected_B = np.einsum("bi,bj,bij->b", n_BV, n_BV, distance_BVV)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(expected_B > 0, 1 - (n_B - 1) * observed_B / expected_B, np.nan)


def _distances(n_BV: Floats, level: str) -> Floats:
    """Squared. Ordinal ones count the ratings that lie between two values, half of each end: so they depend on the histogram."""
    points = np.arange(n_BV.shape[1])
    if level == "ordinal":
        middle_BV = np.cumsum(n_BV, 1) - n_BV / 2
        return (middle_BV[:, :, None] - middle_BV[:, None, :]) ** 2
    apart = np.subtract.outer(points, points)
    flat = (apart != 0).astype(float) if level == "nominal" else apart.astype(float) ** 2
    return np.broadcast_to(flat, (len(n_BV), *flat.shape))


def _ac2s(counts_UV: Floats, prompt_U: np.ndarray, weights_BP: Floats, kind: Weights = "ordinal") -> Floats:
    q, w_VV = counts_UV.shape[1], gwet_weights(kind, counts_UV.shape[1])
    n_U = counts_UV.sum(1)
    many_U = n_U > 1
    agreed_U = (counts_UV * (counts_UV @ w_VV - 1)).sum(1) / np.where(many_U, n_U * (n_U - 1), 1)
    share_UV = counts_UV / n_U[:, None]
    summed_PX = _grouped(np.column_stack([np.where(many_U, agreed_U, 0), many_U, np.ones_like(n_U), share_UV]), prompt_U, weights_BP.shape[1])
    agreed_B, many_B, all_B, *shares = (weights_BP @ summed_PX).T
    pi_BV = np.stack(shares, 1) / np.maximum(all_B, 1e-300)[:, None]
    chance_B = w_VV.sum() * (pi_BV * (1 - pi_BV)).sum(1) / (q * (q - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(many_B > 0, (agreed_B / many_B - chance_B) / (1 - chance_B), np.nan)


def _estimate(drawn_B: Floats, value: float, alpha: float, prompts: int) -> Estimate:
    if np.isnan(value):
        return nothing(Why.NO_VARIATION)
    good_B = drawn_B[np.isfinite(drawn_B)]
    if good_B.size < 0.95 * drawn_B.size:
        return nothing(Why.UNSTABLE, value)
    if np.ptp(good_B) < 1e-12:
        return nothing(Why.ONE_PROMPT if prompts < 2 else Why.NO_VARIATION, value)
    low, high = np.quantile(good_B, [alpha / 2, 1 - alpha / 2])
    return Estimate(value=value, low=float(low), high=float(high))
