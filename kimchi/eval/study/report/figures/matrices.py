"""Squares with numbers: who wins against whom, and which prompt each model does well."""

from collections.abc import Mapping, Sequence

from kimchi.eval.statistics.descriptives import Cell
from kimchi.eval.statistics.dominance import Duel

from .drawing import Figure, Mark, Text, rect, shortened
from .naming import NARROW, Names, keys


def win_matrix(duels: Sequence[Duel], models: Sequence[str], names: Names, wide: float, stem: str) -> Figure:
    """Row against column within one rater and one prompt: a bar of wins, ties, losses, and the share of wins."""
    won = _both_ways(duels)
    narrow = wide < NARROW
    room = 66.0 if narrow else 118.0
    cell, high = (wide - room - 4) / max(len(models), 1), 46.0
    said = names.say(
        "같은 평가자·같은 프롬프트에서 행이 열보다 높은 점수를 받은 비율", "How often the row was rated above the column by the same rater for the same prompt"
    )
    legend = [("win", names.say("행이 높음", "row higher")), ("tie", names.say("같음", "tie")), ("loss", names.say("열이 높음", "column higher"))]
    marks, top = keys(legend, 4, 14, wide - 8)
    top += 26
    size = 11.0 if narrow else 12.5
    for k, model in enumerate(models):
        x = room + k * cell + cell / 2
        look = "of-focus" if names.role(model) == "focus" else ""
        marks += [Text(x=x, y=top - 8, words=shortened(names.model(model), size, cell - 4), size=size, anchor="middle", look=look)]
        marks += [Text(x=4, y=top + k * high + high / 2 + 4, words=shortened(names.model(model), size, room - 10), size=size, look=look)]
        for j, other in enumerate(models):
            marks += _duel(won.get((model, other)), names, (room + j * cell, top + k * high), (cell, high), model, other)
    lines = [f"{names.model(a)} > {names.model(b)} {shares[0]:.0%} ({names.say('같음', 'tie')} {shares[1]:.0%})" for (a, b), shares in won.items()]
    return Figure(name=stem, title=said, described=f"{said}. " + "; ".join(lines), width=wide, height=top + high * len(models) + 6, marks=tuple(marks))


def _both_ways(duels: Sequence[Duel]) -> dict[tuple[str, str], tuple[float, float, float, int]]:
    made: dict[tuple[str, str], tuple[float, float, float, int]] = {}
    for one in duels:
        if one.wins is not None and one.ties is not None and one.losses is not None:
            made[one.first, one.second] = (one.wins, one.ties, one.losses, one.n)
            made[one.second, one.first] = (one.losses, one.ties, one.wins, one.n)
    return made


def _duel(
    shares: tuple[float, float, float, int] | None, names: Names, at: tuple[float, float], size: tuple[float, float], model: str, other: str
) -> list[Mark]:
    (x, y), (wide, high) = at, size
    frame = rect(x + 1, y + 1, wide - 2, high - 2, "frame", round_px=4)
    if model == other:
        return [frame]
    if shares is None:
        return [frame, Text(x=x + wide / 2, y=y + high / 2 + 4, words="–", size=12, anchor="middle", look="soft")]
    made: list[Mark] = [frame]
    at_x, full = x + 6, wide - 12
    said = f"{names.model(model)} / {names.model(other)}: " + " / ".join(f"{one:.0%}" for one in shares[:3]) + f" (n={shares[3]:,})"
    for look, share in zip(("win", "tie", "loss"), shares[:3], strict=True):
        made += [rect(at_x, y + high - 15, share * full, 8, look, said)]
        at_x += share * full
    return [*made, Text(x=x + wide / 2, y=y + 22, words=f"{shares[0]:.0%}", size=13, anchor="middle", look="strong" if shares[0] > shares[2] else "")]


def heat_map(cells: Sequence[Cell], prompts: Sequence[str], models: Sequence[str], names: Names, wide: float, stem: str, turned: bool) -> Figure:
    """A row a prompt, a column a model: the mean, darker for better; n rests under the pointer."""
    found = {(one.prompt, one.model): one for one in cells}
    narrow = wide < NARROW
    room = 4.0 if narrow else min(300.0, 0.42 * wide)
    cell, high, head = (wide - room - 4) / max(len(models), 1), 26.0, 20.0 if narrow else 0.0
    size = 11.0 if narrow else 12.5
    top = 24.0
    marks: list[Mark] = [
        Text(x=room + k * cell + cell / 2, y=16, words=shortened(names.model(model), size, cell - 3), size=size, anchor="middle", look=_strong(names, model))
        for k, model in enumerate(models)
    ]
    pitch = high + head + 2
    for k, prompt in enumerate(prompts):
        y = top + k * pitch
        marks += [Text(x=4, y=y + (14 if narrow else high / 2 + 4.5), words=shortened(names.prompt(prompt), 12, (wide if narrow else room) - 12), size=12)]
        for j, model in enumerate(models):
            marks += _cell(found.get((prompt, model)), names, room + j * cell, y + head, cell, high, turned)
    said = names.say("프롬프트별 평균 점수", "Mean score of each prompt")
    return Figure(
        name=stem, title=said, described=_best_and_worst(found, names, turned, said), width=wide, height=top + pitch * len(prompts) + 4, marks=tuple(marks)
    )


def _strong(names: Names, model: str) -> str:
    return "of-focus" if names.role(model) == "focus" else ""


def _cell(one: Cell | None, names: Names, x: float, y: float, wide: float, high: float, turned: bool) -> list[Mark]:
    if one is None or one.mean is None:
        return [rect(x + 1, y, wide - 2, high, "none"), Text(x=x + wide / 2, y=y + high / 2 + 4, words="–", size=11, anchor="middle", look="soft")]
    mean = 6 - one.mean if turned else one.mean
    shade = min(6, int((mean - 1) / 4 * 7))
    said = f"{names.prompt(one.prompt)} · {names.model(one.model)}: {mean:.2f} (n={one.n})"
    square = rect(x + 1, y, wide - 2, high, f"h{shade}", said, round_px=3)
    return [square, Text(x=x + wide / 2, y=y + high / 2 + 4, words=f"{mean:.1f}", size=12, anchor="middle", look="on-dark" if shade > 3 else "on-light")]


def _best_and_worst(found: Mapping[tuple[str, str], Cell], names: Names, turned: bool, said: str) -> str:
    ours = sorted(((6 - c.mean if turned else c.mean, p) for (p, m), c in found.items() if m == names.focus and c.mean is not None))
    if not ours:
        return said
    low, high = ours[0], ours[-1]
    worst, best = names.say("가장 낮음", "lowest"), names.say("가장 높음", "highest")
    return f"{said}. {names.model(names.focus)}: {worst} {names.prompt(low[1])} {low[0]:.1f}, {best} {names.prompt(high[1])} {high[0]:.1f}"
