"""What figures are made of, and their two forms: inside a page, with its fonts and its dark mode; and a file of its own, with outlines for text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape

from ..glyphs import advances, lacking, outline, units, width

Anchor = Literal["start", "middle", "end"]
_SHIFT = {"start": 0.0, "middle": 0.5, "end": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One line of text on its baseline."""

    x: float
    y: float
    words: str
    size: float = 13
    anchor: Anchor = "start"
    look: str = ""
    """Classes: soft, strong, on-dark ... see STYLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Anything else: an SVG element with its numbers."""

    tag: Literal["rect", "line", "circle", "path", "polyline"]
    at: tuple[tuple[str, float | str], ...]
    look: str = ""
    said: str = ""
    """What a pointer resting on it is told."""


Mark = Text | Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure."""

    name: str
    """Its file's stem."""
    title: str
    described: str
    """What a person who cannot see it is told."""
    width: float
    height: float
    marks: tuple[Mark, ...]


_BASE = """
text, .text { fill: var(--ink); font-weight: 400; }
.soft { fill: var(--soft); } .strong { font-weight: 700; } .of-focus { fill: var(--focus); font-weight: 700; }
.on-light { fill: #1d1b19; } .on-dark { fill: #ffffff; }
.rail { stroke: var(--line); stroke-width: 1; } .axis { stroke: var(--soft); stroke-width: 1; } 
.zero { stroke: var(--ink); stroke-width: 1.25; stroke-dasharray: 4 3; }
.v1 { fill: #b35806; } .v2 { fill: #f1a340; } .v3 { fill: #ddd8d0; } .v4 { fill: #8dbbdd; } .v5 { fill: #1f66a8; }
.c1 { fill: #0b5d8f; } .c2 { fill: #e69f00; } .c3 { fill: #6ec1e4; } .c4 { fill: #00795a; } .c5 { fill: #a8457f; }
.none { fill: var(--paper); stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 2; }
.span { stroke: var(--ink); stroke-width: 2.25; stroke-linecap: round; } .dot { fill: var(--ink); }
.focus-span { stroke: var(--focus); stroke-width: 3; stroke-linecap: round; } .focus-dot { fill: var(--focus); }
.photo-span { stroke: var(--photo); stroke-width: 2.25; stroke-linecap: round; } .photo-dot { fill: var(--paper); stroke: var(--photo); stroke-width: 2.25; }
.weak-span { stroke: var(--soft); stroke-width: 1.5; stroke-linecap: round; stroke-dasharray: 1 4; }
.band { fill: var(--photo); opacity: .14; }
.win { fill: #1f66a8; } .tie { fill: #ddd8d0; } .loss { fill: #b35806; }
.frame { fill: none; stroke: var(--line); stroke-width: 1; }
.line-a, .line-b, .line-c, .line-d { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line-a { stroke: #1f66a8; } .line-b { stroke: #b35806; stroke-dasharray: 6 3; }
.line-c { stroke: var(--soft); stroke-dasharray: 2 3; } .line-d { stroke: var(--photo); stroke-dasharray: 9 3 2 3; }
.dot-a { fill: #1f66a8; } .dot-b { fill: #b35806; } .dot-c { fill: var(--soft); } .dot-d { fill: var(--photo); }
"""
"""Blue against orange, and light against dark, tell agreeing from disagreeing to those who see red and green alike, and in grey print."""
_BLUES = ("#eef4fa", "#cfe1f0", "#a6c9e3", "#6fa6d1", "#3c80b8", "#1f66a8", "#124a80")
_HEAT = " ".join(f".h{k} {{ fill: {colour}; }}" for k, colour in enumerate(_BLUES))
STYLE = _BASE + _HEAT + "\n"
"""Of both forms."""
PAPER = ":root { --paper: #ffffff; --ink: #23201c; --soft: #6d655b; --line: #ddd5c9; --focus: #b8321f; --photo: #1b6e5c; }"
"""The colours of a file of its own: paper is white."""


def rect(x: float, y: float, wide: float, high: float, look: str, said: str = "", round_px: float = 0) -> Shape:
    """A box from its upper left corner."""
    return Shape(
        tag="rect", at=(("x", x), ("y", y), ("width", max(wide, 0)), ("height", high), *((("rx", round_px),) if round_px else ())), look=look, said=said
    )


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Shape:
    """A straight line."""
    return Shape(tag="line", at=(("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)), look=look)


def dot(x: float, y: float, radius: float, look: str, said: str = "") -> Shape:
    """A filled circle."""
    return Shape(tag="circle", at=(("cx", x), ("cy", y), ("r", radius)), look=look, said=said)


def diamond(x: float, y: float, radius: float, look: str, said: str = "") -> Shape:
    """A square on its corner."""
    path = f"M{x:.1f} {y - radius:.1f}L{x + radius:.1f} {y:.1f}L{x:.1f} {y + radius:.1f}L{x - radius:.1f} {y:.1f}Z"
    return Shape(tag="path", at=(("d", path),), look=look, said=said)


def curve(points: Sequence[tuple[float, float]], look: str) -> Shape:
    """Straight pieces from point to point."""
    return Shape(tag="polyline", at=(("points", " ".join(f"{x:.1f},{y:.1f}" for x, y in points)),), look=look)


def shortened(words: str, size: float, room: float) -> str:
    """A line that fits, with an ellipsis where it was cut."""
    if width(words, size) <= room:
        return words
    kept = words
    while kept and width(kept + "…", size) > room:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def inline(figure: Figure) -> Markup:
    """For a page: text stays text."""
    size = f'viewBox="0 0 {figure.width:g} {figure.height:g}" style="max-width:{figure.width:g}px"'
    head = f'<svg class="figure" {size} role="img" aria-label="{escape(figure.described)}">'
    return Markup(head + "".join(_text(mark) if isinstance(mark, Text) else _shape(mark) for mark in figure.marks) + "</svg>")


def standalone(figure: Figure, language: str) -> str:
    """A file of its own: text as outlines, colours of white paper; title and description stay as words."""
    size = f'width="{figure.width:g}" height="{figure.height:g}" viewBox="0 0 {figure.width:g} {figure.height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" xml:lang="{language}" font-family="sans-serif">'
    says = f"<title>{escape(figure.title)}</title><desc>{escape(figure.described)}</desc>"
    back = f'<rect width="{figure.width:g}" height="{figure.height:g}" fill="#ffffff"/>'
    style = f"<style>{_resolved(STYLE)}</style>"
    return f"{head}{says}{style}{_glyphs(figure)}{back}{''.join(_outlined(mark) for mark in figure.marks)}</svg>\n"


def _resolved(style: str) -> str:
    """Without custom properties: not every program that reads SVG knows them."""
    for pair in PAPER[PAPER.index("{") + 1 : PAPER.index("}")].split(";"):
        name, _, colour = pair.strip().partition(": ")
        style = style.replace(f"var({name})", colour) if name else style
    return style.strip().replace("\n", " ")


def _text(mark: Text) -> str:
    look = f' class="{mark.look}"' if mark.look else ""
    anchor = f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    return f'<text x="{mark.x:.1f}" y="{mark.y:.1f}" font-size="{mark.size:g}"{anchor}{look}>{escape(mark.words)}</text>'


def _outlined(mark: Mark) -> str:
    if isinstance(mark, Shape):
        return _shape(mark)
    if lacking(mark.words):
        return _text(mark)
    scale = mark.size / units()
    x = mark.x - _SHIFT[mark.anchor] * width(mark.words, mark.size)
    used = "".join(f'<use href="#{_id(name)}" x="{at:.0f}"/>' for name, at in advances(mark.words) if outline(name))
    return f'<g class="{f"text {mark.look}".strip()}" transform="translate({x:.2f} {mark.y:.1f}) scale({scale:.5f} {-scale:.5f})"{_bold(mark)}>{used}</g>'


def _glyphs(figure: Figure) -> str:
    """Each glyph once; lines of text point at them."""
    lines = [mark.words for mark in figure.marks if isinstance(mark, Text) and not lacking(mark.words)]
    names = sorted({name for words in lines for name, _ in advances(words)})
    paths = (f'<path id="{_id(name)}" d="{outline(name)}"/>' for name in names if outline(name))
    return f"<defs>{''.join(paths)}</defs>"


def _id(name: str) -> str:
    return "g-" + name.replace(".", "-")


def _bold(mark: Text) -> str:
    """One weight ships; a bold line is the same with a thin stroke of its own colour around it."""
    focus = "of-focus" in mark.look
    if not focus and "strong" not in mark.look:
        return ""
    return f' stroke="{"#b8321f" if focus else "#23201c"}" stroke-width="{0.035 * units():.0f}" stroke-linejoin="round"'


def _shape(mark: Shape) -> str:
    numbers = " ".join(f'{name}="{value}"' if isinstance(value, str) else f'{name}="{_short(value)}"' for name, value in mark.at)
    look = f' class="{mark.look}"' if mark.look else ""
    return f"<{mark.tag}{look} {numbers}><title>{escape(mark.said)}</title></{mark.tag}>" if mark.said else f"<{mark.tag}{look} {numbers}/>"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def texts(figures: Iterable[Figure]) -> str:
    """Every word that figures show: what a page's font must hold."""
    return "".join(mark.words for figure in figures for mark in figure.marks if isinstance(mark, Text))
