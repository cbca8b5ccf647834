"""Is the data what the study meant to collect? Counts, holes, the balance of positions, and the chain that shows any change."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .answers import KINDS, Answers, first_of_each

LEAST_BALANCE = 0.05
"""Positions that differ by more than this share of their mean are pointed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What the hash chain says."""

    links: int
    erased: int
    head: str
    """Of the last answer, comment or event; noted elsewhere, it proves later that nothing was cut off."""
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How often each model stood at each position, over all raters' pictures."""

    models: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row a model, a column a position from 1."""
    worst: float | None
    """The largest distance of a count from its position's mean, as a share of that mean; None without pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How many raters saw a picture, over all pictures."""

    pictures: int
    unseen: int
    least: int
    median: float
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything about the data that has nothing to do with who is better."""

    places: Mapping[str, int]
    """State => places for raters: free, claimed, done, expired, withdrawn."""
    raters: int
    """Who gave an answer."""
    complete: int
    """Who gave all of theirs."""
    asked: int
    """Answers that claimed places were to give, practice left out."""
    given: int
    """Of these."""
    answered: int
    """Those of the main trials, which are analysed."""
    unable: int
    """Of them 판단 불가."""
    doubled: int
    """Of them of a picture that the rater had rated before: left out."""
    by_kind: Mapping[str, int]
    """Answers in main, gold, repeat and trap trials."""
    balance: Balance
    coverage: Coverage
    median_s: float | None
    """Seconds from a picture to its last answer; half of the pictures took less."""
    minutes: tuple[float, float, float] | None
    """A rater's time over all pictures, without breaks: lower quartile, median, upper quartile."""
    chain: Chain
    after_unblinding: int = 0
    """Answers that came after somebody had looked at which picture is whose."""


def audit(answers: Answers, places: Mapping[str, int], asked: Mapping[str, int], pictures: int, chain: Chain, after: int = 0) -> Audit:
    """Look at everything once.

    Args:
        places: state => how many.
        asked: rater => answers to give.
        pictures: how many the study has.
        chain: what it says.
        after: answers that came after the unblinding.
    """
    main = answers.of("main")
    given = np.bincount(answers.rater, minlength=len(answers.raters))
    return Audit(
        places=dict(places),
        raters=int(np.unique(answers.rater).size),
        complete=sum(int(given[k]) >= asked.get(name, 1) for k, name in enumerate(answers.raters)),
        asked=sum(asked.values()),
        given=len(answers),
        answered=len(main),
        unable=int((main.value == 0).sum()),
        doubled=int((~first_of_each(main)).sum()),
        by_kind={kind: int((answers.kind == k).sum()) for k, kind in enumerate(KINDS)},
        balance=balance(main),
        coverage=coverage(main, pictures),
        median_s=_median_s(answers),
        minutes=_minutes(answers),
        chain=chain,
        after_unblinding=after,
    )


def balance(main: Answers) -> Balance:
    """Positions by model, a picture of a rater counted once."""
    trials = main.where(np.isin(np.arange(len(main)), np.unique(main.trial, return_index=True)[1]) & (main.position > 0) & (main.position <= 100))
    m, last = len(main.models), int(trials.position.max(initial=0))
    counts_MS = np.bincount(trials.model * (last + 1) + trials.position, minlength=m * (last + 1)).reshape(m, last + 1)[:, 1:]
    shown_M = counts_MS.sum(1) > 0
    seen = counts_MS[shown_M].astype(float)
    worst = float((np.abs(seen - seen.mean(0)) / np.maximum(seen.mean(0), 1e-9)).max()) if seen.size else None
    return Balance(models=main.models, counts=tuple(tuple(map(int, row)) for row in counts_MS), worst=worst)


def coverage(main: Answers, pictures: int) -> Coverage:
    """Raters a picture."""
    picture_N = main.prompt * max(1, len(main.models)) + main.model
    seats = np.unique(np.stack([picture_N, main.rater]), axis=1)[0]
    n = np.unique(seats, return_counts=True)[1]
    unseen = max(0, pictures - n.size)
    every = np.concatenate([np.zeros(unseen, dtype=np.int64), n]) if pictures or n.size else np.zeros(1, dtype=np.int64)
    return Coverage(pictures=pictures, unseen=unseen, least=int(every.min()), median=float(np.median(every)), most=int(every.max()))


def _trial_seconds(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Of each trial its rater and the time to its last answer, in seconds, longer than ten minutes cut: that was a break."""
    known = answers.where(np.isfinite(answers.rt_ms))
    trials, place_N = np.unique(known.trial, return_inverse=True)
    longest = np.zeros(trials.size)
    np.maximum.at(longest, place_N, known.rt_ms / 1000)
    rater = np.zeros(trials.size, dtype=np.int64)
    rater[place_N] = known.rater
    return rater, np.minimum(longest, 600.0)


def _median_s(answers: Answers) -> float | None:
    seconds = _trial_seconds(answers)[1]
    return float(np.median(seconds)) if seconds.size else None


def _minutes(answers: Answers) -> tuple[float, float, float] | None:
    rater, seconds = _trial_seconds(answers)
    if not seconds.size:
        return None
    sums = np.bincount(rater, seconds) / 60
    low, middle, high = np.quantile(sums[sums > 0], [0.25, 0.5, 0.75]) if (sums > 0).any() else (0.0, 0.0, 0.0)
    return float(low), float(middle), float(high)
