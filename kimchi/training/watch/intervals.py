"""Means with 95 % intervals over pictures that come from several sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import atan, cos, inf, isfinite, nan, pi, sin, sqrt
from statistics import NormalDist, fmean, variance
from typing import Self

LEVEL = 0.95
_LARGE = 400
"""From so many degrees of freedom on, Student's t is the normal distribution to three digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean and its 95 % interval; nan where a value was no number."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float | None]:
        """Value, low, high; null for what is no number."""
        return [plain(self.value), plain(self.low), plain(self.high)]

    @classmethod
    def from_json(cls, numbers: Sequence[float | None]) -> Self:
        """What to_json gave."""
        value, low, high = (nan if n is None else float(n) for n in numbers)
        return cls(value=value, low=low, high=high)

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def plain(value: float) -> float | None:
    """A number as JSON holds it, to its last digit: the log must give back exactly what a decision was made from. Null for one that is none."""
    return value if isfinite(value) else None


def weighted_mean(values: Mapping[str, Sequence[float]], weights: Mapping[str, float]) -> Estimate:
    """The weighted mean of the sources' means, with the interval of a stratified sample.

    The variance is sum w_s^2 s_s^2 / n_s (Cochran 1977, equation 5.7 without the finite correction), the degrees of freedom are
    Satterthwaite's (1946, equation 17), rounded down: pictures are drawn within sources, and never decide how much a source counts.

    Args:
        values: source -> one value a picture, two at least.
        weights: source -> how much it counts; scaled to sum to 1 over the sources of `values`.
    """
    if not all(isfinite(v) for of in values.values() for v in of):
        return Estimate(value=nan, low=nan, high=nan)
    total = sum(weights[s] for s in values)
    share = {s: weights[s] / total for s in values}
    mean = sum(share[s] * fmean(of) for s, of in values.items())
    parts = {s: share[s] ** 2 * variance(of) / len(of) for s, of in values.items()}
    spread = sum(parts.values())
    if spread == 0:
        return Estimate(value=mean, low=mean, high=mean)
    freedom = spread**2 / sum(part**2 / (len(values[s]) - 1) for s, part in parts.items())
    half = student(int(freedom + 1e-9)) * sqrt(spread)
    return Estimate(value=mean, low=mean - half, high=mean + half)


def student(freedom: int, level: float = LEVEL) -> float:
    """How many standard errors the middle `level` of Student's t with `freedom` degrees reaches to either side, by bisection."""
    if freedom >= _LARGE:
        return NormalDist().inv_cdf((1 + level) / 2)
    low, high = 0.0, 1.0
    while _within(high, freedom) < level:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """P(|T| < t) of Student's t: Abramowitz & Stegun 1964, equations 26.7.3 (odd degrees) and 26.7.4 (even)."""
    if t == inf:
        return 1.0
    angle = atan(t / sqrt(freedom))
    odd = freedom % 2
    term = total = (cos(angle) if odd else 1.0) if freedom > 1 else 0.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= (k - 1) / k * cos(angle) ** 2
        total += term
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
