"""Does it matter when a picture is shown? The mean score of each position, and how often each model stood there."""

from collections.abc import Sequence

from kimchi.eval.statistics.descriptives import PositionScore

from .drawing import Figure, Mark, Text, curve, dot, line
from .naming import Axis, Names, keys

_LINES = ("a", "b", "c", "d")


def position_lines(scores: Sequence[PositionScore], criteria: Sequence[str], names: Names, wide: float, stem: str) -> Figure:
    """A line a criterion; flat lines mean that the order of showing did not matter."""
    places = sorted({one.position for one in scores})
    entries = [(f"dot-{_LINES[k % 4]}", names.criterion(one)) for k, one in enumerate(criteria)]
    marks, top = keys(entries, 4, 14, wide - 8)
    left, right, bottom = 30.0, wide - 14, top + 190
    down = Axis(1, 5, bottom, top + 10)
    across = Axis(min(places, default=1) - 0.3, max(places, default=1) + 0.3, left, right)
    for value in range(1, 6):
        marks += [
            line(left, down(value), right, down(value), "rail"),
            Text(x=left - 10, y=down(value) + 4, words=str(value), size=11.5, anchor="end", look="soft"),
        ]
    marks += [Text(x=across(p), y=bottom + 18, words=names.say(f"{p}번째", f"{p}"), size=11.5, anchor="middle", look="soft") for p in places]
    for k, criterion in enumerate(criteria):
        marks += _line([one for one in scores if one.criterion == criterion], _LINES[k % 4], across, down, names)
    said = names.say("제시 순서별 평균 점수", "Mean score by place in the order of showing")
    described = "; ".join(f"{names.criterion(one.criterion)} {one.position}: {one.mean:.2f}" for one in scores)
    return Figure(name=stem, title=said, described=f"{said}. {described}", width=wide, height=bottom + 26, marks=tuple(marks))


def _line(scores: Sequence[PositionScore], look: str, across: Axis, down: Axis, names: Names) -> list[Mark]:
    points = [(across(one.position), down(one.mean)) for one in scores]
    said = [f"{names.criterion(one.criterion)}, {one.position}: {one.mean:.2f} (n={one.n:,})" for one in scores]
    return [curve(points, f"line-{look}"), *(dot(x, y, 4, f"dot-{look}", words) for (x, y), words in zip(points, said, strict=True))]
