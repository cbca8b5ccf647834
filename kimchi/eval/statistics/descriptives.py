"""Scores as the source study reports them, and the counts behind them.

Shapes: M models, C criteria, V values 0 (missing) and 1 to 5, S positions.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ratings import MISSING, POINTS, Ints, Ratings, sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One model on one criterion."""

    model: str
    criterion: str
    mean: float | None
    """1 to 5; None when nobody judged it."""
    sd: float | None
    """Of the ratings, with n - 1; None below two."""
    top_two: float | None
    """The share of 4 and 5 among those who judged."""
    n: int
    """Ratings that judged."""
    missing: float | None
    """The share of "판단 불가" among all answers; None when nobody was asked."""
    histogram: tuple[int, ...]
    """How many gave 1, 2, 3, 4, 5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One picture on one criterion: the heat map's square."""

    prompt: str
    model: str
    criterion: str
    mean: float | None
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionScore:
    """All ratings of pictures shown as the first, second, ... of their prompt."""

    position: int
    criterion: str
    mean: float
    n: int


def scores(ratings: Ratings) -> tuple[Score, ...]:
    """Model by model within each criterion, in the table's order; those without ratings included."""
    m, c = len(ratings.models), len(ratings.criteria)
    counts_CMV = _counts((ratings.criterion * m + ratings.model) * (POINTS + 1) + ratings.value, (c, m, POINTS + 1))
    return tuple(_score(ratings.models[j], ratings.criteria[i], counts_CMV[i, j]) for i in range(c) for j in range(m))


def cells(ratings: Ratings) -> tuple[Cell, ...]:
    """Every picture on every criterion that was asked of it."""
    c, p, m = len(ratings.criteria), len(ratings.prompts), len(ratings.models)
    asked, known = ratings, ratings.known
    asked_CPM = _counts((asked.criterion * p + asked.prompt) * m + asked.model, (c, p, m))
    key = (known.criterion * p + known.prompt) * m + known.model
    n_CPM = _counts(key, (c, p, m))
    sum_CPM = sums(key, known.value, c * p * m).reshape(c, p, m)
    return tuple(
        Cell(
            prompt=ratings.prompts[j],
            model=ratings.models[k],
            criterion=ratings.criteria[i],
            mean=float(sum_CPM[i, j, k] / n_CPM[i, j, k]) if n_CPM[i, j, k] else None,
            n=int(n_CPM[i, j, k]),
        )
        for i, j, k in np.argwhere(asked_CPM > 0)
    )


def position_scores(ratings: Ratings) -> tuple[PositionScore, ...]:
    """Whether it matters when in a prompt a picture is shown; empty where the positions are unknown."""
    known = ratings.known.where((ratings.known.position > 0) & (ratings.known.position <= 1000))
    if not len(known):
        return ()
    c, s = len(ratings.criteria), int(known.position.max()) + 1
    key = known.criterion * s + known.position
    n_CS, sum_CS = _counts(key, (c, s)), sums(key, known.value, c * s).reshape(c, s)
    return tuple(
        PositionScore(position=int(j), criterion=ratings.criteria[i], mean=float(sum_CS[i, j] / n_CS[i, j]), n=int(n_CS[i, j]))
        for i, j in np.argwhere(n_CS > 0)
    )


def _counts(key_N: Ints, shape: tuple[int, ...]) -> Ints:
    return np.bincount(key_N, minlength=int(np.prod(shape))).reshape(shape)


def _score(model: str, criterion: str, counts_V: Ints) -> Score:
    asked, histogram = int(counts_V.sum()), counts_V[1:]
    n, points = int(histogram.sum()), np.arange(1, POINTS + 1)
    mean = float(histogram @ points) / n if n else None
    return Score(
        model=model,
        criterion=criterion,
        mean=mean,
        sd=_sd(histogram, points - mean) if mean is not None and n > 1 else None,
        top_two=float(histogram[-2:].sum()) / n if n else None,
        n=n,
        missing=int(counts_V[MISSING]) / asked if asked else None,
        histogram=tuple(int(count) for count in histogram),
    )


def _sd(histogram: Ints, off: NDArray[Any]) -> float:
    return sqrt(float(histogram @ off**2) / (int(histogram.sum()) - 1))
