"""The primary model of a study: a cumulative logit with crossed random effects of rater, prompt, prompt x model and rater x model.

Its contrasts hold for prompts like these, since prompts are a sample in it; below the plan's least numbers they are withheld.
"""

from dataclasses import dataclass, replace
from math import exp

import numpy as np

from .cluster import Sample, holm, t_interval, withheld
from .estimates import Estimate, Why, nothing
from .fit import RUNAWAY_SD, Fit, fit_cumulative
from .plan import Plan
from .ratings import Floats, Ints, Ratings

MOST_EFFECTS = 3000
"""Random effects in all: their curvature is a square of numbers, 72 MB at this size, factored some hundred times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One random term."""

    term: str
    """rater, prompt, prompt x model or rater x model."""
    levels: int
    sd: float | None
    """In logits; None where the study cannot tell it, as with one prompt, or where it runs off to infinity."""
    boundary: bool
    """The best fit is exactly 0: the study shows no such spread, which is not proof that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedContrast:
    """One model less another in logits: an odds ratio's logarithm, for the same rater and prompt."""

    first: str
    second: str
    estimate: Estimate
    odds_ratio: float | None
    """Of a value above any given one, first against second."""
    p_holm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedModel:
    """The fit of one criterion."""

    criterion: str
    n: int
    """Ratings that it is fitted to."""
    values: tuple[int, ...]
    """Those that occur, 1 to 5: an empty one has no threshold."""
    thresholds: tuple[float, ...]
    """In logits, between the values that occur, for the first model fitted."""
    spreads: tuple[Spread, ...]
    contrasts: tuple[MixedContrast, ...]
    log_likelihood: float | None
    left_out: tuple[str, ...]
    """Models whose values all lie at one end: their advantage is infinite, and they are not fitted."""
    why: Why = Why.GIVEN


def mixed_model(ratings: Ratings, criterion: str, plan: Plan) -> MixedModel:
    """Fit one criterion. Wald intervals of t with min(raters, prompts) - 1 degrees of freedom, as the means have, since the normal's are short.

    Of what cannot be estimated it says why; it raises nothing for the sake of the data.
    """
    known = ratings.of(criterion).known
    kept, left_out = _without_extremes(known)
    models = np.unique(kept.model)
    values = np.unique(kept.value)
    spreads, levels_TN = _terms(kept)
    why = _undefined(kept, models, values, levels_TN)
    fit = why or fit_cumulative(np.searchsorted(values, kept.value), (kept.model[:, None] == models[1:]).astype(float), levels_TN)
    made = MixedModel(
        criterion=criterion,
        n=len(kept),
        values=tuple(map(int, values)),
        thresholds=(),
        spreads=spreads,
        contrasts=(),
        log_likelihood=None,
        left_out=tuple(ratings.models[k] for k in left_out),
    )
    if isinstance(fit, Why):
        blank = tuple(replace(spread, sd=None) for spread in spreads)
        return replace(made, why=fit, spreads=blank, contrasts=tuple(_without(pair, fit) for pair in plan.pairs(ratings)))
    return _filled(made, fit, ratings, kept, plan, models, set(left_out))


def _filled(made: MixedModel, fit: Fit, ratings: Ratings, kept: Ratings, plan: Plan, models: Ints, left_out: set[int]) -> MixedModel:
    found = [_contrast(fit, ratings, kept, pair, plan, models, left_out) for pair in plan.pairs(ratings)]
    corrected = holm([one.estimate.p for one in found])
    sds = iter(zip(fit.sd, fit.boundary, strict=True))
    spreads = tuple(_with_sd(spread, *next(sds)) if spread.sd is not None else spread for spread in made.spreads)
    return replace(
        made,
        thresholds=tuple(map(float, fit.thresholds)),
        spreads=spreads,
        contrasts=tuple(replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)),
        log_likelihood=fit.log_likelihood,
        why=fit.why,
    )


def _with_sd(spread: Spread, sd: float, boundary: bool) -> Spread:
    return replace(spread, sd=float(sd) if sd < RUNAWAY_SD else None, boundary=boundary)


def _without_extremes(known: Ratings) -> tuple[Ratings, list[int]]:
    """A model with nothing but the highest values, or the lowest, while others differ, has no finite effect. Taken out one after another."""
    gone: list[int] = []
    while len(known) and np.ptp(known.value) > 0:
        models = np.unique(known.model)
        low, high = known.value.min(), known.value.max()
        ends = [int(k) for k in models if np.isin(known.value[known.model == k], low).all() or np.isin(known.value[known.model == k], high).all()]
        if not ends:
            break
        gone.append(ends[0])
        known = known.where(known.model != ends[0])
    return known, sorted(gone)


def _terms(known: Ratings) -> tuple[tuple[Spread, ...], Ints]:
    """The random terms with their numbers of levels, and the levels of those that this table can tell (their sd is 0.0 for now)."""
    m, rows = len(known.models), list[Ints]()
    spreads: list[Spread] = []
    for term, code_N, base_N in (
        ("rater", known.rater, known.rater),
        ("prompt", known.prompt, known.prompt),
        ("prompt x model", known.prompt * m + known.model, known.prompt),
        ("rater x model", known.rater * m + known.model, known.rater),
    ):
        levels, place_N = np.unique(code_N, return_inverse=True)
        base = np.unique(base_N).size
        # With one base level the term is the fixed effect over again; with one rating a level it is the noise; with one model, or one prompt a
        # rater, it is another term over again.
        told = base > 1 and levels.size < len(known) and not any(_same(place_N, row) for row in rows)
        rows += [place_N] if told else []
        spreads.append(Spread(term=term, levels=int(levels.size), sd=0.0 if told else None, boundary=False))
    return tuple(spreads), np.stack(rows) if rows else np.zeros((0, len(known)), dtype=np.int64)


def _same(one_N: Ints, other_N: Ints) -> bool:
    """Both divide the ratings in the same way."""
    size = int(one_N.max()) + 1
    return size == int(other_N.max()) + 1 == np.unique(one_N * size + other_N).size


def _undefined(kept: Ratings, models: Ints, values: Ints, levels_TN: Ints) -> Why | None:
    if not len(kept):
        return Why.NO_RATINGS
    if values.size < 2:
        return Why.NO_VARIATION
    if models.size < 2:
        return Why.ONE_MODEL
    return Why.TOO_LARGE if int((levels_TN.max(1, initial=-1) + 1).sum()) > MOST_EFFECTS else None


def _without(pair: tuple[str, str], why: Why) -> MixedContrast:
    return MixedContrast(first=pair[0], second=pair[1], estimate=nothing(why), odds_ratio=None)


def _contrast(fit: Fit, ratings: Ratings, kept: Ratings, pair: tuple[str, str], plan: Plan, models: Ints, left_out: set[int]) -> MixedContrast:
    places = [ratings.models.index(name) for name in pair]
    if left_out & set(places):
        return _without(pair, Why.SEPARATED)
    if not set(places) <= set(models.tolist()):
        return _without(pair, Why.NO_RATINGS)
    # The first model fitted has no coefficient: it is where the others are counted from.
    weights_X: Floats = (models[1:] == places[0]).astype(float) - (models[1:] == places[1])
    value, se = fit.difference(weights_X)
    df = min(np.unique(kept.rater).size, np.unique(kept.prompt).size) - 1
    found = nothing(fit.why, None if fit.why == Why.SEPARATED else value) if fit.why else _interval(value, se, df, plan, kept)
    ratio = None if found.value is None or abs(found.value) > 30 else exp(found.value)
    return MixedContrast(first=pair[0], second=pair[1], estimate=found, odds_ratio=ratio)


def _interval(value: float, se: float, df: int, plan: Plan, kept: Ratings) -> Estimate:
    if df < 1:
        return nothing(Why.ONE_RATER if np.unique(kept.rater).size < 2 else Why.ONE_PROMPT, value)
    sample = Sample(value=kept.value.astype(float), rater=kept.rater, prompt=kept.prompt)
    return withheld(t_interval(value, se, df, plan.alpha), sample, "prompts like these", plan)
