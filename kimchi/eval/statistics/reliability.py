"""How far the mean of the raters can be trusted: the intraclass correlations ICC(2,1) and ICC(2,k), for incomplete tables too."""

from dataclasses import dataclass
from math import isclose, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from .estimates import Estimate, Why, nothing
from .ratings import Floats, Ints, Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """One criterion; the targets are the pictures."""

    criterion: str
    raters_each: float | None
    """k: the harmonic mean of how many rated a picture."""
    single: Estimate
    """ICC(2,1): of one rater's value."""
    mean: Estimate
    """ICC(2,k): of the mean of k raters. Its interval, for incomplete tables, counts all pictures of a prompt as one draw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variances in squared points; negative ones are left so, since cutting them at 0 would bias sums."""

    target: float
    rater: float
    rest: float


def reliability(ratings: Ratings, criterion: str, *, alpha: float = 0.05) -> Reliability:
    """Both correlations of one criterion's pictures."""
    known = ratings.of(criterion).known
    target_N = np.unique(known.prompt * len(known.models) + known.model, return_inverse=True)[1]
    rater_N = np.unique(known.rater, return_inverse=True)[1]
    single, mean, k = icc(known.value.astype(float), target_N, rater_N, alpha, known.prompt)
    return Reliability(criterion=criterion, raters_each=k, single=single, mean=mean)


def icc(value_N: Floats, target_N: Ints, rater_N: Ints, alpha: float = 0.05, group_N: Ints | None = None) -> tuple[Estimate, Estimate, float | None]:
    """ICC(2,1), ICC(2,k) and k. `group_N` says which targets belong together, as pictures of a prompt do; by default each stands alone.

    Shrout and Fleiss 1979 (Psychological Bulletin 86, 420-428), two-way random effects, absolute agreement, in terms of variance components.
    Intervals of complete tables: McGraw and Wong 1996 (Psychological Methods 1, 30-46), ICC(A,1) and ICC(A,k); of incomplete ones, for
    which theirs are too short: a jackknife over groups and over raters of the correlation's logit.
    """
    why = _undefined(value_N, target_N, rater_N)
    if why:
        return nothing(why), nothing(why), None
    n, raters, k = int(target_N.max()) + 1, int(rater_N.max()) + 1, float((target_N.max() + 1) / np.sum(1 / np.bincount(target_N)))
    value = _single(value_N, target_N, rater_N)
    if value is None or k <= 1:
        return nothing(Why.UNSTABLE), nothing(Why.UNSTABLE), k
    if value_N.size == n * raters:
        limits = _limits(components(value_N, target_N, rater_N), value, n, raters, alpha)
    else:
        limits = _jackknifed(value, value_N, target_N, rater_N, target_N if group_N is None else group_N, alpha)
    low, high = (None, None) if limits is None else limits
    single = Estimate(value=value, low=low, high=high, why=Why.UNSTABLE if limits is None else Why.GIVEN)
    up = [None if x is None else _stepped_up(x, k) for x in (value, low, high)]
    return single, Estimate(value=up[0], low=up[1], high=up[2], why=single.why), k


def components(value_N: Floats, target_N: Ints, rater_N: Ints) -> Components:
    """Variance components by moments, from any table with at least two raters and two targets that are linked.

    Gao and Owen 2017 (Electronic Journal of Statistics 11, 1235-1296): three sums of squared differences, each an
    unbiased combination of the three variances. Of a complete table the result is that of the analysis of variance.
    """
    n, per_target, per_rater = value_N.size, np.bincount(target_N), np.bincount(rater_N)
    # Centred, since squares of far numbers would lose the digits that the differences live on.
    y = value_N - value_N.mean()
    within_target = float(y @ y - np.sum(np.bincount(target_N, y) ** 2 / np.maximum(per_target, 1)))
    within_rater = float(y @ y - np.sum(np.bincount(rater_N, y) ** 2 / np.maximum(per_rater, 1)))
    overall = float(n * (y @ y) - y.sum() ** 2)
    targets, raters = int((per_target > 0).sum()), int((per_rater > 0).sum())
    matrix = np.array(
        [
            [0, n - targets, n - targets],
            [n - raters, 0, n - raters],
            [n**2 - np.sum(per_target**2), n**2 - np.sum(per_rater**2), n**2 - n],
        ],
        dtype=float,
    )
    target, rater, rest = np.linalg.solve(matrix, [within_target, within_rater, overall])
    return Components(target=float(target), rater=float(rater), rest=float(rest))


def _undefined(value_N: Floats, target_N: Ints, rater_N: Ints) -> Why | None:
    if value_N.size == 0:
        return Why.NO_RATINGS
    targets, raters = int(target_N.max()) + 1, int(rater_N.max()) + 1
    if raters < 2:
        return Why.ONE_RATER
    if targets < 2:
        return Why.ONE_PROMPT
    if np.ptp(value_N) == 0:
        return Why.NO_VARIATION
    # A table in which every target, or every rater, has one rating cannot tell a severe rater from a bad picture.
    return Why.SEEN_ONCE if value_N.size < targets + raters else None


def _single(value_N: Floats, target_N: Ints, rater_N: Ints) -> float | None:
    try:
        parts = components(value_N, target_N, rater_N)
    except np.linalg.LinAlgError:
        # A table whose three sums say the same: no target shares enough raters with another.
        return None
    total = max(parts.target, 0) + max(parts.rater, 0) + max(parts.rest, 0)
    return max(parts.target, 0) / total if total > 1e-12 else None


def _limits(parts: Components, icc: float, n: int, k: int, alpha: float) -> tuple[float, float] | None:
    """McGraw and Wong's, for ICC(A,1): a and b weigh the mean squares, v is Satterthwaite's degrees of freedom."""
    rest = max(parts.rest, 0.0)
    rows, columns = rest + k * max(parts.target, 0.0), rest + n * max(parts.rater, 0.0)
    if isclose(icc, 1.0) or rest <= 0:
        return None
    a, b = k * icc / (n * (1 - icc)), 1 + k * icc * (n - 1) / (n * (1 - icc))
    v = (a * columns + b * rest) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    lower, upper = f_distribution.ppf(1 - alpha / 2, n - 1, v), f_distribution.ppf(1 - alpha / 2, v, n - 1)
    low = n * (rows - lower * rest) / (lower * (k * columns + (k * n - k - n) * rest) + n * rows)
    high = n * (upper * rows - rest) / (k * columns + (k * n - k - n) * rest + n * upper * rows)
    return (float(max(low, 0.0)), float(min(high, 1.0))) if low <= icc <= high else None


def _jackknifed(value: float, value_N: Floats, target_N: Ints, rater_N: Ints, group_N: Ints, alpha: float) -> tuple[float, float] | None:
    """Leaving out one group, or one rater, at a time; both variances add up. t with the fewer of the two, less one, degrees of freedom."""
    squares, fewest = 0.0, min(np.unique(group_N).size, np.unique(rater_N).size)
    if not 0.01 < value < 0.99 or fewest < 3:
        return None
    for cluster_N in (group_N, rater_N):
        left = [_without(value_N, target_N, rater_N, cluster_N != cluster) for cluster in np.unique(cluster_N)]
        if any(one is None or not 0 < one < 1 for one in left):
            return None
        logits = logit(np.array(left, dtype=float))
        squares += float(((logits - logits.mean()) ** 2).sum()) * (len(left) - 1) / len(left)
    half = float(t_distribution.ppf(1 - alpha / 2, fewest - 1)) * sqrt(squares)
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def _without(value_N: Floats, target_N: Ints, rater_N: Ints, kept_N: NDArray[np.bool_]) -> float | None:
    targets, raters = (np.unique(codes[kept_N], return_inverse=True)[1] for codes in (target_N, rater_N))
    return None if _undefined(value_N[kept_N], targets, raters) else _single(value_N[kept_N], targets, raters)


def _stepped_up(single: float, k: float) -> float:
    """Spearman and Brown: the reliability of a mean of k, from that of one."""
    return k * single / (1 + (k - 1) * single)
