"""What a study can find: the smallest true difference that this one would have shown, and how often a planned one would show a given difference."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as t_distribution

from kimchi.errors import DataError
from kimchi.eval.intervals import Share, wilson

from .cluster import contrast
from .estimates import Estimate
from .plan import Plan
from .simulate import Design, logits_apart, simulate


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A design tried out on simulated studies, for two models and one criterion, for prompts like these."""

    raters: int
    prompts: int
    per_rater: int
    points: float
    """The true difference."""
    studies: int
    power: Share
    """Studies that found it, two-sided."""
    false_alarms: Share
    """Of as many studies without a difference."""
    half_width: float | None
    """Of the intervals, in points, on average."""
    detectable: float | None
    """In points, at the plan's power, by the formula of `detectable` from the average squared standard error."""
    withheld: int
    """Studies in which the test could not be made, or was withheld for want of prompts or raters; they found nothing."""


def detectable(se: float, df: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that a t test with this standard error finds with this chance.

    Bloom 1995 (Evaluation Review 19, 547-556): the multiple of the standard error is t(1 - alpha / 2) + t(power), both with df degrees of freedom.
    """
    return float((t_distribution.ppf(1 - alpha / 2, df) + t_distribution.ppf(power, df)) * se)


def detected(estimate: Estimate, plan: Plan) -> float | None:
    """The same of an estimate, where it has a standard error."""
    return None if estimate.se is None or estimate.df is None else detectable(estimate.se, estimate.df, plan.alpha, plan.power)


def power(design: Design, points: float, *, studies: int = 500, seed: int = 0, plan: Plan | None = None) -> Power:
    """Simulate studies with a true difference of so many points between the first model of the design and the second, and as many without.

    Raises:
        DataError: a design without two models, fewer than ten studies, or a difference that the scale does not reach.
    """
    if len(design.models) < 2 or studies < 10:
        raise DataError(f"{len(design.models)} models, {studies} studies: power is that of a contrast of two models, over 10 studies or more. Change one.")
    plan, pair = plan or Plan(focus=design.models[0]), (design.models[0], design.models[1])
    two = replace(design, models=pair, criteria=design.criteria[:1], effects={})
    effect = logits_apart(two, points)
    null, real = (
        [contrast(simulate(one, seed + k), two.criteria[0], pair, "prompts like these", plan).estimate for k in range(studies)]
        for one in (two, replace(two, effects={pair[0]: effect}))
    )
    good = [one for one in real if one.se is not None and one.low is not None and one.high is not None]
    return Power(
        raters=two.raters,
        prompts=two.prompts,
        per_rater=two.per_rater,
        points=points,
        studies=studies,
        power=_found(real, plan.alpha),
        false_alarms=_found(null, plan.alpha),
        half_width=float(np.mean([(one.high or 0) - (one.low or 0) for one in good])) / 2 if good else None,
        detectable=_average(good, plan),
        withheld=studies - len(good),
    )


def _found(estimates: list[Estimate], alpha: float) -> Share:
    return wilson(sum(one.p is not None and one.p < alpha for one in estimates), len(estimates))


def _average(good: list[Estimate], plan: Plan) -> float | None:
    if not good:
        return None
    se = float(np.sqrt(np.mean([(one.se or 0.0) ** 2 for one in good])))
    return detectable(se, float(np.mean([one.df or 1.0 for one in good])), plan.alpha, plan.power)
