"""Line charts as inline SVG: what the run page draws. Colours are the page's, by class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10

from markupsafe import Markup, escape

_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 548, 12, 200
_MOST_POINTS = 300
"""More than a line of this width can show; longer runs are averaged down to it."""
Point = tuple[float, float]
"""Step, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve."""

    points: Sequence[Point]
    name: str
    """Its class on the page, and what the legend calls it."""
    dots: bool = False
    """Few points, each of them shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What one chart shows."""

    label: str
    lines: Sequence[Line]
    band: Sequence[tuple[float, float, float]] = ()
    """Step, low, high."""
    marks: Sequence[tuple[float, float, str]] = ()
    """Step, value, and what to say there."""
    from_zero: bool = False
    unit: str = ""
    last_step: float = field(default=1)


def svg(chart: Chart) -> Markup:
    """The chart; text is escaped."""
    across, down, ticks = _scales(chart)
    rows = "".join(
        f'<line class="rail" x1="{_LEFT}" x2="{_RIGHT}" y1="{down(t):.1f}" y2="{down(t):.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{down(t) + 4:.1f}" text-anchor="end">{_number(t, ticks)}</text>'
        for t in ticks
    )
    steps = "".join(f'<text x="{across(s):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{s:,.0f}</text>' for s in _ticks(0, chart.last_step, 4))
    edge = [(s, high) for s, _, high in chart.band] + [(s, low) for s, low, _ in reversed(chart.band)]
    band = f'<polygon class="band" points="{_points(edge, across, down)}"/>' if edge else ""
    lines = "".join(_line(line, across, down) for line in chart.lines)
    marks = "".join(f'<circle class="mark" cx="{across(s):.1f}" cy="{down(v):.1f}" r="6"><title>{escape(said)}</title></circle>' for s, v, said in chart.marks)
    head = f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.label)}">'
    return Markup(f"{head}{rows}{steps}{band}{lines}{marks}</svg>")


def _line(line: Line, across: "_Axis", down: "_Axis") -> str:
    points = [p for p in line.points if isfinite(p[1])]
    curve = f'<polyline class="{line.name}" points="{_points(thinned(points, _MOST_POINTS), across, down)}"/>'
    if not line.dots:
        return curve
    dots = (f'<circle class="{line.name}" cx="{across(s):.1f}" cy="{down(v):.1f}" r="3"><title>step {s:,.0f}: {v:.4g}</title></circle>' for s, v in points)
    return curve + "".join(dots)


def _points(points: Sequence[Point], across: "_Axis", down: "_Axis") -> str:
    return " ".join(f"{across(s):.1f},{down(v):.1f}" for s, v in points)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Values low to high => places first to last; what lies outside is kept at the edge."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.first + share * (self.last - self.first)


def _scales(chart: Chart) -> tuple[_Axis, _Axis, list[float]]:
    values = sorted(v for line in chart.lines for _, v in line.points if isfinite(v))
    # A few wild steps must not flatten the rest; what was measured with an interval is always shown whole.
    count = len(values)
    inner = values[floor(0.01 * count) : ceil(0.99 * count)] if count > 50 else values
    inner = [*inner, *(v for _, low, high in chart.band for v in (low, high) if isfinite(v)), *([0.0] if chart.from_zero else [])]
    low, high = (min(inner), max(inner)) if inner else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = (0.0, 2 * high) if high > 0 else (low - 0.5, high + 0.5)
    ticks = _ticks(low, high, 4, outward=True)
    return _Axis(0, max(1, chart.last_step), _LEFT, _RIGHT), _Axis(ticks[0], ticks[-1], _BOTTOM, _TOP), ticks


def _ticks(low: float, high: float, count: int, outward: bool = False) -> list[float]:
    """Round numbers over a range, about `count` of them: 1, 2, 2.5 or 5 times a power of ten apart; `outward` goes on beyond both ends."""
    wanted = max(high - low, 1e-12) / count
    scale = 10.0 ** floor(log10(wanted))
    step = next(f * scale for f in (1, 2, 2.5, 5, 10) if f * scale >= wanted * (1 - 1e-9))
    first, last = (floor(low / step + 1e-9), ceil(high / step - 1e-9)) if outward else (ceil(low / step - 1e-9), floor(high / step + 1e-9))
    return [k * step for k in range(first, last + 1)]


def _number(value: float, ticks: Sequence[float]) -> str:
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1
    largest = max(abs(t) for t in ticks)
    if 0 < largest < 1e-3:
        return "0" if abs(value) < step / 2 else f"{value:.1e}".replace("e-0", "e-")
    return f"{value:,.{max(0, -floor(log10(step) + 1e-9) + (round(step / 10 ** floor(log10(step)), 6) == 2.5))}f}"


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many points, each the mean of its neighbours."""
    if len(points) <= most:
        return list(points)
    parts = [points[i * len(points) // most : (i + 1) * len(points) // most] for i in range(most)]
    return [(sum(s for s, _ in part) / len(part), sum(v for _, v in part) / len(part)) for part in parts]


def smooth(points: Sequence[Point]) -> list[Point]:
    """The mean around each point, over a twentieth of the run to either side."""
    found = [p for p in points if isfinite(p[1])]
    reach = max(1, len(found) // 20)
    sums = [0.0]
    for _, value in found:
        sums.append(sums[-1] + value)
    bounds = ((max(0, i - reach), min(len(found), i + reach + 1)) for i in range(len(found)))
    return [(step, (sums[b] - sums[a]) / (b - a)) for (step, _), (a, b) in zip(found, bounds, strict=True)]
