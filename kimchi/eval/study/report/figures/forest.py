"""Forest plots: means, and differences of the focus from the others, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from .drawing import Figure, Mark, Text, line, rect
from .naming import NARROW, Axis, Names, label, whisker


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a forest."""

    model: str
    """Whose colour and shape it has."""
    words: str
    """Empty: the model's name."""
    value: float | None
    low: float | None
    high: float | None
    written: str
    """The numbers at its end."""


def forest(rows: Sequence[Row], names: Names, wide: float, stem: str, said: str, *, ends: tuple[float, float] | None = None, band: float = 0.0) -> Figure:
    """A row a value; `ends` fixes the axis, else it spans what is there and zero is marked; `band` shades what counts as equivalent."""
    narrow = wide < NARROW
    room = 4.0 if narrow else 138.0
    pitch = 46 if narrow else 32
    axis_left, axis_right = room + (18 if narrow else 8), wide - (22 if narrow else 158)
    across, ticks = _axis(rows, ends, axis_left, axis_right, band)
    top, bottom = 8.0, 8.0 + pitch * len(rows)
    marks: list[Mark] = [rect(across(-band), top, across(band) - across(-band), bottom - top, "band")] if band else []
    marks += across.ruled(ticks, top, bottom)
    marks += [line(across(0), top, across(0), bottom, "zero")] if ends is None else []
    for k, row in enumerate(rows):
        y = top + pitch * k
        marks += _row(row, names, y, pitch, across, wide, narrow)
    described = f"{said}. " + "; ".join(f"{row.words or names.model(row.model)} {row.written}" for row in rows)
    return Figure(name=stem, title=said, described=described, width=wide, height=bottom + 24, marks=tuple(marks))


def _row(row: Row, names: Names, y: float, pitch: float, across: Axis, wide: float, narrow: bool) -> list[Mark]:
    words_y, mark_y = (y + 16, y + 31) if narrow else (y + pitch / 2 + 4.5, y + pitch / 2)
    name = label(names, row.model, 4, words_y) if not row.words else Text(x=4, y=words_y, words=row.words, size=13)
    said = f"{row.words or names.model(row.model)}: {row.written}"
    drawn = () if row.value is None else whisker(names.role(row.model), row.value, row.low, row.high, mark_y, across, said)
    return [name, *drawn, Text(x=wide - 4, y=words_y, words=row.written, size=12, anchor="end", look="soft")]


def _axis(rows: Sequence[Row], ends: tuple[float, float] | None, left: float, right: float, band: float) -> tuple[Axis, list[float]]:
    if ends:
        return Axis(*ends, left, right), [float(k) for k in range(ceil(ends[0]), floor(ends[1]) + 1)]
    found = [v for row in rows for v in (row.value, row.low, row.high) if v is not None] + [0.0, band, -band]
    step = next((s for s in (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0) if (max(found) - min(found)) / s <= 7), 20.0)
    low, high = floor(min(found) / step), ceil(max(found) / step)
    low, high = (low, high) if high > low else (low - 1, high + 1)
    return Axis(low * step, high * step, left, right), [k * step for k in range(low, high + 1)]
