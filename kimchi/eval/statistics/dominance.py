"""Who is rated above whom, without treating points as distances: Cliff's delta, and the matrix of wins within rater and prompt."""

from dataclasses import dataclass

import numpy as np

from .bootstrap import Draws, interval
from .estimates import Estimate, Inference
from .plan import Plan
from .ratings import POINTS, Floats, Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Cliff's delta: the chance that a rating of the first exceeds one of the second, less the chance of the reverse; -1 to 1."""

    first: str
    second: str
    inference: Inference
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """Two models before the same rater and prompt. The three shares add up to 1; None where nobody judged both."""

    first: str
    second: str
    inference: Inference
    n: int
    """Rater-prompt pairs."""
    wins: float | None
    ties: float | None
    losses: float | None
    advantage: Estimate
    """Wins less losses."""


def deltas(ratings: Ratings, plan: Plan, inference: Inference, draws: Draws) -> tuple[Delta, ...]:
    """Of the plan's contrasts. Cliff 1993 (Psychological Bulletin 114, 494-509); crossed-bootstrap intervals."""
    made: list[Delta] = []
    for first, second in plan.pairs(ratings):
        i, j = ratings.models.index(first), ratings.models.index(second)
        drawn_B = _delta(draws.histogram_BMV[:, i], draws.histogram_BMV[:, j])
        estimate = interval(drawn_B, draws, inference, plan.alpha, (plan.least_prompts, plan.least_raters))
        made.append(Delta(first=first, second=second, inference=inference, estimate=estimate))
    return tuple(made)


def duels(ratings: Ratings, plan: Plan, inference: Inference, draws: Draws) -> tuple[Duel, ...]:
    """Every model against every later one of the table: the win matrix above its diagonal."""
    return tuple(_duel(ratings, plan, inference, draws, k) for k in range(len(draws.pairs)))


def _delta(first_BV: Floats, second_BV: Floats) -> Floats:
    sign_VV = np.sign(np.subtract.outer(np.arange(POINTS), np.arange(POINTS)))
    with np.errstate(invalid="ignore"):
        return np.einsum("bi,ij,bj->b", first_BV, sign_VV, second_BV) / (first_BV.sum(1) * second_BV.sum(1))


def _duel(ratings: Ratings, plan: Plan, inference: Inference, draws: Draws, k: int) -> Duel:
    (i, j), counts_B3 = draws.pairs[k], draws.duel_BK3[:, k]
    with np.errstate(invalid="ignore"):
        share_B3 = counts_B3 / counts_B3.sum(1, keepdims=True)
    n = int(counts_B3[0].sum())
    wins, ties, losses = (float(share) if n else None for share in share_B3[0])
    return Duel(
        first=ratings.models[i],
        second=ratings.models[j],
        inference=inference,
        n=n,
        wins=wins,
        ties=ties,
        losses=losses,
        advantage=interval(share_B3[:, 0] - share_B3[:, 2], draws, inference, plan.alpha, (plan.least_prompts, plan.least_raters)),
    )
