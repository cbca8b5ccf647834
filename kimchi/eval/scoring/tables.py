"""scores.csv, a line a picture and metric; results.json; and the small table on stdout."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from kimchi.errors import DataError
from kimchi.eval.metrics import Summary, Value

COLUMNS = ("metric", "condition", "prompt", "value", "answer")
Scores = dict[str, dict[tuple[str, str], float]]
"""Metric -> (prompt, condition) -> value: what kimchi.eval.statistics.Plan takes as `metrics`, where higher must be better."""


def to_csv(values: Iterable[Value]) -> str:
    """Long format, UTF-8; an unclear answer has an empty value."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for value in values:
        lines.writerow([value.metric, value.condition, value.prompt, "" if value.value is None else repr(value.value), " ".join(value.answer.split())])
    return text.getvalue()


def read_scores(path: Path) -> Scores:
    """What scores.csv holds; empty values are left out.

    Raises:
        DataError: no such file, or not one of ours.
    """
    scores: Scores = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["value"]:
                    scores.setdefault(row["metric"], {})[row["prompt"], row["condition"]] = float(row["value"])
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as scores ({error}). `kimchi score` writes such a file; give its scores.csv.") from error
    return scores


def show(summaries: Sequence[Summary]) -> list[str]:
    """Metric, condition, mean with its interval, pictures; an arrow says which way is better."""
    rows = [(f"{one.metric} {'↑' if one.higher_is_better else '↓'}", one.condition, _number(one), f"n {one.n}", _remark(one)) for one in summaries]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, (*widths, 0), strict=True)).rstrip() for row in rows]


def _number(one: Summary) -> str:
    of = one.estimate
    if of.value is None:
        return "-"
    return f"{of.value:.4f}" + (f" [{of.low:.4f}, {of.high:.4f}]" if of.low is not None and of.high is not None else "")


def _remark(one: Summary) -> str:
    unclear = f"{one.unclear} unclear" if one.unclear else ""
    return "; ".join(filter(None, (unclear, one.estimate.why.english.rstrip("."))))
