"""Bars of answers: how many gave each value, around the middle of the scale or filling the row.

Diverging bars show at a glance who is liked; full ones can be compared at both ends. Neither hides the shape of the answers, as a mean does.
"""

from collections.abc import Callable, Sequence

from kimchi.eval.statistics.descriptives import Score

from .drawing import Anchor, Figure, Mark, Text, rect
from .naming import NARROW, Axis, Names, keys, label

_ROW, _BAR = 34, 22
_DARK = {("v", 0), ("v", 4), ("c", 0), ("c", 3), ("c", 4)}
"""Hues on which numbers are white."""


def diverging(scores: Sequence[Score], names: Names, wide: float, stem: str) -> Figure:
    """Disagreement to the left of the middle, agreement to the right, half of "neither" on each side. Heiberger and Robbins 2014."""
    ends = [(sum(one.histogram[:2]) + one.histogram[2] / 2, sum(one.histogram[3:]) + one.histogram[2] / 2, max(one.n, 1)) for one in scores]
    reach = max([0.2, *(max(left, right) / n for left, right, n in ends)])
    reach = min(1.0, -(-reach * 10 // 1) / 10)

    def start(one: Score) -> float:
        return -(sum(one.histogram[:2]) + one.histogram[2] / 2) / max(one.n, 1)

    said = names.say("모델별 응답 분포(가운데 기준)", "Answers by model, around the middle of the scale")
    return _bars(scores, names, wide, stem, (-reach, reach), start, said)


def full(scores: Sequence[Score], names: Names, wide: float, stem: str, ordered: bool = True) -> Figure:
    """Every row is all answers of a model that judged; answers without an order get colours without one."""
    said = names.say("모델별 응답 분포(100%)", "Answers by model, as shares of 100 %")
    return _bars(scores, names, wide, stem, (0.0, 1.0), lambda _: 0.0, said, "v" if ordered else "c")


def _bars(
    scores: Sequence[Score], names: Names, wide: float, stem: str, ends: tuple[float, float], start: Callable[[Score], float], said: str, hue: str = "v"
) -> Figure:
    narrow = wide < NARROW
    row, head = (_ROW + 18, 18) if narrow else (_ROW, 0)
    left = 4.0 if narrow else 132.0
    right = wide - (4 if narrow else 62)
    marks, top = keys([(f"{hue}{k + 1}", words) for k, words in enumerate(_labels(scores, names))], 4, 14, wide - 8)
    bottom = top + 8 + row * len(scores)
    across = Axis(*ends, left, right)
    ticks = [t / 4 for t in range(-4, 5) if ends[0] <= t / 4 <= ends[1]]
    marks += [mark for mark in across.ruled(ticks, top + 4, bottom) if not isinstance(mark, Text)]
    marks += [Text(x=across(t), y=bottom + 16, words=f"{abs(t):.0%}", size=11.5, anchor=_end(t, ends), look="soft") for t in ticks]
    for k, one in enumerate(scores):
        y = top + 8 + row * k
        marks += [label(names, one.model, 4, y + (12 if narrow else _BAR / 2 + 5))]
        marks += _row(one, names, y + head, across, start(one), hue)
        # Narrow, "n" stands at the end of the name's line.
        marks += [Text(x=wide - 4, y=y + (12 if narrow else _BAR / 2 + 5), words=f"n={one.n:,}", size=11.5, anchor="end", look="soft")]
    return Figure(name=stem, title=said, described=_described(scores, names, said), width=wide, height=bottom + 24, marks=tuple(marks))


def _labels(scores: Sequence[Score], names: Names) -> tuple[str, ...]:
    return names.answers[scores[0].criterion] if scores else ()


def _end(tick: float, ends: tuple[float, float]) -> Anchor:
    return "start" if tick == ends[0] == 0 else "end" if tick == ends[1] == 1 else "middle"


def _row(one: Score, names: Names, y: float, across: Axis, at: float, hue: str) -> list[Mark]:
    made: list[Mark] = []
    for k, count in enumerate(one.histogram[: len(names.answers[one.criterion])]):
        share = count / max(one.n, 1)
        x, end = across(at), across(at + share)
        said = f"{names.model(one.model)} · {names.answers[one.criterion][k]}: {share:.0%} (n={count:,})"
        made += [rect(x, y, end - x, _BAR, f"{hue}{k + 1}", said)] if count else []
        if end - x > 30:
            made += [
                Text(x=(x + end) / 2, y=y + _BAR / 2 + 4, words=f"{share:.0%}", size=11, anchor="middle", look="on-dark" if (hue, k) in _DARK else "on-light")
            ]
        at += share
    return made


def _described(scores: Sequence[Score], names: Names, said: str) -> str:
    def one_line(one: Score) -> str:
        return f"{names.model(one.model)} " + " / ".join(f"{count / max(one.n, 1):.0%}" for count in one.histogram) + f" (n={one.n})"

    return f"{said}. " + "; ".join(one_line(one) for one in scores)
