"""Studies that never took place: to check the statistics, to plan a study, and to show one in the quickstart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from kimchi.errors import DataError

from .ratings import MISSING, POINTS, Floats, Ints, Ratings

Spread = Literal["rater", "prompt", "prompt x model", "rater x model"]
SPREADS: Mapping[Spread, float] = {"rater": 0.8, "prompt": 0.5, "prompt x model": 0.7, "rater x model": 0.4}
"""Standard deviations on the logit scale that the planning figures assume. Replace them by a pilot's."""
THRESHOLDS = (-2.2, -0.9, 0.4, 1.9)
"""Where on the logit scale one value gives way to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A study: how many of what, and what is true."""

    raters: int = 53
    prompts: int = 60
    per_rater: int = 20
    """Prompts that each rater sees, all models of each; at most `prompts`."""
    models: tuple[str, ...] = ("kimchi", "sd21")
    criteria: tuple[str, ...] = ("alignment",)
    effects: Mapping[str, float] = field(default_factory=dict[str, float])
    """Model -> its advantage in logits; a model that is not named has 0."""
    spreads: Mapping[Spread, float] = field(default_factory=lambda: dict(SPREADS))
    missing: float = 0.0
    """The share of "판단 불가"."""
    thresholds: tuple[float, ...] = THRESHOLDS

    def __post_init__(self) -> None:
        if not 1 <= self.per_rater <= self.prompts or self.raters < 1:
            raise DataError(
                f"{self.raters} raters, {self.prompts} prompts, {self.per_rater} per rater: a study has a rater, and a rater sees 1 to all prompts. Change one."
            )
        if not 0 <= self.missing <= 1:
            raise DataError(f"missing = {self.missing}: a share lies between 0 and 1. Change it.")


def simulate(design: Design, seed: int) -> Ratings:
    """One study, the same for the same design and seed."""
    rng, m, c = np.random.default_rng(seed), len(design.models), len(design.criteria)
    # Who sees what
    rater_T, prompt_T = assignment(design, rng)
    t = rater_T.size
    place_TM = np.argsort(rng.random((t, m)), axis=1)
    # What each sees in it
    eta_CTM = np.stack([_eta(design, rater_T, prompt_T, rng) for _ in range(c)])
    latent = eta_CTM + rng.logistic(size=(c, t, m))
    value = 1 + np.searchsorted(np.asarray(design.thresholds), latent.ravel())
    value[rng.random(value.size) < design.missing] = MISSING
    seconds: Floats = np.exp(rng.normal(2.2, 0.5, value.size)).round(1)
    # As a table
    grid = np.indices((c, t, m)).reshape(3, -1)
    return Ratings(
        raters=_names("r", design.raters),
        prompts=_names("p", design.prompts),
        models=design.models,
        criteria=design.criteria,
        rater=rater_T[grid[1]],
        prompt=prompt_T[grid[1]],
        model=grid[2],
        criterion=grid[0],
        value=value,
        position=1 + place_TM[grid[1], grid[2]],
        seconds=seconds,
    )


def assignment(design: Design, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Trials as (rater, prompt): every rater sees `per_rater` prompts, every prompt is seen equally often, to one."""
    used, prompt_T = np.zeros(design.prompts), np.empty((design.raters, design.per_rater), dtype=np.int64)
    for row in prompt_T:
        row[:] = np.lexsort((rng.random(design.prompts), used))[: design.per_rater]
        used[row] += 1
    return np.repeat(np.arange(design.raters), design.per_rater), prompt_T.ravel()


def points_apart(design: Design, effect: float) -> float:
    """The difference in mean points that an advantage of `effect` logits makes, averaged over raters, prompts and their whims."""
    return _mean_points(design, effect) - _mean_points(design, 0.0)


def logits_apart(design: Design, points: float) -> float:
    """The advantage in logits that makes a difference of so many points.

    Raises:
        DataError: no advantage makes that much.
    """
    if not points_apart(design, -30) < points < points_apart(design, 30):
        raise DataError(f"A difference of {points} points: from where the thresholds stand the scale does not reach so far. Ask for less.")

    def over(effect: float) -> float:
        return points_apart(design, effect) - points

    return float(brentq(over, -30, 30))  # pyright: ignore[reportArgumentType]  (its stub also tells of the other outcome, asked for by full_output)


def _names(prefix: str, n: int) -> tuple[str, ...]:
    width = len(str(n))
    return tuple(f"{prefix}{k + 1:0{width}d}" for k in range(n))


def _eta(design: Design, rater_T: Ints, prompt_T: Ints, rng: np.random.Generator) -> Floats:
    m, sd = len(design.models), {name: design.spreads.get(name, 0.0) for name in SPREADS}
    rater_R, prompt_P = sd["rater"] * rng.normal(size=design.raters), sd["prompt"] * rng.normal(size=design.prompts)
    prompt_PM = sd["prompt x model"] * rng.normal(size=(design.prompts, m))
    rater_RM = sd["rater x model"] * rng.normal(size=(design.raters, m))
    effect_M = np.array([design.effects.get(name, 0.0) for name in design.models])
    return effect_M + (rater_R[rater_T] + prompt_P[prompt_T])[:, None] + prompt_PM[prompt_T] + rater_RM[rater_T]


def _mean_points(design: Design, effect: float) -> float:
    """Expected value: 1 and the chances of passing each threshold, over the normal sum of all spreads (Gauss and Hermite, 60 nodes)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    sd = np.sqrt(sum(value**2 for value in design.spreads.values()))
    passed = expit(effect + sd * nodes[:, None] - np.asarray(design.thresholds))
    return float(1 + (weights / weights.sum()) @ passed.sum(1))


assert len(THRESHOLDS) == POINTS - 1
