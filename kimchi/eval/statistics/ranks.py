"""How sure the order of the models is: the share of bootstrap draws in which each takes each place."""

from dataclasses import dataclass

import numpy as np

from .bootstrap import Draws
from .estimates import Inference, Why
from .plan import Plan
from .ratings import Floats, Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """One model's places by mean."""

    model: str
    inference: Inference
    shares: tuple[float, ...]
    """Of the draws in which it is first, second, ...; models that tie share the places between them. Empty where not given."""
    why: Why = Why.GIVEN


def ranks(ratings: Ratings, plan: Plan, inference: Inference, draws: Draws) -> tuple[Rank, ...]:
    """In the table's order."""
    why = _why(draws, plan, inference)
    shares_MK = None if why else rank_shares(draws.mean_BM[1:])
    return tuple(
        Rank(model=model, inference=inference, shares=() if shares_MK is None else tuple(map(float, shares_MK[k])), why=why)
        for k, model in enumerate(ratings.models)
    )


def rank_shares(mean_BM: Floats) -> Floats:
    """Models by places; every row and every column adds up to 1."""
    above_BM = (mean_BM[:, None, :] > mean_BM[:, :, None] + 1e-12).sum(2)
    equal_BM = (np.abs(mean_BM[:, None, :] - mean_BM[:, :, None]) <= 1e-12).sum(2)
    places = np.arange(mean_BM.shape[1])
    held_BMK = (above_BM[:, :, None] <= places) & (places < (above_BM + equal_BM)[:, :, None])
    return (held_BMK / equal_BM[:, :, None]).mean(0)


def _why(draws: Draws, plan: Plan, inference: Inference) -> Why:
    if np.isnan(draws.mean_BM).any():
        return Why.UNSTABLE if draws.raters else Why.NO_RATINGS
    if draws.raters < 2:
        return Why.ONE_RATER
    if inference == "prompts like these" and draws.prompts < plan.least_prompts:
        return Why.FEW_PROMPTS
    return Why.FEW_RATERS if inference == "prompts like these" and draws.raters < plan.least_raters else Why.GIVEN
