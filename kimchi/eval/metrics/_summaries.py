"""Values of pictures => what is said of a condition: means with intervals that hold for prompts like these.

Shapes: G groups of prompts, B draws.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from kimchi.eval.intervals import wilson
from kimchi.eval.statistics.estimates import Estimate, Why, nothing

from . import Scene, Summary, Value


def means(scene: Scene, values: Sequence[Value], *, higher_is_better: bool = True) -> tuple[Summary, ...]:
    """The mean of each metric in each condition; its interval by drawing groups of prompts with replacement."""
    return tuple(_summary(scene, part, share=False, higher_is_better=higher_is_better) for part in _parts(scene, values))


def shares(scene: Scene, values: Sequence[Value], *, higher_is_better: bool = True) -> tuple[Summary, ...]:
    """Likewise, of values that are 0 or 1: Wilson's interval where each prompt is a group of its own."""
    return tuple(_summary(scene, part, share=True, higher_is_better=higher_is_better) for part in _parts(scene, values))


def _parts(scene: Scene, values: Sequence[Value]) -> Iterable[list[Value]]:
    for metric in dict.fromkeys(value.metric for value in values):
        for condition in scene.conditions:
            if part := [value for value in values if (value.metric, value.condition) == (metric, condition)]:
                yield part


def _summary(scene: Scene, part: list[Value], *, share: bool, higher_is_better: bool) -> Summary:
    group_of = {prompt.id: prompt.group or f"\0{prompt.id}" for prompt in scene.prompts}
    known = [(group_of[value.prompt], value.value) for value in part if value.value is not None]
    return Summary(
        metric=part[0].metric,
        condition=part[0].condition,
        n=len(known),
        estimate=_estimate(scene, [group for group, _ in known], [number for _, number in known], share),
        higher_is_better=higher_is_better,
        unclear=len(part) - len(known),
    )


def _estimate(scene: Scene, groups: list[str], numbers: list[float], share: bool) -> Estimate:
    if not numbers:
        return nothing(Why.NO_RATINGS)
    mean, kinds = float(np.mean(numbers)), len(set(groups))
    if kinds < scene.least_prompts:
        return nothing(Why.FEW_PROMPTS, mean)
    if share and kinds == len(numbers):
        found = wilson(round(sum(numbers)), len(numbers))
        return Estimate(value=mean, low=found.low, high=found.high)
    if np.ptp(numbers) == 0:
        return nothing(Why.NO_VARIATION, mean)
    low, high = bootstrap(groups, numbers, scene.draws, scene.seed)
    return Estimate(value=mean, low=low, high=high)


def bootstrap(groups: Sequence[str], numbers: Sequence[float], draws: int, seed: int) -> tuple[float, float]:
    """The percentile interval, 95 %, of a mean; whole groups are drawn with replacement (Efron and Tibshirani 1993, section 13.3).

    Two wordings of one thing are not two things: drawn apart, the interval would come out too short.
    """
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    sum_G, n_G = np.bincount(place, np.asarray(numbers, dtype=float)), np.bincount(place)
    times_BG = np.random.default_rng([seed, 5]).multinomial(sum_G.size, np.full(sum_G.size, 1 / sum_G.size), draws)
    low, high = np.quantile((times_BG @ sum_G) / (times_BG @ n_G), [0.025, 0.975])
    return float(low), float(high)
