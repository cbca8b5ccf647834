"""What a run page shows, worked out from the log: curves, held-out loss side by side, and progress pictures by step."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from .charts import Chart, Line, Point, smooth, svg
from .held_out import Measurement
from .intervals import Estimate
from .log import Reading

_COLUMNS = 6
"""Steps whose progress pictures stand side by side."""
Sheet = dict[str, Any]
"""The record beside a sheet of progress pictures."""


def pictures(drawn: Sequence[tuple[Reading, Sheet]]) -> dict[str, Any] | None:
    """Sheets of a few steps, and a row a prompt; none before the first."""
    if not drawn:
        return None
    asked = _asked(drawn[-1][1])
    # A recipe may change its prompts between two parts of a run: those of the last part are shown.
    same = [(reading, sheet) for reading, sheet in drawn if _asked(sheet) == asked]
    count = min(_COLUMNS, len(same))
    # The first, the last, and what lies evenly between.
    few = [same[round(i * (len(same) - 1) / max(1, count - 1))] for i in range(count)]
    sheets: list[Sheet] = [{**sheet, "step": reading.step, "file": reading.samples} for reading, sheet in few]
    return {"sheets": sheets, "rows": [_row(sheets, i) for i in range(len(asked))]}


def _asked(sheet: Sheet) -> list[tuple[str, int]]:
    return [(picture["prompt"], picture["seed"]) for picture in sheet["pictures"]]


def _row(sheets: Sequence[dict[str, Any]], index: int) -> dict[str, Any]:
    """One prompt at every step: where on each sheet its picture lies, in per cent as CSS counts."""
    cells: list[dict[str, Any]] = []
    for sheet in sheets:
        columns = min(sheet["columns"], len(sheet["pictures"]))
        rows = -(-len(sheet["pictures"]) // columns)
        x, y = index % columns, index // columns
        style = (
            f"background-image: url('{sheet['file']}'); background-size: {100 * columns}% {100 * rows}%; "
            f"background-position: {100 * x / max(1, columns - 1):.3f}% {100 * y / max(1, rows - 1):.3f}%"
        )
        cells.append({"style": style, "step": sheet["step"], **sheet["pictures"][index]})
    return {"cells": cells, **sheets[-1]["pictures"][index]}


def charts(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """Title, what its lines are, and the drawing, of every chart that has anything to show."""
    last = max((r.step for r in readings), default=1)
    losses = [(r.step, r.loss) for r in readings if r.loss is not None]
    rates = [(r.step, r.learning_rate) for r in readings if r.learning_rate is not None]
    speeds = [(r.step, r.speed.pictures_per_second) for r in readings if r.speed and r.speed.pictures_per_second > 0]
    norms = [(r.step, r.gradient_norm) for r in readings if r.gradient_norm is not None]
    found = [
        (
            "Training loss",
            "each report, and smoothed",
            Chart(label="Training loss by step", lines=[_line(losses, "raw"), _line(smooth(losses), "mean")]),
        ),
        ("Held-out loss", "95 % interval over pictures", _held_out_chart(readings)),
        ("Learning rate", "of the last step", Chart(label="Learning rate by step", lines=[_line(rates, "plain")], from_zero=True)),
        ("Pictures a second", "all processes together", Chart(label="Pictures a second by step", lines=[_line(speeds, "plain")], from_zero=True)),
        ("Gradient norm", "before clipping", Chart(label="Gradient norm by step", lines=[_line(norms, "raw"), _line(smooth(norms), "mean")], from_zero=True)),
    ]
    return [{"title": t, "note": note, "svg": svg(replace(c, last_step=last))} for t, note, c in found if any(line.points for line in c.lines)]


def _line(points: Sequence[Point], name: str) -> Line:
    return Line(points=points, name=name)


def _held_out_chart(readings: Sequence[Reading]) -> Chart:
    found = [(r.step, r.held_out.overall) for r in readings if r.held_out]
    measured = [(step, estimate) for step, estimate in found if isfinite(estimate.value)]
    best = [r for r in readings if r.best and r.held_out]
    marks = [(r.step, r.held_out.overall.value, f"best: {r.held_out.overall.value:.4f} at step {r.step:,}") for r in best[-1:] if r.held_out]
    line = Line(points=[(step, e.value) for step, e in measured], name="mean", dots=True)
    return Chart(label="Held-out loss by step", lines=[line], band=[(step, e.low, e.high) for step, e in measured], marks=marks)


def held_out(readings: Sequence[Reading]) -> dict[str, Any] | None:
    """The first, the best and the last measurement, and what changed since the first, picture by picture."""
    measured = [(r, r.held_out) for r in readings if r.held_out]
    if not measured:
        return None
    (first, begin), (last, end) = measured[0], measured[-1]
    kept = [(r, m) for r, m in measured if r.best]
    best, lowest = kept[-1] if kept else (None, None)
    return {
        "first": first.step, "last": last.step, "best": best.step if best else None, "value": lowest.overall if lowest else None,
        "rows": _parts(begin, lowest, end), "change": end.since(begin) if end is not begin else None,
        "pictures": sum(len(of) for of in end.losses.values()), "levels": len(end.levels),
    }  # fmt: skip


def _parts(*measurements: Measurement | None) -> list[tuple[str, list[Estimate | None]]]:
    """The whole, each source, each timestep: of every measurement."""
    some = next(m for m in measurements if m)
    whole: list[tuple[str, list[Estimate | None]]] = [("all", [m and m.overall for m in measurements])]
    sources = [(s, [m and m.source(s) for m in measurements]) for s in some.losses] if len(some.losses) > 1 else []
    return [*whole, *sources, *((f"timestep {t}", [m and m.levels[t] for m in measurements]) for t in some.levels)]
