"""Counts of what was asked for and what was seen."""

from collections import Counter
from collections.abc import Iterable

Matrices = dict[str, dict[str, dict[str, int]]]
"""Condition -> asked for -> seen as -> pictures; "?" where the judge's words were none of the choices."""


def by_condition(seen: Iterable[tuple[str, str, str]]) -> Matrices:
    """Condition, asked for, seen as => matrices, rows in the order they come, what was seen most often first."""
    counts: dict[str, dict[str, Counter[str]]] = {}
    for condition, asked, answer in seen:
        counts.setdefault(condition, {}).setdefault(asked, Counter())[answer or "?"] += 1
    return {condition: {asked: dict(row.most_common()) for asked, row in rows.items()} for condition, rows in counts.items()}
