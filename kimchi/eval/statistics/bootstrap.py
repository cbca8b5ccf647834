"""The crossed bootstrap: raters and prompts are both drawn anew, and a rating counts as often as both of its two were drawn.

Owen 2007 (Annals of Applied Statistics 1, 386-411), the pigeonhole bootstrap. It is a little cautious: the noise of single ratings enters
up to three times. Everything that it yields is a function of weighted histograms, so one set of draws serves them all.

Shapes: B draws, R raters, P prompts, M models, V values 1 to 5, K pairs of models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from .estimates import Estimate, Inference, Why, nothing
from .ratings import POINTS, Floats, Ints, Ratings

_CHUNK = 250
"""Draws at once: keeps the largest array of a 60-prompt study below 10 MB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Of one criterion under one inference; draw 0 is the study itself, every rating once."""

    histogram_BMV: Floats
    """Weighted counts of each value."""
    pairs: tuple[tuple[int, int], ...]
    """(i, j), i < j: places of models."""
    duel_BK3: Floats
    """Of each pair, weighted counts of rater-prompt pairs in which i had more, the same, less than j."""
    prompts: int
    raters: int

    @property
    def mean_BM(self) -> Floats:
        """NaN where a draw has no rating of a model."""
        with np.errstate(invalid="ignore"):
            return self.histogram_BMV @ np.arange(1.0, POINTS + 1) / self.histogram_BMV.sum(2)


def draw(ratings: Ratings, criterion: str, inference: Inference, draws: int, seed: int) -> Draws:
    """Draw raters with replacement, and for "prompts like these" prompts too."""
    known = ratings.of(criterion).known
    m, rng = len(ratings.models), np.random.default_rng([seed, 2, ratings.criteria.index(criterion)])
    rater_N, prompt_N = (np.unique(codes, return_inverse=True)[1] for codes in (known.rater, known.prompt))
    raters, prompts = (int(codes.max(initial=-1)) + 1 for codes in (rater_N, prompt_N))
    pairs = tuple(combinations(range(m), 2))
    blocks = (
        _counts(rater_N, prompt_N, known.model * POINTS + known.value - 1, (raters, prompts, m * POINTS)),
        _counts(*_duels(rater_N, prompt_N, known, pairs), (raters, prompts, max(1, 3 * len(pairs)))),
    )
    parts = [[_weighted(block, rater_CR, prompt_CP) for block in blocks] for rater_CR, prompt_CP in _multiplicities(raters, prompts, draws, inference, rng)]
    histogram, duel = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    duel_BK3 = duel[:, : 3 * len(pairs)].reshape(len(duel), len(pairs), 3)
    return Draws(histogram_BMV=histogram.reshape(-1, m, POINTS), pairs=pairs, duel_BK3=duel_BK3, prompts=prompts, raters=raters)


def interval(drawn_B: Floats, draws: Draws, inference: Inference, alpha: float, least: tuple[int, int]) -> Estimate:
    """The percentile interval; the value is that of the study. Withheld below `least` = (prompts, raters) for prompts like these."""
    value = float(drawn_B[0])
    if np.isnan(value):
        return nothing(Why.NO_RATINGS)
    why = _too_few(draws, inference, least)
    good_B = drawn_B[1:][np.isfinite(drawn_B[1:])]
    if why or good_B.size < 0.95 * (drawn_B.size - 1):
        return nothing(why or Why.UNSTABLE, value)
    if np.ptp(good_B) < 1e-12:
        return nothing(Why.NO_VARIATION, value)
    low, high = np.quantile(good_B, [alpha / 2, 1 - alpha / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def _too_few(draws: Draws, inference: Inference, least: tuple[int, int]) -> Why | None:
    if draws.raters < 2:
        return Why.ONE_RATER
    if inference == "these prompts":
        return None
    if draws.prompts < least[0]:
        return Why.FEW_PROMPTS
    return Why.FEW_RATERS if draws.raters < least[1] else None


def _multiplicities(raters: int, prompts: int, draws: int, inference: Inference, rng: np.random.Generator) -> Iterator[tuple[Floats, Floats]]:
    """How often each rater and each prompt is drawn, chunk by chunk, the study itself first."""
    yield np.ones((1, raters)), np.ones((1, prompts))
    if not raters or not prompts:
        return
    for start in range(0, draws, _CHUNK):
        size = min(_CHUNK, draws - start)
        yield _redrawn(raters, size, rng), _redrawn(prompts, size, rng) if inference == "prompts like these" else np.ones((size, prompts))


def _redrawn(n: int, size: int, rng: np.random.Generator) -> Floats:
    return rng.multinomial(n, np.full(n, 1 / n), size).astype(float)


def _counts(rater_N: Ints, prompt_N: Ints, kind_N: Ints, sizes: tuple[int, int, int]) -> tuple[csr_array, int]:
    """Raters by (prompt, kind), sparse: a rater sees few of the prompts, and gives each picture one value of five."""
    shape = (sizes[0], sizes[1] * sizes[2])
    return csr_array((np.ones(rater_N.size), (rater_N, prompt_N * sizes[2] + kind_N)), shape=shape), sizes[2]


def _weighted(block: tuple[csr_array, int], rater_CR: Floats, prompt_CP: Floats) -> Floats:
    counts, kinds = block
    if not rater_CR.shape[1]:
        return np.zeros((len(rater_CR), kinds))
    by_prompt = np.asarray(counts.T @ rater_CR.T).reshape(prompt_CP.shape[1], kinds, len(rater_CR))
    return np.einsum("pkc,cp->ck", by_prompt, prompt_CP)


def _duels(rater_N: Ints, prompt_N: Ints, known: Ratings, pairs: tuple[tuple[int, int], ...]) -> tuple[Ints, Ints, Ints]:
    """Who won where one rater judged both for one prompt: raters, prompts, and 3 x pair + (0 more, 1 the same, 2 less)."""
    seat_N = rater_N * (int(prompt_N.max(initial=0)) + 1) + prompt_N
    none = np.zeros(0, dtype=np.int64)
    found: list[tuple[Ints, Ints, Ints]] = [(none, none, none)]
    rows_M = [np.flatnonzero(known.model == k) for k in range(len(known.models))]
    for k, (i, j) in enumerate(pairs):
        _, a, b = np.intersect1d(seat_N[rows_M[i]], seat_N[rows_M[j]], assume_unique=True, return_indices=True)
        first, second = rows_M[i][a], rows_M[j][b]
        found.append((rater_N[first], prompt_N[first], 3 * k + 1 - np.sign(known.value[first] - known.value[second])))
    raters, prompts, kinds = (np.concatenate(column) for column in zip(*found, strict=True))
    return raters, prompts, kinds
