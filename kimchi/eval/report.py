"""Reports: one HTML file each, with every picture inside it, readable without a network, in light and dark."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image


def render(template: str, values: dict[str, Any]) -> str:
    """A template of kimchi/eval/templates/ with its values filled in. Text is escaped; a value that is missing is an error.

    Filters: `picture` (a PIL picture => data address), `percent` (0.853 => "85"), `seconds` (83 => "1 min 23 s"), `초` (the same in Korean).
    """
    environment = Environment(loader=PackageLoader("kimchi.eval"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({"picture": data_address, "percent": percent, "seconds": seconds, "seconds_ko": seconds_ko})
    environment.globals.update({"interval_svg": interval_svg, "loss_svg": loss_svg})
    return environment.get_template(template).render(values)


def data_address(image: Image.Image) -> str:
    """A picture as data:image/webp;base64,..."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=90, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def percent(share: float) -> str:
    """0 to 1 => whole percents."""
    return f"{100 * share:.0f}"


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
    """A loss curve: every step faint, the mean of a twentieth of the run around each step bold, axes with round numbers."""
    width, height, left, bottom = 720.0, 240.0, 46.0, 28.0
    top = _round_up(sorted(losses)[int(0.98 * (len(losses) - 1))] * 1.05)  # a few wild steps must not flatten the rest

    def points(values: Sequence[float]) -> str:
        step = (width - left - 8) / max(1, len(values) - 1)
        return " ".join(f"{left + i * step:.1f},{8 + (height - bottom - 8) * (1 - min(v, top) / top):.1f}" for i, v in enumerate(values))

    grid = "".join(
        f'<line class="grid" x1="{left}" x2="{width - 8}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{top * k / 4:.3g}</text>'
        for k in range(5)
        for y in [8 + (height - bottom - 8) * (1 - k / 4)]
    )
    ticks = "".join(
        f'<text x="{left + (width - left - 8) * k / 4:.1f}" y="{height - 8}" text-anchor="{("start", "middle", "middle", "middle", "end")[k]}">'
        f"{round(len(losses) * k / 4)}</text>"
        for k in range(5)
    )
    return Markup(
        f'<svg class="loss" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{Markup.escape(label)}">{grid}{ticks}'
        f'<polyline class="raw" points="{points(losses)}"/><polyline class="mean" points="{points(_smooth(losses))}"/></svg>'
    )


def _smooth(losses: Sequence[float]) -> list[float]:
    reach = max(1, len(losses) // 40)
    windows = (losses[max(0, i - reach) : i + reach + 1] for i in range(len(losses)))
    return [sum(window) / len(window) for window in windows]


def _round_up(value: float) -> float:
    """The next number of the form 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    scale = 10.0 ** (len(f"{int(value)}") - 1 if value >= 1 else -3)
    while True:
        for factor in (1, 1.5, 2, 3, 4, 5, 6, 8):
            if factor * scale >= value:
                return factor * scale
        scale *= 10
