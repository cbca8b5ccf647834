"""The alignment gap as a picture and as a table."""

from collections.abc import Mapping
from html import escape

from .gap import Estimate, Gap

_COLOURS = ("#8d949b", "#e08a1e", "#2f6fd0", "#3f9b4b")
_ROW, _LEFT, _WIDE = 22, 150, 420


def gap_table(gaps: Mapping[str, Gap]) -> list[str]:
    """Lines of text: a row a noise level and prompt length, a column an encoder."""
    first = next(iter(gaps.values()))
    lines = [f"{'alignment gap':<18}" + "".join(f"{name:>24}" for name in gaps)]
    rows = [first.overall, *first.per_level, *first.per_length]
    for row in rows:
        lines.append(f"{row.name:<18}" + "".join(f"{_cell(gap, row.name):>24}" for gap in gaps.values()))
    for name, of in (("EOS cosine", "eos_cosine"), ("BOS distance", "start_distance"), ("pad-norm ratio", "pad_norm_ratio")):
        lines.append(f"{name:<18}" + "".join(f"{getattr(gap, of):>24.3f}" for gap in gaps.values()))
    return lines


def _find(gap: Gap, name: str) -> Estimate | None:
    return next((e for e in (gap.overall, *gap.per_level, *gap.per_length) if e.name == name), None)


def _cell(gap: Gap, name: str) -> str:
    found = _find(gap, name)
    return f"{found.value:.3f} ({found.low:.3f}-{found.high:.3f})" if found else "-"


def gap_svg(gaps: Mapping[str, Gap]) -> str:
    """Gap by noise level and by prompt length, an interval an encoder; 0 is the teacher, 1 as bad as an empty prompt."""
    first = next(iter(gaps.values()))
    rows = [first.overall, *first.per_level, *first.per_length]
    estimates = [found for gap in gaps.values() for row in rows if (found := _find(gap, row.name))]
    top = max(1.0, *(e.value for e in estimates), min(3.0, max(e.high for e in estimates)))
    body = ""
    for i, row in enumerate(rows):
        y = 40 + i * _ROW * (1 + 0.4 * (len(gaps) - 1))
        body += f'<text x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{escape(row.name)}</text>'
        for j, (gap, colour) in enumerate(zip(gaps.values(), _COLOURS, strict=False)):
            body += _mark(_find(gap, row.name), y + 9 * j, top, colour)
    height = 60 + len(rows) * _ROW * (1 + 0.4 * (len(gaps) - 1))
    grid = "".join(_line(value, top, height) for value in (0, 0.25, 0.5, 0.75, 1))
    legend = "".join(
        f'<text x="{_LEFT + 110 * j}" y="14" fill="{colour}">{escape(name)}</text>' for j, (name, colour) in enumerate(zip(gaps, _COLOURS, strict=False))
    )
    style = '<style>text{font:12px sans-serif}</style><rect width="100%" height="100%" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 30}" height="{height:.0f}">{style}{grid}{legend}{body}</svg>\n'


def _mark(found: Estimate | None, y: float, top: float, colour: str) -> str:
    if found is None:
        return ""
    low, value, high = (_LEFT + min(x / top, 1) * _WIDE for x in (found.low, found.value, found.high))
    line = f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2"/>'
    return f'{line}<circle cx="{value:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def _line(value: float, top: float, height: float) -> str:
    x = _LEFT + value / top * _WIDE
    rule = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{height - 18:.0f}" stroke="#ddd"/>'
    return f'{rule}<text x="{x:.1f}" y="{height - 4:.0f}" text-anchor="middle">{value:g}</text>'
