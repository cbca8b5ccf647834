"""Means and differences in points, with intervals that know that a rater, and a prompt, comes back again and again.

A test that takes every rating as a fact of its own rejects a true null about half the time; one that knows only the raters does so in a
third of the studies. Two designs are served: prompts as a sample ("prompts like these"), clustered by rater and by prompt; and prompts as
fixed ("these prompts"), clustered by rater after each prompt's own mean is taken away.
"""

from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from scipy.stats import t as t_distribution

from .estimates import INFERENCES, Estimate, Inference, Why, nothing
from .plan import Plan
from .ratings import Floats, Ints, Ratings, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Values that belong to a rater and a prompt each; N long."""

    value: Floats
    rater: Ints
    prompt: Ints

    def without(self, prompt: int) -> "Sample":
        """Leaving one prompt out."""
        mask_N = self.prompt != prompt
        return Sample(value=self.value[mask_N], rater=self.rater[mask_N], prompt=self.prompt[mask_N])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A model's mean with its interval."""

    model: str
    criterion: str
    inference: Inference
    estimate: Estimate
    """In points, 1 to 5; p is not given, since no value is special."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One model less another, over the rater-prompt pairs that have both."""

    first: str
    second: str
    criterion: str
    inference: Inference
    paired: bool
    """False where no rater saw both for a prompt: then it is a difference of two means over all of their ratings."""
    n: int
    """Pairs, or ratings of both where unpaired."""
    estimate: Estimate
    """In points, -4 to 4."""
    p_holm: float | None = None
    """p, corrected over the contrasts of this criterion and inference."""
    detectable: float | None = None
    """The true difference, in points, that this study would have found with the plan's power. See power.py."""


def means(ratings: Ratings, criterion: str, plan: Plan) -> tuple[Mean, ...]:
    """Every model's mean, for both inferences."""
    known = ratings.of(criterion).known
    made: list[Mean] = []
    for k, model in enumerate(ratings.models):
        rows = known.where(known.model == k)
        sample = Sample(value=rows.value.astype(float), rater=rows.rater, prompt=rows.prompt)
        for inference in INFERENCES:
            found = withheld(clustered(sample, inference, plan.alpha), sample, inference, plan)
            estimate = Estimate(value=found.value, low=found.low, high=found.high, se=found.se, df=found.df, why=found.why)
            made.append(Mean(model=model, criterion=criterion, inference=inference, estimate=estimate))
    return tuple(made)


def contrasts(ratings: Ratings, criterion: str, plan: Plan) -> tuple[Contrast, ...]:
    """The plan's contrasts, for both inferences, Holm's correction within each."""
    made: list[Contrast] = []
    for inference in INFERENCES:
        found = [contrast(ratings, criterion, pair, inference, plan) for pair in plan.pairs(ratings)]
        corrected = holm([one.estimate.p for one in found])
        made += [replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)]
    return tuple(made)


def contrast(ratings: Ratings, criterion: str, pair: tuple[str, str], inference: Inference, plan: Plan) -> Contrast:
    """One difference, uncorrected."""
    sample, paired = differences(ratings, criterion, pair)
    found = clustered(sample, inference, plan.alpha) if paired else _unpaired(ratings, criterion, pair, inference, plan.alpha)
    clusters = sample if paired else _both(ratings, criterion, pair)
    estimate = withheld(found, clusters, inference, plan)
    n = clusters.value.size
    return Contrast(first=pair[0], second=pair[1], criterion=criterion, inference=inference, paired=paired, n=n, estimate=estimate)


def differences(ratings: Ratings, criterion: str, pair: tuple[str, str]) -> tuple[Sample, bool]:
    """First less second wherever one rater judged both for one prompt; and whether there is any such pair."""
    known = ratings.of(criterion).known
    first, second = (known.where(known.model == place(name, known.models, "model")) for name in pair)
    prompts = len(known.prompts)
    _, i, j = np.intersect1d(first.rater * prompts + first.prompt, second.rater * prompts + second.prompt, assume_unique=True, return_indices=True)
    return Sample(value=(first.value[i] - second.value[j]).astype(float), rater=first.rater[i], prompt=first.prompt[i]), i.size > 0


def clustered(sample: Sample, inference: Inference, alpha: float) -> Estimate:
    """The mean of a sample with its standard error, t interval and test of zero."""
    n, why = sample.value.size, _undefined(sample, inference)
    if why:
        return nothing(why, float(sample.value.mean()) if n else None)
    mean = float(sample.value.mean())
    se, df = _two_way(sample, (sample.value - mean) / n) if inference == "prompts like these" else _one_way(sample)
    return t_interval(mean, se, df, alpha)


def t_interval(value: float, se: float, df: float, alpha: float) -> Estimate:
    """Value, interval and test from a standard error; without them where it is zero."""
    if se <= 1e-12:
        return nothing(Why.NO_VARIATION, value)
    half = float(t_distribution.ppf(1 - alpha / 2, df)) * se
    return Estimate(value=value, low=value - half, high=value + half, se=se, df=df, p=float(2 * t_distribution.sf(abs(value) / se, df)))


def holm(p: list[float | None]) -> list[float | None]:
    """Holm 1979 (Scandinavian Journal of Statistics 6, 65-70): the k-th smallest of m times m - k + 1, never falling. None stays None."""
    given, corrected, running = sorted((value, k) for k, value in enumerate(p) if value is not None), list(p), 0.0
    for rank, (value, k) in enumerate(given):
        running = max(running, min(1.0, value * (len(given) - rank)))
        corrected[k] = running
    return corrected


def withheld(found: Estimate, sample: Sample, inference: Inference, plan: Plan) -> Estimate:
    """Without its interval where a claim about prompts like these, or people like these, has too few to stand on."""
    if found.why or inference == "these prompts":
        return found
    if np.unique(sample.prompt).size < plan.least_prompts:
        return nothing(Why.FEW_PROMPTS, found.value)
    return nothing(Why.FEW_RATERS, found.value) if np.unique(sample.rater).size < plan.least_raters else found


def _undefined(sample: Sample, inference: Inference) -> Why | None:
    if not sample.value.size:
        return Why.NO_RATINGS
    if np.unique(sample.rater).size < 2:
        return Why.ONE_RATER
    prompts = np.unique(sample.prompt).size
    if inference == "prompts like these":
        return Why.ONE_PROMPT if prompts < 2 else None
    return Why.SEEN_ONCE if sample.value.size == prompts else None


def _two_way(sample: Sample, share_N: Floats) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of shares, clustered by rater and by prompt.

    Cameron, Gelbach and Miller 2011 (Journal of Business & Economic Statistics 29, 238-249), two-way case: by rater, plus by prompt, less
    by both, each times G / (G - 1). The sum can come out negative, or below a one-way one, by chance; then the larger of those stands in.
    df: the fewer of the two, less one.
    """
    raters, prompts = np.unique(sample.rater, return_inverse=True)[1], np.unique(sample.prompt, return_inverse=True)[1]
    both = raters * (int(prompts.max()) + 1) + prompts
    by_rater, by_prompt, by_both = (_spread(share_N, groups) for groups in (raters, prompts, np.unique(both, return_inverse=True)[1]))
    variance = max(by_rater + by_prompt - by_both, by_rater, by_prompt)
    return sqrt(variance), float(min(raters.max(), prompts.max()))


def _one_way(sample: Sample) -> tuple[float, float]:
    """The same with prompts fixed: clustered by rater around each prompt's own mean.

    The prompts' means are fitted, so the sum of squares is scaled by n / (n - prompts): for a complete table that is G / (G - 1).
    """
    raters, prompts = np.unique(sample.rater, return_inverse=True)[1], np.unique(sample.prompt, return_inverse=True)[1]
    n, per_prompt = sample.value.size, np.bincount(prompts)
    rest_N = sample.value - (np.bincount(prompts, sample.value) / per_prompt)[prompts]
    squares = float((np.bincount(raters, rest_N / n) ** 2).sum())
    return sqrt(squares * n / (n - per_prompt.size)), float(raters.max())


def _spread(share_N: Floats, group_N: Ints) -> float:
    sums = np.bincount(group_N, share_N)
    return float(sums @ sums) * sums.size / max(sums.size - 1, 1)


def _both(ratings: Ratings, criterion: str, pair: tuple[str, str]) -> Sample:
    known = ratings.of(criterion).known
    rows = known.where(np.isin(known.model, [place(name, known.models, "model") for name in pair]))
    return Sample(value=rows.value.astype(float), rater=rows.rater, prompt=rows.prompt)


def _unpaired(ratings: Ratings, criterion: str, pair: tuple[str, str], inference: Inference, alpha: float) -> Estimate:
    """A difference of two means: each rating's share of it is its distance from its own model's mean."""
    known = ratings.of(criterion).known
    arms = [known.where(known.model == place(name, known.models, "model")) for name in pair]
    if not all(map(len, arms)):
        return nothing(Why.NO_RATINGS)
    value = float(arms[0].value.mean() - arms[1].value.mean())
    if inference == "these prompts":
        # With fixed prompts a difference across different prompts is one of prompts, not of models.
        return nothing(Why.NO_PAIRS, value)
    share = np.concatenate([sign * (arm.value - arm.value.mean()) / len(arm) for sign, arm in zip((1, -1), arms, strict=True)])
    sample = Sample(value=share, rater=np.concatenate([arm.rater for arm in arms]), prompt=np.concatenate([arm.prompt for arm in arms]))
    why = _undefined(sample, inference)
    return nothing(why, value) if why else t_interval(value, *_two_way(sample, share), alpha)
