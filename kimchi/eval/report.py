"""Reports: one HTML file each, with every picture inside it, readable without a network, in light and dark."""

import base64
import io
from collections.abc import Sequence
from math import floor, log10
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

# The loss curve's frame, in the units of its viewBox.
_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 700, 8, 212


def render(template: str, values: dict[str, Any]) -> str:
    """A template of kimchi/eval/templates/ with its values filled in. Text is escaped; a value that is missing is an error.

    Templates have the functions below as filters (`picture`, `percent`, `points`, `seconds`, `seconds_ko`) and as `interval_svg`, `loss_svg`.
    """
    environment = Environment(loader=PackageLoader("kimchi.eval"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"picture": data_address, "percent": percent, "points": points, "seconds": seconds, "seconds_ko": seconds_ko}
    return environment.get_template(template).render({"interval_svg": interval_svg, "loss_svg": loss_svg, **values})


def data_address(image: Image.Image) -> str:
    """A picture as data:image/webp;base64,..."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def percent(share: float) -> str:
    """0 to 1 => whole percents."""
    return f"{100 * share:.0f}"


def points(difference: float) -> str:
    """-1 to 1 => percentage points with their sign: "+42", "−3", "0"."""
    whole = round(100 * difference)
    return f"{whole:+d}".replace("-", "−") if whole else "0"


def seconds(value: float) -> str:
    """A time as a person says it: "4.2 s", "1 min 23 s"."""
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 60 else f"{int(value) // 60} min {int(value) % 60:02d} s"


def seconds_ko(value: float) -> str:
    """The same in Korean."""
    return f"{value:.1f}초" if value < 10 else f"{value:.0f}초" if value < 60 else f"{int(value) // 60}분 {int(value) % 60:02d}초"


def interval_svg(share: float, low: float, high: float, goal: float | None = None) -> Markup:
    """A share as a dot on a line from 0 to 1 with its interval, and a mark at the goal."""
    x, left, right = (f"{200 * value:.1f}" for value in (share, low, high))
    mark = f'<line class="goal" x1="{200 * goal:.1f}" x2="{200 * goal:.1f}" y1="1" y2="19"/>' if goal is not None else ""
    return Markup(
        '<svg class="interval" viewBox="-6 0 212 20" aria-hidden="true"><line class="rail" x1="0" x2="200" y1="10" y2="10"/>'
        f'{mark}<line class="span" x1="{left}" x2="{right}" y1="10" y2="10"/><circle cx="{x}" cy="10" r="5"/></svg>'
    )


def loss_svg(losses: Sequence[float], label: str) -> Markup:
    """A loss curve: every step faint, the mean around each step bold; the axes show loss and step."""
    # A few wild steps at the start must not flatten the rest.
    top = _round_up(1.05 * sorted(losses)[int(0.98 * (len(losses) - 1))])
    quarters = [k / 4 for k in range(5)]
    rows = "".join(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{_down(q):.1f}" y2="{_down(q):.1f}"/>' for q in quarters)
    heights = "".join(f'<text x="{_LEFT - 6}" y="{_down(q) + 4:.1f}" text-anchor="end">{top * q:.3g}</text>' for q in quarters)
    steps = "".join(f'<text x="{_across(q):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{round(len(losses) * q)}</text>' for q in quarters)
    curves = "".join(f'<polyline class="{name}" points="{_points(line, top)}"/>' for name, line in (("raw", losses), ("mean", _smooth(losses))))
    return Markup(f'<svg class="loss" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{rows}{heights}{steps}{curves}</svg>')


def _across(part: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * part


def _down(part: float) -> float:
    return _TOP + (_BOTTOM - _TOP) * (1 - part)


def _points(values: Sequence[float], top: float) -> str:
    last = max(1, len(values) - 1)
    return " ".join(f"{_across(i / last):.1f},{_down(min(value / top, 1)):.1f}" for i, value in enumerate(values))


def _smooth(losses: Sequence[float]) -> list[float]:
    reach = max(1, len(losses) // 40)
    windows = (losses[max(0, i - reach) : i + reach + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


def _round_up(value: float) -> float:
    """The next number whose quarters are short: 1, 1.2, 1.6, 2, 3, 4, 6, 8 times a power of ten."""
    scale = 10.0 ** floor(log10(value)) if value > 0 else 1.0
    return next(factor * scale for factor in (1, 1.2, 1.6, 2, 3, 4, 6, 8, 10) if factor * scale >= value * (1 - 1e-9))
