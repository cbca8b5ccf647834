"""Raters who are left out by rules that stood before anybody rated: each rule alone, and together."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .answers import Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the protocol registered; None turns a rule off."""

    gold_tolerance: int | None = 2
    """A picture under another prompt's text: agreeing with "it fits" by more than this value fails the trial."""
    gold_failures: int = 2
    """So many failed gold trials leave a rater out."""
    gold_criterion: str = ""
    """The criterion that a wrong text must lower; empty: any criterion that was asked in the trial."""
    trap_failures: int | None = 1
    """So many answers other than the instructed one leave a rater out."""
    repeat_distance: float | None = 1.5
    """A mean distance above this between the first and the second answer to the same picture leaves a rater out."""
    floor_ms: float | None = 1000.0
    """An answer quicker than this is too quick to have looked."""
    floor_share: float = 0.2
    """More of a rater's answers below the floor than this leave the rater out."""
    least_variance: float | None = 0.15
    """A variance of a rater's answers below this is a straight line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one rule did."""

    rule: str
    """gold, trap, repeat, speed or line."""
    checked: int
    """Raters of whom it could tell."""
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """What all rules did."""

    rules: Rules
    outcomes: tuple[Outcome, ...]
    excluded: tuple[str, ...]
    """Whom any rule leaves out."""
    repeat_pairs: int
    """Answers given twice."""
    repeat_same: float | None
    """The share of these that were the same both times."""
    repeat_near: float | None
    """The share that differed by at most one point."""


def exclude(answers: Answers, rules: Rules, reversed_criteria: tuple[str, ...] = ()) -> Exclusions:
    """Apply every rule to every rater; nothing is removed here."""
    distance, rater_K = repeats(answers)
    found = (
        _outcome("gold", answers, _gold(answers, rules, reversed_criteria)),
        _outcome("trap", answers, _trap(answers, rules)),
        _outcome("repeat", answers, _repeat(distance, rater_K, rules)),
        _outcome("speed", answers, _speed(answers, rules)),
        _outcome("line", answers, _line(answers, rules)),
    )
    failed = {name for one in found for name in one.failed}
    return Exclusions(
        rules=rules,
        outcomes=found,
        excluded=tuple(name for name in answers.raters if name in failed),
        repeat_pairs=distance.size,
        repeat_same=float((distance == 0).mean()) if distance.size else None,
        repeat_near=float((distance <= 1).mean()) if distance.size else None,
    )


def repeats(answers: Answers) -> tuple[np.ndarray, np.ndarray]:
    """The distance between both answers wherever a rater answered twice, and whose it is; 판단 불가 on either side says nothing."""
    again = answers.of("repeat")
    main = answers.of("main")
    c = max(1, len(answers.criteria))
    first, second = main.trial * c + main.criterion, again.repeat_of * c + again.criterion
    _, i, j = np.intersect1d(first, second, return_indices=True)
    both = (main.value[i] > 0) & (again.value[j] > 0)
    return np.abs(main.value[i] - again.value[j])[both], main.rater[i][both]


def _outcome(rule: str, answers: Answers, told: tuple[np.ndarray, np.ndarray] | None) -> Outcome:
    """`told`: raters of whom the rule can tell, and whether each fails."""
    checked, fails = told if told is not None else (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    return Outcome(rule=rule, checked=int(checked.size), failed=tuple(answers.raters[k] for k in checked[fails]))


def _each(rater_K: np.ndarray, of: Callable[[np.ndarray], bool]) -> tuple[np.ndarray, np.ndarray]:
    raters = np.unique(rater_K)
    return raters, np.array([of(rater_K == k) for k in raters], dtype=bool)


def _gold(answers: Answers, rules: Rules, reversed_criteria: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    if rules.gold_tolerance is None:
        return None
    gold = answers.of("gold")
    asked = [k for k, name in enumerate(gold.criteria) if name == rules.gold_criterion or (not rules.gold_criterion and name not in reversed_criteria)]
    gold = gold.where(np.isin(gold.criterion, asked) & (gold.value > 0))
    # A trial fails once, however many criteria it asks.
    wrong = {(int(r), int(t)) for r, t, v in zip(gold.rater, gold.trial, gold.value, strict=True) if v > rules.gold_tolerance}
    counts = {r: sum(one[0] == r for one in wrong) for r in {one[0] for one in wrong}}
    raters = np.unique(gold.rater)
    return raters, np.array([counts.get(int(r), 0) >= rules.gold_failures for r in raters], dtype=bool)


def _trap(answers: Answers, rules: Rules) -> tuple[np.ndarray, np.ndarray] | None:
    if rules.trap_failures is None:
        return None
    trap = answers.of("trap")
    trap = trap.where(trap.expected > 0)
    least = rules.trap_failures
    return _each(trap.rater, lambda mask_K: bool(np.unique(trap.trial[mask_K & (trap.value != trap.expected)]).size >= least))


def _repeat(distance: np.ndarray, rater_K: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray] | None:
    most = rules.repeat_distance
    return None if most is None else _each(rater_K, lambda mask_K: bool(distance[mask_K].mean() > most))


def _speed(answers: Answers, rules: Rules) -> tuple[np.ndarray, np.ndarray] | None:
    if rules.floor_ms is None:
        return None
    main = answers.of("main")
    main = main.where(np.isfinite(main.rt_ms))
    raters, place_K = np.unique(main.rater, return_inverse=True)
    quick = np.bincount(place_K, main.rt_ms < rules.floor_ms, raters.size) / np.maximum(np.bincount(place_K, minlength=raters.size), 1)
    return raters, quick > rules.floor_share


def _line(answers: Answers, rules: Rules) -> tuple[np.ndarray, np.ndarray] | None:
    if rules.least_variance is None:
        return None
    main = answers.of("main")
    main = main.where(main.value > 0)
    raters, place_K = np.unique(main.rater, return_inverse=True)
    n = np.bincount(place_K, minlength=raters.size)
    mean = np.bincount(place_K, main.value, raters.size) / np.maximum(n, 1)
    variance = np.bincount(place_K, main.value.astype(float) ** 2, raters.size) / np.maximum(n, 1) - mean**2
    # A handful of answers is alike by chance.
    told = n >= 10
    return raters[told], variance[told] < rules.least_variance
