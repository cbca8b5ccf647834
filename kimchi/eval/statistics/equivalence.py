"""Is a model as good as a photograph? Two one-sided tests of a difference smaller than the margin."""

from dataclasses import dataclass, replace

from scipy.stats import t as t_distribution

from .cluster import contrast
from .estimates import INFERENCES, Estimate, Inference, Why
from .plan import Plan
from .ratings import Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """One model against the photograph on one criterion."""

    model: str
    criterion: str
    inference: Inference
    margin: float
    """In points."""
    difference: Estimate
    """Model less photograph; this interval holds 1 - 2 alpha, so that lying within the margin is the test. Its p is left out."""
    p: float | None
    """The larger of the two one-sided tests': small means closer than the margin. Not shown to differ is not this."""
    p_not_worse: float | None
    """Of the lower one alone: small means worse by less than the margin."""
    equivalent: bool | None


def equivalences(ratings: Ratings, criterion: str, plan: Plan) -> tuple[Equivalence, ...]:
    """Every model but the photograph itself; empty without one. Schuirmann 1987 (J. Pharmacokinetics and Biopharmaceutics 15, 657-680)."""
    others = [model for model in ratings.models if model != plan.photograph]
    return tuple(_one(ratings, criterion, plan, model, inference) for inference in INFERENCES for model in others if plan.photograph is not None)


def tost(value: float, se: float, df: float, margin: float) -> tuple[float, float]:
    """p of "not worse by the margin" and of "not better by it": each half of the test."""
    return float(t_distribution.sf((value + margin) / se, df)), float(t_distribution.cdf((value - margin) / se, df))


def _one(ratings: Ratings, criterion: str, plan: Plan, model: str, inference: Inference) -> Equivalence:
    assert plan.photograph is not None
    # Two one-sided tests at alpha are one interval of 1 - 2 alpha.
    found = contrast(ratings, criterion, (model, plan.photograph), inference, replace(plan, alpha=2 * plan.alpha)).estimate
    halves = None if found.se is None or found.df is None or found.value is None else tost(found.value, found.se, found.df, plan.margin)
    p = None if halves is None else max(halves)
    return Equivalence(
        model=model,
        criterion=criterion,
        inference=inference,
        margin=plan.margin,
        difference=replace(found, p=None),
        p=p,
        p_not_worse=None if halves is None else halves[0],
        equivalent=None if p is None or found.why != Why.GIVEN else p < plan.alpha,
    )
