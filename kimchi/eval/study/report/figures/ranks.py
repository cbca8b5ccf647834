"""How sure the order is: each model's chances of the first place, the second, and so on."""

from collections.abc import Sequence

from kimchi.eval.statistics.ranks import Rank

from .drawing import Figure, Text, rect
from .naming import NARROW, Axis, Names, keys, label


def rank_bars(ranks: Sequence[Rank], names: Names, wide: float, stem: str) -> Figure:
    """A bar a model, dark for the first place."""
    narrow, places = wide < NARROW, max((len(one.shares) for one in ranks), default=0)
    looks = [f"h{round(6 - 5 * k / max(places - 1, 1))}" for k in range(places)]
    marks, top = keys([(look, names.say(f"{k + 1}위", _ordinal(k + 1))) for k, look in enumerate(looks)], 4, 14, wide - 8)
    row, head, left = (52, 18, 4.0) if narrow else (34, 0, 132.0)
    across = Axis(0, 1, left, wide - 8)
    bottom = top + 8 + row * len(ranks)
    for k, one in enumerate(ranks):
        y, at = top + 8 + row * k, 0.0
        marks += [label(names, one.model, 4, y + (12 if narrow else 16))]
        for look, share in zip(looks, one.shares, strict=False):
            x, end = across(at), across(at + share)
            marks += [rect(x, y + head, end - x, 22, look, f"{names.model(one.model)}: {share:.0%}")] if share else []
            if end - x > 30:
                marks += [Text(x=(x + end) / 2, y=y + head + 15, words=f"{share:.0%}", size=11, anchor="middle", look="on-dark" if look > "h3" else "on-light")]
            at += share
    said = names.say("평균 점수 순위의 확률(교차 부트스트랩)", "Chances of each place by mean score (crossed bootstrap)")
    shares = "; ".join(f"{names.model(one.model)} " + " / ".join(f"{s:.0%}" for s in one.shares) for one in ranks)
    return Figure(name=stem, title=said, described=f"{said}. {shares}", width=wide, height=bottom + 6, marks=tuple(marks))


def _ordinal(k: int) -> str:
    return f"{k}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(k, 'th') }"
