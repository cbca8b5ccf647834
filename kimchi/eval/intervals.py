"""Intervals for shares and for differences of paired shares. Shares are 0 to 1; every interval here is one of 95 %."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of how many, with its interval."""

    count: int
    n: int
    share: float
    """count / n; 0 when n is 0."""
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A share less another over the same items, with its interval."""

    n: int
    difference: float
    """-1 to 1."""
    low: float
    high: float


def wilson(count: int, n: int) -> Share:
    """The score interval of Wilson 1927, as method 3 of Newcombe 1998 (Statistics in Medicine 17, 857-872).

    Of nothing (n = 0) nothing is known: 0 to 1.

    Raises:
        ValueError: count is not 0 to n.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n}: the count must be 0 to n")
    if n == 0:
        return Share(count=0, n=0, share=0.0, low=0.0, high=1.0)
    share = count / n
    centre = (count + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * sqrt(n * share * (1 - share) + _Z**2 / 4)
    # Rounding must not push the limit past the share itself at 0 and n.
    return Share(count=count, n=n, share=share, low=min(max(0.0, centre - half), share), high=max(min(1.0, centre + half), share))


def paired_difference(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """The share of `first` less that of `second`, both over the same items in the same order.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17, 2635-2650): the Wilson limits of both shares, squared and added, less
    what the pairing takes away through the continuity-corrected phi. Of nothing nothing is known: -1 to 1.

    Raises:
        ValueError: the two differ in length.
    """
    pairs = list(zip(first, second, strict=True))
    n = len(pairs)
    if n == 0:
        return Difference(n=0, difference=0.0, low=-1.0, high=1.0)
    both, only_first, only_second = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True)))
    one, two = wilson(both + only_first, n), wilson(both + only_second, n)
    difference, phi = one.share - two.share, _phi(both, only_first, only_second, n - both - only_first - only_second)
    below = _joined(one.share - one.low, two.high - two.share, phi)
    above = _joined(one.high - one.share, two.share - two.low, phi)
    return Difference(n=n, difference=difference, low=max(-1.0, difference - below), high=min(1.0, difference + above))


def _joined(a: float, b: float, phi: float) -> float:
    return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _phi(a: int, b: int, c: int, d: int) -> float:
    """Newcombe's corrected correlation of the 2 x 2 table a b / c d; 0 where a margin is empty."""
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    if margins == 0:
        return 0.0
    excess = a * d - b * c
    # The correction only ever weakens a positive correlation: else the interval would come out too short.
    return (max(excess - (a + b + c + d) / 2, 0.0) if excess > 0 else excess) / sqrt(margins)
